//! What a proof stands on, where records became known with unequal chances.
//!
//! Of live traffic some answers were audited, each with a probability that was fixed before
//! anybody knew whether it is right, and what was passed on is known with certainty. There are
//! two sound ways to prove something by such records, and neither is always the stronger one.
//!
//! - **Thinned**: each stays with the lowest of all probabilities divided by its own. What is left
//!   is a fair sample, and the exact binomial test is as strong as can be; but most is thrown away.
//! - **Weighed**: all count, each by that same ratio, in a betting test (see [`super::weighed`]).
//!   Nothing is thrown away, but such a test is weaker for as many records: it has to win by
//!   1/δ for sure, where the exact one loses nothing.
//!
//! Choosing the one that proves more would spend δ twice. So it is chosen by what can't say
//! whether answers are right: by counts (how many requests there were, how many became known, how
//! many of these a claim is about), and by a tenth of the records, the pilot, which is drawn by
//! lot and left out where it was looked at. Given these, the other records are still independent
//! draws of the same traffic; so each way is wrong with a probability of at most δ, and with it
//! whichever was chosen. `tests/unequal.rs` measures both.

use super::weighed::{Plan, Weighed};
use super::{Drawn, Goal, Proof, Risk, certify_from};
use crate::binomial::upper_bound;
use crate::threshold::Scored;

/// Records are thinned out, and no pilot is drawn, where among those that stay fewer errors than
/// this are expected to be allowed: a bet on so few is hardly ever won.
pub const ALLOWED_MIN: f64 = 20.0;

/// Records are weighed where all of them say at least so many times as much as those that would
/// stay. A betting test has to win ln(1/δ), where the exact one needs half the square of the normal
/// quantile at δ, which is about half of that.
const SPREAD_MIN: f64 = 1.8;

/// What a proof stands on: records that were thinned out until each had the same chance to become
/// known, and count once, or all of them, each as often as it was improbable. Which of the two is
/// chosen by counts and by a tenth of the records that proves nothing, so that δ is spent once;
/// records that had the same chance all count.
#[derive(Clone, Debug)]
pub struct Grounds {
    risk: Risk,
    goal: Goal,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// Each record counts once.
    Counted(Vec<Scored>),
    Weighed(Weighed),
}

/// What a threshold does to the records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Records that it keeps.
    pub kept: usize,
    /// Of these, wrong ones.
    pub errors: usize,
    /// The share that it keeps, as they weigh.
    pub share_kept: f64,
    /// The share of wrong ones among the kept, or among all, as they weigh.
    pub risk: f64,
    /// Upper bound on that share.
    pub bound: f64,
}

impl Grounds {
    /// What a claim about these records stands on. They must be a fair sample of later requests
    /// but for their draws; `rate` is how many of each of them are expected to stay when they are
    /// thinned out, as it is known from counts alone.
    #[must_use]
    pub fn new(records: &[Drawn], rate: f64, risk: Risk, goal: Goal) -> Self {
        let counted = |records: &mut dyn Iterator<Item = &Drawn>| {
            let stay = records.filter(|it| it.draw.stays());
            Way::Counted(stay.map(|it| it.scored).collect())
        };
        let allowed = rate * records.len() as f64 * goal.alpha();
        let are_even = records.iter().all(|it| it.draw.weight() == 1.0);
        let way = if are_even || allowed < ALLOWED_MIN {
            counted(&mut records.iter())
        } else {
            let (pilot, rest): (Vec<&Drawn>, Vec<&Drawn>) =
                records.iter().partition(|it| it.draw.is_pilot());
            match Plan::new(&pilot, rest.len(), risk, goal) {
                Some(plan) if plan.spread >= SPREAD_MIN => {
                    Way::Weighed(Weighed::new(&rest, plan, risk, goal))
                }
                _ => counted(&mut rest.into_iter()),
            }
        };
        Self { risk, goal, way }
    }

    /// The lowest threshold, no lower than `floor`, that is proven to meet the goal; see
    /// [`certify_from`].
    #[must_use]
    pub fn prove(&self, floor: f64) -> Proof {
        match &self.way {
            Way::Counted(records) => certify_from(records, self.risk, self.goal, floor),
            Way::Weighed(weighed) => weighed.prove(floor),
        }
    }

    /// What a threshold does, and the bound on its risk that holds with probability 1 − `delta`
    /// if it was not chosen by these records.
    #[must_use]
    pub fn effect(&self, threshold: f64, delta: f64) -> Effect {
        let records = match &self.way {
            Way::Weighed(weighed) => return weighed.effect(threshold, delta),
            Way::Counted(records) => records,
        };
        let kept = records.iter().filter(|it| it.confidence >= threshold);
        let errors = kept.clone().filter(|it| !it.correct).count();
        let kept = kept.count();
        let of = match self.risk {
            Risk::Selective => kept,
            Risk::Marginal => records.len(),
        };
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        Effect {
            kept,
            errors,
            share_kept: share(kept, records.len()),
            risk: share(errors, of),
            bound: upper_bound(errors, of, delta),
        }
    }

    /// The scores of the records that prove, from the highest down; (n_scored).
    #[must_use]
    pub fn scores(&self) -> Vec<f64> {
        let mut scores: Vec<f64> = match &self.way {
            Way::Counted(records) => records.iter().map(|it| it.confidence).collect(),
            Way::Weighed(weighed) => weighed.scores().collect(),
        };
        scores.retain(|score| !score.is_nan());
        scores.sort_by(|a, b| b.total_cmp(a));
        scores
    }
}
