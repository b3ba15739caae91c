//! Exact tails of the binomial distribution and Clopper and Pearson's bounds.

use crate::elementary::{exp, ln};

/// ln n!, exact to about 1e-14 relative: the product below 32, Stirling's series (to 1/n⁷) above.
fn ln_factorial(n: usize) -> f64 {
    if n < 32 {
        return ln((2..=n).map(|i| i as f64).product());
    }
    const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
    let x = n as f64;
    let square = x * x;
    let series = (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square)
        / x;
    (x + 0.5) * ln(x) - x + HALF_LN_TWO_PI + series
}

/// The probability of at most `hits` hits in `n` trials that each hit with probability `p`.
///
/// # Panics
/// When `p` is outside 0 to 1.
#[must_use]
pub fn lower_tail(hits: usize, n: usize, p: f64) -> f64 {
    assert!((0.0..=1.0).contains(&p), "a probability is between 0 and 1");
    if hits >= n || p == 0.0 {
        return 1.0;
    }
    if p == 1.0 {
        return 0.0;
    }
    // From the largest term that is wanted down, each by a ratio; below the mean the terms fall
    // geometrically, above it the sum of the rest is taken instead.
    let ln_term = |k: usize| {
        ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
            + k as f64 * ln(p)
            + (n - k) as f64 * ln(1.0 - p)
    };
    let odds = p / (1.0 - p);
    if hits as f64 <= n as f64 * p {
        let (mut term, mut sum) = (exp(ln_term(hits)), 0.0);
        for k in (0..=hits).rev() {
            sum += term;
            if term < sum * 1e-18 {
                break;
            }
            term *= k as f64 / ((n - k + 1) as f64 * odds);
        }
        return sum.min(1.0);
    }
    let (mut term, mut sum) = (exp(ln_term(hits + 1)), 0.0);
    for k in hits + 1..=n {
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
        term *= (n - k) as f64 * odds / (k + 1) as f64;
    }
    (1.0 - sum).max(0.0)
}

/// Clopper and Pearson's upper bound: the largest `p` for which so few hits have a probability of
/// at least `delta`; the true `p` is above it with probability `delta` at most. 1 without trials.
///
/// # Panics
/// When `delta` is outside 0 to 1.
#[must_use]
pub fn upper_bound(hits: usize, n: usize, delta: f64) -> f64 {
    assert!(
        (0.0..=1.0).contains(&delta),
        "a probability is between 0 and 1"
    );
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if lower_tail(hits, n, middle) > delta {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tail as a sum over all terms, each a product of whole numbers' ratios.
    fn summed(hits: usize, n: usize, p: f64) -> f64 {
        let term = |k: usize| {
            let choose: f64 = (0..k).map(|i| (n - i) as f64 / (k - i) as f64).product();
            choose * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
        };
        (0..=hits).map(term).sum()
    }

    #[test]
    fn known_values() {
        // (1/2)^10 · (1 + 10 + 45) and the rule of three's exact form.
        assert!((lower_tail(2, 10, 0.5) - 56.0 / 1024.0).abs() < 1e-15);
        assert!((upper_bound(0, 149, 0.05) - (1.0 - 0.05_f64.powf(1.0 / 149.0))).abs() < 1e-12);
        assert_eq!(upper_bound(0, 0, 0.05), 1.0);
        assert_eq!(
            (
                lower_tail(3, 3, 0.9),
                lower_tail(0, 5, 0.0),
                lower_tail(4, 5, 1.0)
            ),
            (1.0, 1.0, 0.0)
        );
    }

    proptest! {
        #[test]
        fn the_tail_is_the_sum_of_its_terms(n in 1_usize..120, part in 0.0_f64..1.0, p in 0.001_f64..0.999) {
            let hits = (part * n as f64) as usize;
            prop_assert!((lower_tail(hits, n, p) - summed(hits, n, p)).abs() < 1e-11);
        }

        #[test]
        fn large_tails_obey_their_recurrence(n in 1_000_usize..50_000, part in 0.0_f64..0.2, p in 0.005_f64..0.2) {
            // P(Bin(n+1) <= k) = P(Bin(n) <= k) − p · P(Bin(n) = k), an identity over all sizes.
            let hits = 1 + (part * n as f64) as usize;
            let at = lower_tail(hits, n, p) - lower_tail(hits - 1, n, p);
            let direct = lower_tail(hits, n + 1, p);
            prop_assert!((direct - (lower_tail(hits, n, p) - p * at)).abs() < 1e-9);
        }

        #[test]
        fn the_bound_is_where_the_tail_is_delta(n in 1_usize..5_000, part in 0.0_f64..0.9, delta in 0.001_f64..0.5) {
            let hits = (part * n as f64) as usize;
            prop_assert!((lower_tail(hits, n, upper_bound(hits, n, delta)) - delta).abs() < 1e-6);
        }
    }
}
