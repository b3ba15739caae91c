//! Which accepted answers are audited.

use ledger::RequestId;
use ring::hmac;

/// How likely answers are to be audited, and the secret that decides.
#[derive(Debug)]
pub(crate) struct Lot {
    /// Of the surest answers, above 0.
    pub(crate) share: f64,
    /// At the threshold; at least the other, at most 1.
    pub(crate) near: f64,
    pub(crate) key: hmac::Key,
}

/// How an accepted answer's lot fell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    /// The probability with which it was to be chosen.
    pub(crate) probability: f64,
    pub(crate) is_chosen: bool,
}

impl Lot {
    /// The probability with which an answer of this confidence is audited: `near` at the
    /// threshold, falling in a straight line to `share` at a confidence of 1.
    fn probability(&self, confidence: f64, threshold: f64) -> f64 {
        let room = 1.0 - threshold;
        let distance = if room > 0.0 {
            ((confidence - threshold) / room).clamp(0.0, 1.0)
        } else {
            1.0
        };
        (self.near + (self.share - self.near) * distance).clamp(self.share, self.near)
    }

    /// How the lot of this request falls. It depends on nothing but the request's id, the secret
    /// and the confidence, so that it can be shown afterwards; and what the answer is can't have
    /// influenced it.
    pub(crate) fn draw(&self, id: &RequestId, confidence: f64, threshold: f64) -> Choice {
        let tag = hmac::sign(&self.key, id.0.as_bytes());
        let bits = tag.as_ref().iter().take(8);
        let bits = bits.fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        // The same number in 0.0..1.0 on every machine: a multiple of 2⁻⁵³.
        let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        let probability = self.probability(confidence, threshold);
        Choice {
            probability,
            is_chosen: unit < probability,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lot(share: f64, near: f64, secret: &[u8]) -> Lot {
        Lot {
            share,
            near,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    #[test]
    fn answers_are_chosen_as_often_as_is_said_and_the_same_ones_again() {
        for (confidence, probability) in [(1.0, 0.02), (0.9, 0.1), (0.95, 0.06)] {
            let count = |secret: &[u8]| {
                let lot = lot(0.02, 0.1, secret);
                let draw = |i: &u32| lot.draw(&RequestId(format!("r{i}")), confidence, 0.9);
                assert!((draw(&0).probability - probability).abs() < 1e-12);
                (0..40_000)
                    .filter(|i| draw(i).is_chosen)
                    .collect::<Vec<_>>()
            };
            let chosen = count(b"secret");
            // Five standard deviations.
            let spread = 5.0 * (probability * (1.0 - probability) * 40_000.0).sqrt();
            let expected = probability * 40_000.0;
            assert!(
                (chosen.len() as f64 - expected).abs() < spread,
                "{}",
                chosen.len()
            );
            assert_eq!(chosen, count(b"secret"));
            assert_ne!(chosen, count(b"another"));
        }
    }

    proptest! {
        #[test]
        fn less_sure_is_never_less_likely_and_all_lies_between_the_shares(
            share in 0.0001_f64..1.0, more in 0.0_f64..1.0,
            (a, b) in (0.0_f64..=1.0, 0.0_f64..=1.0), threshold in 0.0_f64..=1.0,
        ) {
            let near = share + more * (1.0 - share);
            let lot = lot(share, near, b"k");
            let (low, high) = (a.min(b), a.max(b));
            let (unsure, sure) = (lot.probability(low, threshold), lot.probability(high, threshold));
            prop_assert!(unsure >= sure);
            prop_assert!(sure >= share && unsure <= near);
        }
    }
}
