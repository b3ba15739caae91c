//! Exponential and logarithm that give the same bits on every machine.
//!
//! `f64::exp` and `f64::ln` call the platform's mathematics library, whose last bit differs
//! between systems; a few thousand training steps turn that bit into different models. These use
//! only additions, multiplications and divisions, which IEEE 754 fixes to the bit (Rust never
//! contracts them), and are within 2 units in the last place, which is ample for training.

/// High and low part of ln 2; the high part has zeros at its end, so that `k * LN2_HIGH` is exact.
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/0!, 1/1! … 1/13!; each factorial is exact, so each quotient is the nearest number.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut table = [1.0; 14];
    let mut n = 1;
    let mut factorial = 1.0;
    while n < table.len() {
        factorial *= n as f64;
        table[n] = 1.0 / factorial;
        n += 1;
    }
    table
};

/// 1/1, 1/3 … 1/23.
const INVERSE_ODDS: [f64; 12] = {
    let mut table = [1.0; 12];
    let mut n = 1;
    while n < table.len() {
        table[n] = 1.0 / (2 * n + 1) as f64;
        n += 1;
    }
    table
};

/// `e` to the power of `x`; 0 below about -745, infinity above about 709.7, NaN for NaN.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    if x < -745.2 {
        return 0.0;
    }
    let k = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    // |r| <= 0.347: the Taylor series to the 13th power is exact to 2^-58.
    let sum = INVERSE_FACTORIALS
        .iter()
        .rev()
        .fold(0.0, |sum, factor| sum * r + factor);
    // Two steps, because 2^k alone may lie outside the normal range at both ends.
    let half = (k as i64) / 2;
    sum * power_of_two(half) * power_of_two(k as i64 - half)
}

/// The natural logarithm; minus infinity of 0, NaN of a negative number or NaN.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, scaled) = if x < f64::MIN_POSITIVE {
        (x * power_of_two(54), -54)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64) - 1023 + scaled;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| <= 0.172: s^22 is below 2^-55.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let sum = INVERSE_ODDS
        .iter()
        .rev()
        .fold(0.0, |sum, factor| sum * square + factor);
    let k = exponent as f64;
    k * LN2_HIGH + (2.0 * s * sum + k * LN2_LOW)
}

/// 2 to the power of `k`, for `k` in -1022..=1023.
fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(ours: f64, theirs: f64) -> bool {
        ours == theirs || (ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs.abs()
    }

    #[test]
    fn the_edges_are_as_the_standard_has_them() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(1000.0), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        assert!(ln(-1.0).is_nan());
        assert!(near(
            ln(f64::MIN_POSITIVE / 8.0),
            (f64::MIN_POSITIVE / 8.0).ln()
        ));
    }

    proptest! {
        #[test]
        fn they_agree_with_the_platform(x in -700.0_f64..700.0, y in 1e-300_f64..1e300) {
            prop_assert!(near(exp(x), x.exp()), "exp({x})");
            prop_assert!(near(ln(y), y.ln()), "ln({y})");
        }

        #[test]
        fn the_logarithm_near_one_keeps_its_precision(x in 0.5_f64..2.0) {
            prop_assert!((ln(x) - x.ln()).abs() <= 4.0 * f64::EPSILON * x.ln().abs() + 1e-300);
        }
    }
}
