//! The largest share of answers that can be proven to be good enough.
//!
//! The claim: with probability 1 − δ over the records, the risk of what is kept is at most α. It
//! holds for any model, any score and any number of records, if the records are drawn as the
//! later requests are. It rests on three things.
//!
//! - One threshold is tested by the exact binomial tail of the errors among what it keeps
//!   (Clopper & Pearson 1934). For losses of 0 or 1 of records that each had the same chance to be
//!   known no test that is as safe certifies more: a betting bound is then Chernoff's, which is
//!   weaker. Audited records had unequal chances; by what these prove, [`Grounds`] says.
//! - Many thresholds are tested in one fixed order, from fewer to more answers kept, each at the
//!   full level as long as all before it passed (fixed-sequence testing; Angelopoulos et al.,
//!   "Learn then test", 2021). δ is split over a few starts, and a start that is reached by a
//!   passing run adds its part to the run's level (the fallback procedure, Wiens & Dmitrienko
//!   2005), so a bad patch at the very top of the scores costs only the first part.
//! - Where the starts lie is learned from records that the certificate gives up anyway: going
//!   from the lowest score up, records are looked at until their error rate comes near α. What
//!   lies above that point has not been looked at, so its records are still a fair sample of
//!   that region, and nothing of δ or of the sample is spent.

mod draw;
mod goal;
mod grounds;
mod provenance;
mod starts;
mod wanting;
mod weighed;

use self::starts::{not_given_up, starts};
use self::wanting::wanting;
use crate::binomial::{lower_tail, upper_bound};
use crate::threshold::Scored;

pub use self::draw::{Draw, Drawn};
pub use self::goal::{Goal, GoalError, Risk};
pub use self::grounds::{ALLOWED_MIN, Effect, Grounds};
pub use self::provenance::Provenance;

/// A start of tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// How many records its first threshold keeps.
    pub kept: usize,
    /// Its part of δ.
    pub delta: f64,
}

/// What could be proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Keep from this score up; `None` when nothing can be proven, and everything escalates.
    pub threshold: Option<f64>,
    /// Records that were used.
    pub records: usize,
    /// Of these, how many the threshold keeps.
    pub kept: usize,
    /// Of the kept, how many are wrong.
    pub errors: usize,
    /// Upper bound on the risk at the level at which the threshold passed, Clopper and Pearson's
    /// where each record counts once; 1 when nothing passed.
    pub bound: f64,
    /// How δ was split.
    pub starts: Vec<Start>,
    /// When nothing passed: so many more records with the same error rates would prove something;
    /// `None` when something passed, or no threshold has few enough errors for any number to do.
    pub records_wanting: Option<usize>,
    /// Where records weigh unequally: what weighing them says.
    pub weighing: Option<Weighing>,
}

/// What records say that each count as they weigh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighing {
    /// So many records of one weight would say as much as all of them do (Kish 1965).
    pub effective: f64,
    /// The share that the threshold keeps, as they weigh.
    pub share_kept: f64,
    /// The share of wrong ones, of the kept or of all, as they weigh.
    pub risk: f64,
    /// The part of the wealth that the heaviest wrong record cost in the betting test; 0 to 1.
    pub bet: f64,
}

/// A threshold under test: it keeps so many records, of which so many are wrong.
#[derive(Clone, Copy)]
struct Candidate {
    score: f64,
    kept: usize,
    errors: usize,
}

/// The lowest threshold that is proven to meet the goal. The records must be a fair sample of
/// later requests, and the score must not have been fitted on them.
#[must_use]
pub fn certify(records: &[Scored], risk: Risk, goal: Goal) -> Proof {
    certify_from(records, risk, goal, f64::NEG_INFINITY)
}

/// As [`certify`], but the threshold is at least `floor`, for several claims that one threshold
/// must meet. The floor may have been found on the same records: every threshold that passes on
/// the way down is proven, so that stopping earlier, for whatever reason, spends nothing.
#[must_use]
pub fn certify_from(records: &[Scored], risk: Risk, goal: Goal, floor: f64) -> Proof {
    let candidates = candidates(records);
    let tested = match risk {
        // More kept can only mean more kept errors: the risk is monotone and one run suffices.
        Risk::Marginal => &candidates[..],
        Risk::Selective => &candidates[..not_given_up(&candidates, records.len(), goal.alpha())],
    };
    let starts = starts(tested, risk, goal);
    let trials = |c: &Candidate| match risk {
        Risk::Selective => c.kept,
        Risk::Marginal => records.len(),
    };
    let (mut level, mut passed) = (0.0, None);
    for (index, candidate) in tested.iter().enumerate() {
        level += starts
            .iter()
            .filter(|(at, _)| *at == index)
            .map(|(_, delta)| delta)
            .sum::<f64>();
        if level > 0.0 && lower_tail(candidate.errors, trials(candidate), goal.alpha()) <= level {
            if candidate.score >= floor {
                passed = Some((candidate, level));
            }
        } else {
            level = 0.0;
        }
    }
    let none = Candidate {
        score: f64::INFINITY,
        kept: 0,
        errors: 0,
    };
    let best = passed.map_or(none, |(candidate, _)| *candidate);
    Proof {
        threshold: passed.map(|(candidate, _)| candidate.score),
        records: records.len(),
        kept: best.kept,
        errors: best.errors,
        bound: passed.map_or(1.0, |(c, level)| upper_bound(c.errors, trials(c), level)),
        starts: starts
            .iter()
            .map(|&(at, delta)| Start {
                kept: tested[at].kept,
                delta,
            })
            .collect(),
        records_wanting: match passed {
            Some(_) => None,
            None => wanting(&candidates, tested, &starts, (records.len(), goal, risk)),
        },
        weighing: None,
    }
}

/// One candidate for each different score, from the highest down; NaN is never kept.
fn candidates(records: &[Scored]) -> Vec<Candidate> {
    let mut sorted: Vec<&Scored> = records.iter().filter(|r| !r.confidence.is_nan()).collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let (mut kept, mut errors) = (0, 0);
    let candidate = |equals: &[&Scored]| {
        kept += equals.len();
        errors += equals.iter().filter(|record| !record.correct).count();
        Candidate {
            score: equals[0].confidence,
            kept,
            errors,
        }
    };
    sorted
        .chunk_by(|a, b| a.confidence == b.confidence)
        .map(candidate)
        .collect()
}

#[cfg(test)]
mod tests;
