//! How large the share of wrong answers is, about, from audits of different probability.

use ledger::Finding;
use routing::evaluation::WeighedShare;

/// A share, and the interval in which it lies with 95 % confidence if one looks at it once; what
/// revokes a certificate is not this but the e-value, at which one may look at any time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) share: f64,
    pub(crate) interval_95: (f64, f64),
}

/// The share of all accepted answers that are wrong; `None` before the first audit. Each finding
/// stands for as many answers as it was improbable.
pub(crate) fn estimate(findings: &[Finding]) -> Option<Estimate> {
    let weighed = |finding: &Finding| (1.0 / finding.probability, finding.wrong);
    let share = WeighedShare::of(findings.iter().map(weighed));
    Some(Estimate {
        share: share.value()?,
        interval_95: share.interval(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use routing::evaluation::Share;
    use routing::random::Random;

    fn finding(probability: f64, wrong: bool) -> Finding {
        Finding {
            probability,
            probability_min: 0.02,
            wrong,
        }
    }

    #[test]
    fn of_equal_probabilities_it_is_the_plain_share() {
        let findings: Vec<Finding> = (0..200).map(|i| finding(0.02, i % 40 == 0)).collect();
        let plain = Share { hits: 5, of: 200 };
        let found = estimate(&findings).unwrap();
        assert!((found.share - 0.025).abs() < 1e-12);
        let (low, high) = plain.interval();
        assert!(
            (found.interval_95.0 - low).abs() < 1e-3 && (found.interval_95.1 - high).abs() < 1e-3
        );
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn the_improbable_weigh_more_and_the_interval_covers_the_truth() {
        // Where the wrong ones are audited five times as often, the plain share is far too high.
        let (mut covered, mut plain_sum, mut sum) = (0, 0.0, 0.0);
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut findings = Vec::new();
            for _ in 0..20_000 {
                let hard = random.unit() < 0.2;
                let probability = if hard { 0.1 } else { 0.02 };
                let wrong = random.unit() < if hard { 0.08 } else { 0.005 };
                if random.unit() < probability {
                    findings.push(finding(probability, wrong));
                }
            }
            // 0.2 · 8 % + 0.8 · 0.5 %.
            let truth = 0.02;
            let found = estimate(&findings).unwrap();
            let wrong = findings.iter().filter(|finding| finding.wrong).count();
            plain_sum += wrong as f64 / findings.len() as f64 / 200.0;
            sum += found.share / 200.0;
            covered += usize::from(found.interval_95.0 <= truth && truth <= found.interval_95.1);
        }
        assert!((sum - 0.02).abs() < 0.001, "{sum}");
        assert!(plain_sum > 0.04, "{plain_sum}");
        assert!(covered >= 180, "{covered} of 200");
    }
}
