//! From held-out records, the confidence from which a tier's answer is accepted.
//!
//! The records must be disjoint from those the tier learned from (see [`crate::folds`]). A
//! threshold found here meets its target on the held-out records with a small correction for
//! their number, `(errors + 1) / (kept + 1) <= target`; it is a careful estimate and no proof.

/// One held-out record: how sure the tier was, and whether it was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The raw confidence; a higher one is surer. NaN is never kept.
    pub confidence: f64,
    /// Whether the answer was right.
    pub correct: bool,
}

/// The largest share of wrong answers among the kept ones; 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct ErrorTarget(f64);

/// Why a number is no target.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "{0} is outside 0 to 1; a target is the largest share of errors among what is kept, for example 0.02"
)]
pub struct TargetError(f64);

impl ErrorTarget {
    /// The checked target.
    ///
    /// # Errors
    /// When the number is outside 0 to 1.
    pub fn new(share: f64) -> Result<Self, TargetError> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(TargetError(share))
        }
    }

    /// The share.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }
}

/// What records say about a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitted {
    /// Accept from this confidence up; `None` when no threshold meets the target, and then
    /// everything escalates.
    pub threshold: Option<f64>,
    /// Records that were looked at.
    pub records: usize,
    /// Of these, how many the threshold keeps.
    pub kept: usize,
    /// Of the kept, how many are wrong.
    pub errors: usize,
    /// The lowest corrected error share, `(errors + 1) / (kept + 1)`, that any threshold reaches;
    /// 1 without records. Where it is above the target, it says how far the target is away.
    pub best_error: f64,
}

impl Fitted {
    /// Records kept in relation to all; 0 without records.
    #[must_use]
    pub fn share_kept(&self) -> f64 {
        if self.records == 0 {
            0.0
        } else {
            self.kept as f64 / self.records as f64
        }
    }
}

/// The lowest threshold whose kept records meet the target, or none. Equal confidences are kept
/// or escalated together. Every threshold is tried, so wrong answers at the very top don't end
/// the search.
#[must_use]
pub fn fit(records: &[Scored], target: ErrorTarget) -> Fitted {
    let mut sorted: Vec<Scored> = records
        .iter()
        .copied()
        .filter(|record| !record.confidence.is_nan())
        .collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut fitted = Fitted {
        threshold: None,
        records: records.len(),
        kept: 0,
        errors: 0,
        best_error: 1.0,
    };
    let (mut kept, mut errors) = (0, 0);
    for equals in sorted.chunk_by(|a, b| a.confidence == b.confidence) {
        kept += equals.len();
        errors += equals.iter().filter(|record| !record.correct).count();
        let corrected = (errors + 1) as f64 / (kept + 1) as f64;
        fitted.best_error = fitted.best_error.min(corrected);
        if corrected <= target.share() {
            fitted.threshold = Some(equals[0].confidence);
            fitted.kept = kept;
            fitted.errors = errors;
        }
    }
    fitted
}

