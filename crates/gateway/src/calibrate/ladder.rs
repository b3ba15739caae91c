//! Thresholds of a tier that are fixed before the records which certify were looked at.
//!
//! Which documents reach a later tier depends on this tier's threshold, and that was found
//! on the same records. So it is taken from a ladder, and what later tiers prove is proven for
//! every step of it at once: each step has its weight of their part of δ, the weights add up to
//! one, and a claim is spent for the step that came out (Bonferroni with weights). Most weight
//! lies around the step that records which the tier was held out from lead us to expect; then it
//! costs little, and no record has to be set aside for one tier alone.

use routing::certificate::{Goal, Risk, certify};
use routing::threshold::Scored;

/// So many steps, each for an equal share of the records more that are kept.
const STEPS: usize = 160;
/// The weight falls by this ratio from step to step away from the expected one.
const RATIO: f64 = 0.92;
/// The part of the weight that all steps share equally: what was not expected costs more, but
/// stays possible.
const EQUAL: f64 = 0.2;

/// The steps, from the strictest down; the first keeps nothing.
pub(super) struct Ladder {
    steps: Vec<Step>,
}

/// One of the thresholds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// Infinity where nothing is kept.
    pub(super) threshold: f64,
    /// Its part of the failure probability of later tiers' claims.
    pub(super) weight: f64,
}

impl Ladder {
    /// The ladder that held-out records suggest; they are no records that certify.
    pub(super) fn new(held_out: &[Scored], goal: Goal) -> Self {
        let mut scores: Vec<f64> = held_out.iter().map(|record| record.confidence).collect();
        scores.retain(|score| !score.is_nan());
        scores.sort_by(|a, b| b.total_cmp(a));
        let at = |step: usize| scores.get((step * scores.len()).div_ceil(STEPS).checked_sub(1)?);
        let mut thresholds = vec![f64::INFINITY];
        thresholds.extend((1..=STEPS).filter_map(at));
        thresholds.dedup();
        let expected = certify(held_out, Risk::Selective, goal).threshold;
        let expected = position(&thresholds, expected.unwrap_or(f64::INFINITY));
        let near: Vec<f64> = (0..thresholds.len())
            .map(|step| RATIO.powi(step.abs_diff(expected) as i32))
            .collect();
        let sum: f64 = near.iter().sum();
        let equal = EQUAL / thresholds.len() as f64;
        let steps = thresholds.into_iter().zip(near);
        let step = |(threshold, near)| Step {
            threshold,
            weight: (1.0 - EQUAL) * near / sum + equal,
        };
        Self {
            steps: steps.map(step).collect(),
        }
    }

    /// The lowest step that is no lower than a threshold.
    pub(super) fn step(&self, threshold: Option<f64>) -> Step {
        let thresholds: Vec<f64> = self.steps.iter().map(|step| step.threshold).collect();
        self.steps[position(&thresholds, threshold.unwrap_or(f64::INFINITY))]
    }
}

/// The index of the lowest of the descending thresholds that is no lower than this one.
fn position(thresholds: &[f64], threshold: f64) -> usize {
    thresholds
        .partition_point(|step| *step >= threshold)
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn steps_descend_their_weights_are_a_whole_and_a_step_is_never_too_low(
            raw in proptest::collection::vec((0_u16..500, proptest::bool::weighted(0.95)), 0..400),
            threshold in proptest::option::of(0.0_f64..1.2),
        ) {
            let record = |&(score, correct): &(u16, bool)| Scored {
                confidence: f64::from(score) / 500.0,
                correct,
            };
            let held_out: Vec<Scored> = raw.iter().map(record).collect();
            let ladder = Ladder::new(&held_out, Goal::new(0.1, 0.05).unwrap());
            let whole: f64 = ladder.steps.iter().map(|step| step.weight).sum();
            prop_assert!((whole - 1.0).abs() < 1e-9);
            prop_assert!(ladder.steps.windows(2).all(|w| w[0].threshold > w[1].threshold));
            prop_assert!(ladder.steps.iter().all(|step| step.weight > 0.0));
            let step = ladder.step(threshold);
            let asked = threshold.unwrap_or(f64::INFINITY);
            prop_assert!(step.threshold >= asked);
            let between = ladder.steps.iter().filter(|s| s.threshold >= asked && s.threshold < step.threshold);
            prop_assert_eq!(between.count(), 0);
        }
    }

    #[test]
    fn what_is_expected_weighs_most() {
        let record = |i: u32| Scored {
            confidence: f64::from(i) / 1_000.0,
            correct: i > 300,
        };
        let held_out: Vec<Scored> = (0..1_000).map(record).collect();
        let goal = Goal::new(0.05, 0.05).unwrap();
        let ladder = Ladder::new(&held_out, goal);
        let expected = ladder.step(certify(&held_out, Risk::Selective, goal).threshold);
        let most = ladder
            .steps
            .iter()
            .map(|step| step.weight)
            .fold(0.0, f64::max);
        assert_eq!(expected.weight, most);
        assert!(most > 5.0 / ladder.steps.len() as f64, "{most}");
    }
}
