//! Which answer is accepted: the heads, and the threshold on what they say.

use anyhow::Context as _;
use routing::head::{Head, Observation};

use super::CascadeArgs;
use super::cases::{Case, log_odds};

/// How strongly the heads' weights are held to zero.
const RIDGE: f64 = 1.0;

/// A threshold must meet its goal with so many standard errors to spare on the records it is
/// chosen on: what is just met here is missed on other records every second time.
const MARGIN: f64 = 1.0;

/// The best answer after so many tiers: whose it is, and how likely it is right.
#[derive(Clone, Copy)]
struct Stage {
    tier: usize,
    asked: usize,
    probability: f64,
}

/// The head for answers after so many tiers.
pub(super) struct Fitted {
    asked: usize,
    head: Head,
}

/// How a record was answered.
pub(super) struct Answered {
    /// The tier after which it was accepted; the number of tiers for the frontier.
    pub(super) after: usize,
    pub(super) correct: bool,
    pub(super) agrees: bool,
    pub(super) cost_usd: f64,
}

/// What speaks for the answer of one tier, after the first so many tiers.
fn evidence(case: &Case, tier: usize, asked: usize) -> Vec<f64> {
    let answer = &case.tiers[tier].answer;
    let mut evidence = Vec::new();
    for given in &case.tiers[..asked] {
        let agrees = given.answer == *answer;
        // A tier speaks for its own answer and as strongly against another.
        evidence.push(if agrees { 1.0 } else { 0.0 });
        evidence.push(
            if agrees {
                given.sureness
            } else {
                -given.sureness
            } / 4.0,
        );
    }
    if let Some((_, odds)) = case.student.iter().find(|(label, _)| label == answer) {
        evidence.push(odds / 4.0);
    } else if !case.student.is_empty() {
        evidence.push(log_odds(0.0) / 4.0);
    }
    evidence
}

/// One head for each number of tiers after which an answer may be accepted.
pub(super) fn heads(cases: &[&Case], args: &CascadeArgs) -> anyhow::Result<Vec<Fitted>> {
    let n_tiers = args.tiers.len();
    let head = |asked: usize| {
        let observation = |case: &&Case, tier: usize| Observation {
            evidence: evidence(case, tier, asked),
            correct: case.tiers[tier].correct,
        };
        let records: Vec<Observation> = cases
            .iter()
            .flat_map(|case| (0..asked).map(move |tier| observation(case, tier)))
            .collect();
        let head =
            Head::fit(&records, RIDGE).context("too few records to fit the deferral head on")?;
        Ok(Fitted { asked, head })
    };
    (if args.in_turn { 1 } else { n_tiers }..=n_tiers)
        .map(head)
        .collect()
}

/// The best answer after each number of tiers asked.
fn stages(case: &Case, heads: &[Fitted]) -> Vec<Stage> {
    let stage = |fitted: &Fitted| {
        let asked = fitted.asked;
        let probability = |tier| fitted.head.probability(&evidence(case, tier, asked));
        (0..asked)
            .map(|tier| Stage {
                tier,
                asked,
                probability: probability(tier),
            })
            .reduce(|a, b| if b.probability > a.probability { b } else { a })
    };
    heads.iter().filter_map(stage).collect()
}

pub(super) fn answer(case: &Case, heads: &[Fitted], threshold: f64) -> Answered {
    let accepted = stages(case, heads)
        .into_iter()
        .find(|stage| stage.probability >= threshold);
    let last = accepted.map_or(&case.frontier, |stage| &case.tiers[stage.tier]);
    let asked = accepted.map_or(case.tiers.len(), |stage| stage.asked);
    let frontier_cost = if accepted.is_none() {
        case.frontier.cost_usd
    } else {
        0.0
    };
    let asked_cost: f64 = case.tiers[..asked].iter().map(|given| given.cost_usd).sum();
    Answered {
        after: accepted.map_or(case.tiers.len(), |stage| stage.asked - 1),
        correct: last.correct,
        agrees: last.answer == case.frontier.answer,
        cost_usd: asked_cost + frontier_cost,
    }
}

/// The lowest threshold that keeps to the largest share of calls, or else that is as often right
/// as the frontier alone.
pub(super) fn threshold(cases: &[&Case], heads: &[Fitted], calls_max: Option<f64>) -> f64 {
    // What counts for a threshold is each record's highest probability on the way.
    let mut records: Vec<(f64, &Case)> = cases
        .iter()
        .map(|case| {
            let top = stages(case, heads)
                .iter()
                .map(|stage| stage.probability)
                .fold(0.0, f64::max);
            (top, *case)
        })
        .collect();
    records.sort_by(|a, b| b.0.total_cmp(&a.0));
    if let Some(share) = calls_max {
        let n = records.len() as f64;
        let share = share - MARGIN * (share * (1.0 - share) / n).sqrt();
        let kept = (((1.0 - share) * n).ceil() as usize).min(records.len());
        return records
            .get(kept.max(1) - 1)
            .map_or(f64::INFINITY, |(top, _)| *top);
    }
    let steps = (0..=200).map(|step| f64::from(step) / 200.0);
    steps
        .into_iter()
        .find(|&t| loses_nothing(cases, heads, t))
        .unwrap_or(f64::INFINITY)
}

/// Whether the cascade gains on the frontier alone by more than the margin.
fn loses_nothing(cases: &[&Case], heads: &[Fitted], threshold: f64) -> bool {
    let (mut gained, mut lost) = (0.0_f64, 0.0_f64);
    for case in cases {
        match (
            answer(case, heads, threshold).correct,
            case.frontier.correct,
        ) {
            (true, false) => gained += 1.0,
            (false, true) => lost += 1.0,
            _ => {}
        }
    }
    gained - lost >= MARGIN * (gained + lost).sqrt()
}