/// Thresholds for several tiers that are asked one after the other: each is fitted on the records
/// that the tiers before it did not accept. `tiers[k][i]` is what tier `k` made of record `i`, or
/// `None` where it gave no answer; all tiers have the same records.
///
/// # Panics
/// When tiers have different numbers of records.
#[must_use]
pub fn fit_in_order(tiers: &[Vec<Option<Scored>>], target: ErrorTarget) -> Vec<Fitted> {
    let n_records = tiers.first().map_or(0, Vec::len);
    assert!(
        tiers.iter().all(|tier| tier.len() == n_records),
        "tiers have different records"
    );
    let mut open = vec![true; n_records];
    let fit_tier = |tier: &Vec<Option<Scored>>| {
        let seen: Vec<Scored> = tier
            .iter()
            .zip(&open)
            .filter_map(|(scored, &open)| scored.filter(|_| open))
            .collect();
        let fitted = fit(&seen, target);
        if let Some(threshold) = fitted.threshold {
            for (open, scored) in open.iter_mut().zip(tier) {
                *open &= !scored.is_some_and(|scored| scored.confidence >= threshold);
            }
        }
        fitted
    };
    tiers.iter().map(fit_tier).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(confidence: f64, correct: bool) -> Scored {
        Scored {
            confidence,
            correct,
        }
    }

    fn target(share: f64) -> ErrorTarget {
        ErrorTarget::new(share).unwrap()
    }

    #[test]
    fn a_target_is_a_share() {
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert!(ErrorTarget::new(wrong).is_err());
        }
    }

    #[test]
    fn the_lowest_threshold_that_meets_the_target_wins() {
        let mut records = vec![scored(0.9, true); 9];
        records.extend(vec![scored(0.5, true); 10]);
        records.push(scored(0.4, false));
        let fitted = fit(&records, target(0.10));
        // 20 kept with one error: 2/21 <= 0.10.
        assert_eq!(
            (fitted.threshold, fitted.kept, fitted.errors),
            (Some(0.4), 20, 1)
        );
        // At 5 %, the 19 right ones give 1/20.
        let fitted = fit(&records, target(0.05));
        assert_eq!(
            (fitted.threshold, fitted.kept, fitted.errors),
            (Some(0.5), 19, 0)
        );
        // At 4 % there are too few records to say so.
        let fitted = fit(&records, target(0.04));
        assert_eq!(
            (fitted.threshold, fitted.kept, fitted.best_error),
            (None, 0, 0.05)
        );
    }

    #[test]
    fn wrong_answers_at_the_top_dont_end_the_search() {
        let mut records = vec![scored(1.0, false)];
        records.extend(vec![scored(0.8, true); 98]);
        assert_eq!(fit(&records, target(0.02)).threshold, Some(0.8));
    }

    #[test]
    fn equal_scores_are_never_split() {
        let mut records = vec![scored(0.7, true); 50];
        records.extend(vec![scored(0.7, false); 10]);
        assert_eq!(fit(&records, target(0.05)).threshold, None);
    }

    #[test]
    fn no_record_means_no_threshold() {
        let nothing = fit(&[], target(0.5));
        assert_eq!((nothing.threshold, nothing.best_error), (None, 1.0));
        assert_eq!(fit(&[scored(f64::NAN, true)], target(1.0)).threshold, None);
    }

    #[test]
    fn a_later_tier_is_fitted_on_what_the_earlier_left() {
        let first: Vec<_> = (0..40)
            .map(|i| Some(scored(if i < 20 { 0.9 } else { 0.1 }, i < 20)))
            .collect();
        // The second tier is right exactly where the first is not, and as sure everywhere.
        let second: Vec<_> = (0..40).map(|i| Some(scored(0.5, i >= 20))).collect();
        let fitted = fit_in_order(&[first, second], target(0.05));
        assert_eq!((fitted[0].threshold, fitted[0].kept), (Some(0.9), 20));
        assert_eq!((fitted[1].threshold, fitted[1].records), (Some(0.5), 20));
    }

    proptest! {
        #[test]
        fn what_is_kept_meets_the_target_and_nothing_lower_does(
            records in proptest::collection::vec((0_u8..20, proptest::bool::weighted(0.9)), 0..300),
            share in 0.01_f64..0.5,
        ) {
            let records: Vec<Scored> =
                records.into_iter().map(|(c, right)| scored(f64::from(c) / 20.0, right)).collect();
            let fitted = fit(&records, target(share));
            let corrected = |threshold: f64| {
                let kept = records.iter().filter(|r| r.confidence >= threshold);
                let errors = kept.clone().filter(|r| !r.correct).count();
                (errors + 1) as f64 / (kept.count() + 1) as f64
            };
            let floor = fitted.threshold.unwrap_or(f64::INFINITY);
            if let Some(threshold) = fitted.threshold {
                prop_assert!(corrected(threshold) <= share);
            }
            for record in &records {
                if record.confidence < floor {
                    prop_assert!(corrected(record.confidence) > share);
                }
            }
        }
    }
}
