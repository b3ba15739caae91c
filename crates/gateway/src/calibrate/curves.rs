//! What other thresholds would do, and what a document costs: the points behind the pictures.

use domain::{Picodollars, TierName};
use routing::certificate::Grounds;
use serde::Serialize;

use super::measure::{Kept, Measured, MeasuredTier};
use super::records::Sample;
use crate::app::App;
use crate::learn::asking::Answer;
use crate::tier::remote::estimated_cost;

/// Points of a curve; more would not be seen.
const POINTS_MAX: usize = 200;
/// Bins of a reliability diagram.
const BINS: usize = 10;
/// The quality of fewer answers than these is luck, and not drawn.
const KEPT_MIN: usize = 20;

/// What one threshold would do on the records that certified a tier, as they weigh.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RiskPoint {
    pub(super) share_kept: f64,
    /// Share of wrong ones among the kept, or of wrong ones that are kept among all.
    pub(super) risk: f64,
    /// Its upper bound at the tier's part of the failure probability, were this threshold the
    /// only one that is tested.
    pub(super) bound: f64,
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Bin {
    pub(super) confidence: f64,
    pub(super) right: f64,
    pub(super) answers: usize,
}

/// What a thousand documents cost at the frontier, estimated from their length.
#[derive(Debug, Serialize)]
pub(super) struct CostReport {
    pub(super) frontier: String,
    pub(super) all_frontier_usd_per_thousand: f64,
    pub(super) cascade_usd_per_thousand: f64,
}

/// One way to set the thresholds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct CostPoint {
    pub(super) share_kept: f64,
    /// Of the kept answers, the share that is right.
    pub(super) right: f64,
    /// What is passed on costs at the frontier.
    pub(super) usd_per_thousand: Option<f64>,
}

/// Risk and bound at each threshold, as many as can be drawn.
pub(super) fn risk(grounds: &Grounds, delta: f64) -> Vec<RiskPoint> {
    let scores = grounds.scores();
    let step = scores.len().div_ceil(POINTS_MAX).max(1);
    let (mut next, mut points) = (KEPT_MIN, Vec::new());
    let (mut kept, n_scores) = (0, scores.len());
    for equals in scores.chunk_by(|a, b| a == b) {
        kept += equals.len();
        if kept >= next || (kept == n_scores && kept >= KEPT_MIN) {
            next = kept + step;
            let effect = grounds.effect(equals[0], delta);
            points.push(RiskPoint {
                share_kept: effect.share_kept,
                risk: effect.risk,
                bound: effect.bound,
            });
        }
    }
    points
}

/// Answers by how sure the tier was, each as its record weighs.
pub(super) fn reliability(tier: &MeasuredTier, sample: &Sample) -> Vec<Bin> {
    let mut bins = [(0.0, 0.0, 0.0, 0_usize); BINS];
    for (record, answer) in &tier.answers {
        let bin = &mut bins[((answer.confidence * BINS as f64) as usize).min(BINS - 1)];
        let weight = sample.weight(*record);
        bin.0 += weight;
        bin.1 += weight * answer.confidence;
        if answer.label == sample.records[*record].label {
            bin.2 += weight;
        }
        bin.3 += 1;
    }
    bins.iter()
        .filter(|(.., answers)| *answers > 0)
        .map(|&(weight, sure, right, answers)| Bin {
            confidence: sure / weight,
            right: right / weight,
            answers,
        })
        .collect()
}

/// What each record would cost at the frontier.
pub(super) struct Prices {
    frontier: TierName,
    /// In US dollars; (n_records).
    usd: Vec<f64>,
    /// (n_records).
    weights: Vec<f64>,
}

impl Prices {
    /// `None` where the task has no frontier with a price.
    pub(super) fn new(app: &App, sample: &Sample) -> Option<Self> {
        let ready = &app.tasks[&sample.task];
        let frontier = ready.frontier.clone()?;
        let price = app.config.tiers[&frontier].remote()?.price?;
        let usd = |record: &crate::learn::Labelled| {
            let prompt = ready.task.prompt_for(&record.text);
            let answer_bytes = sample.labels.name(record.label).len();
            estimated_cost(&price, &prompt, answer_bytes).map(Picodollars::as_usd_f64)
        };
        let usd = sample
            .records
            .iter()
            .map(usd)
            .collect::<Option<Vec<f64>>>()?;
        let weights = (0..usd.len()).map(|record| sample.weight(record)).collect();
        Some(Self {
            frontier,
            usd,
            weights,
        })
    }

    fn per_thousand(&self, passed_on: impl Fn(usize) -> bool) -> f64 {
        let passed_on = (0..self.usd.len()).filter(|&record| passed_on(record));
        let sum: f64 = passed_on.map(|record| self.of(record)).sum();
        sum / self.weights.iter().sum::<f64>() * 1e3
    }

    /// What a record would cost, as it weighs.
    fn of(&self, record: usize) -> f64 {
        self.usd[record] * self.weights[record]
    }

    /// The cascade beside the frontier alone.
    pub(super) fn report(&self, kept: &[Option<Kept>]) -> CostReport {
        CostReport {
            frontier: self.frontier.to_string(),
            all_frontier_usd_per_thousand: self.per_thousand(|_| true),
            cascade_usd_per_thousand: self.per_thousand(|record| kept[record].is_none()),
        }
    }
}

/// The cascades on the way from keeping nothing to keeping all: each tier's threshold comes down
/// to where it is certified, and the last tier's to the bottom.
pub(super) fn cost_quality(
    sample: &Sample,
    measured: &Measured,
    prices: Option<&Prices>,
) -> Vec<CostPoint> {
    let n_records = sample.records.len();
    let mut order: Vec<(usize, bool)> = Vec::new();
    for (index, tier) in measured.tiers.iter().enumerate() {
        let last = index + 1 == measured.tiers.len();
        let is_kept = |record: usize| measured.kept[record].is_some_and(|it| it.tier == index);
        let answers = tier.answers.iter();
        let mut answers: Vec<_> = answers.filter(|(it, _)| last || is_kept(*it)).collect();
        // Where labels have thresholds of their own, what is kept comes before what is not.
        answers.sort_by(|a, b| b.1.confidence.total_cmp(&a.1.confidence));
        answers.sort_by_key(|(it, _)| !is_kept(*it));
        let right = |(record, answer): &&(usize, Answer)| {
            (*record, answer.label == sample.records[*record].label)
        };
        order.extend(answers.iter().map(right));
    }
    let of_all = |prices: &Prices| (0..n_records).map(|record| prices.of(record)).sum::<f64>();
    let mut passed_on = prices.map(of_all);
    let all: f64 = (0..n_records).map(|record| sample.weight(record)).sum();
    let step = n_records.div_ceil(POINTS_MAX).max(1);
    let (mut weight, mut right, mut points) = (0.0, 0.0, Vec::new());
    for (index, &(record, correct)) in order.iter().enumerate() {
        weight += sample.weight(record);
        right += if correct { sample.weight(record) } else { 0.0 };
        passed_on = passed_on.map(|usd| usd - prices.map_or(0.0, |prices| prices.of(record)));
        let kept = index + 1;
        if kept >= KEPT_MIN && (kept % step == 0 || kept == order.len()) {
            points.push(CostPoint {
                share_kept: weight / all,
                right: right / weight,
                usd_per_thousand: passed_on.map(|usd| usd.max(0.0) / all * 1e3),
            });
        }
    }
    points
}
