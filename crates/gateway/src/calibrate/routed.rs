//! What a tier's pre-call router skips, and what that loses: on the records that certify, which it
//! was not fitted on.

use domain::TierName;
use routing::cascade::Rule;
use routing::certificate::Risk;
use serde::Serialize;

use super::expectation::Expectation;
use super::hearing::Hearing;
use super::records::Sample;
use crate::deferral::Ranking;
use crate::precall::{Routers, TierRouter};

/// A tier with or without a router, in a task that wants one.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Routed {
    /// How many records it was fitted on; `None` where nothing is skipped.
    pub(super) fitted_on: Option<usize>,
    /// From this probability of being kept down a request is skipped.
    pub(super) skips_to: Option<f64>,
    /// Why nothing is skipped.
    pub(super) why_none: Option<String>,
    /// Records that the tiers before pass on.
    pub(super) reached: usize,
    /// Of these, how many it is not asked about.
    pub(super) skipped: usize,
    /// Their share, as records weigh.
    pub(super) share_skipped: f64,
    /// Of the skipped, how many answers it would have kept.
    pub(super) lost: usize,
    /// The tier's time that skipping them saves, of this machine, many records being in work at
    /// once.
    pub(super) seconds_saved: f64,
}

/// A tier's router, or why there is none.
pub(super) type Found = Result<TierRouter, String>;

/// Finds a router for a tier.
pub(super) fn found(
    expected: Option<&Expectation<'_>>,
    (tier, ranking): (&TierName, Ranking<'_>),
    what: (Vec<TierName>, routing::certificate::Goal, Risk),
) -> Found {
    let expected = expected.ok_or_else(|| {
        "a router takes labelled records of the task's own, or 1,000 here".to_owned()
    })?;
    expected.router(tier, ranking, what)
}

impl Routed {
    /// What a router, or none, comes to on records that reach its tier, whose answers are kept by a
    /// rule.
    pub(super) fn new(
        found: &Found,
        (tier, hearing): (&TierName, &Hearing<'_>),
        ranking: Ranking<'_>,
        (sample, left, rule): (&Sample, &[usize], &Rule),
    ) -> Self {
        let skipped = left
            .iter()
            .filter(|&&it| hearing.is_skipped(tier, ranking, (sample, it)));
        let unrouted = Routers::new();
        let asked = Ranking {
            routers: &unrouted,
            ..ranking
        };
        let would_be_kept = |record: &&usize| {
            let answer = hearing.answer(tier, asked, (sample, **record));
            answer.is_some_and(|it| rule.accepts(Some(it.label), Some(it.confidence)))
        };
        let lost = skipped.clone().filter(would_be_kept).count();
        let weight = |records: &mut dyn Iterator<Item = &usize>| -> f64 {
            records.map(|record| sample.weight(*record)).sum()
        };
        let (all, spared) = (weight(&mut left.iter()), weight(&mut skipped.clone()));
        let skipped = skipped.count();
        let router = found.as_ref().ok();
        Self {
            fitted_on: router.map(|router| router.records),
            skips_to: router.map(|router| router.router.skips_to()),
            why_none: found.as_ref().err().cloned(),
            reached: left.len(),
            skipped,
            share_skipped: if all > 0.0 { spared / all } else { 0.0 },
            lost,
            seconds_saved: skipped as f64 * hearing.seconds_each(tier),
        }
    }
}
