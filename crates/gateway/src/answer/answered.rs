//! How a request ended, and why.

use domain::{Completion, Picodollars, TierName};
use ledger::{Counterfactual, ItemStatus};
use routing::cascade::{Decision, Step, Turn};
use routing::evidence::Evidence;
use wire::embedding::Embeddings;

use super::decision_json::asked_verdict;
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tier::{Asked, Bill, Fault, TierAnswer, TierFailure};

/// How a request ended, and why.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) end: End,
    pub(crate) decision: Decision,
    /// What the accepted answer brought to be judged by.
    pub(crate) evidence: Option<Evidence>,
    /// How long each tier that was asked took, in the order of asking.
    pub(crate) elapsed_ms: Vec<f64>,
    /// What was spent on it.
    pub(crate) cost: Picodollars,
    /// Of that, what was spent on the accepted answer's tier.
    pub(super) accepted_cost: Picodollars,
    /// What the frontier alone would have cost, where the task has one.
    pub(crate) counterfactual: Option<Counterfactual>,
    /// The vectors, where vectors were asked for; the accepted answer has no text then.
    pub(crate) vectors: Option<Embeddings>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum End {
    /// A tier's answer was accepted.
    Accepted {
        tier: TierName,
        completion: Completion,
    },
    /// A person decides; the suggestion is the last tier's answer.
    Review { suggestion: Option<Completion> },
    /// No tier could answer.
    Failed {
        reason: String,
        retryable: bool,
        fault: Fault,
    },
}

impl Answered {
    /// How a decided request ended, by what came of each tier that was asked, by its rung and in
    /// the order of asking; and what all of them together are to be billed.
    pub(super) fn of(decision: Decision, asked: Vec<(usize, Asked)>) -> (Self, Bill) {
        let elapsed_ms = asked.iter().map(|(_, it)| it.elapsed.as_secs_f64() * 1e3);
        let elapsed_ms = elapsed_ms.collect();
        let mut accepted = asked.iter();
        let accepted = accepted.find(|(rung, _)| decision.step == Step::Accept { rung: *rung });
        let accepted_cost = accepted.map_or(Picodollars::ZERO, |(_, it)| it.bill.cost);
        let (end, evidence, bill) = conclude(&decision, asked);
        let answered = Self {
            cost: bill.cost,
            accepted_cost,
            end,
            decision,
            evidence,
            elapsed_ms,
            counterfactual: None,
            vectors: None,
        };
        (answered, bill)
    }

    /// The confidence of the accepted answer.
    pub(crate) fn confidence(&self) -> Option<f64> {
        self.decision.accepted().and_then(|rung| match rung.turn {
            Turn::Accepted { confidence, .. } => confidence,
            _ => None,
        })
    }

    /// The tiers that were not asked because a router foretold that it would be in vain.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = &TierName> {
        let rungs = self.decision.rungs.iter();
        rungs
            .filter(|rung| matches!(rung.turn, Turn::Skipped { .. }))
            .map(|rung| &rung.tier)
    }

    /// Counts it in the metrics.
    pub(super) fn count(&self, app: &App, task: &ReadyTask) {
        let outcome = match &self.end {
            End::Accepted { .. } => "answered",
            End::Review { .. } => "review",
            End::Failed { .. } => "failed",
        };
        app.metrics.request_ended(task.task.name.as_str(), outcome);
        app.metrics.spent(self.cost);
        for tier in self.skipped() {
            app.metrics.skipped(tier.as_str());
        }
        let asked = self
            .decision
            .rungs
            .iter()
            .filter_map(|rung| Some((rung.tier.as_str(), asked_verdict(&rung.turn)?)));
        for ((tier, verdict), elapsed_ms) in asked.zip(&self.elapsed_ms) {
            app.metrics.attempt_ended(tier, verdict, elapsed_ms / 1e3);
        }
    }
}

impl End {
    /// What it comes to in a batch run.
    pub(super) fn item_status(&self) -> ItemStatus {
        match self {
            Self::Accepted { .. } => ItemStatus::Answered,
            Self::Review { .. } => ItemStatus::Review,
            Self::Failed { retryable, .. } => ItemStatus::Failed {
                retryable: *retryable,
            },
        }
    }
}

/// Picks the answer that the decision names with its evidence, and adds up what all attempts cost.
fn conclude(decision: &Decision, asked: Vec<(usize, Asked)>) -> (End, Option<Evidence>, Bill) {
    let mut bill = Bill::default();
    let mut results: Vec<(usize, Result<TierAnswer, TierFailure>)> = Vec::new();
    for (rung, came) in asked {
        bill.append(came.bill);
        results.push((rung, came.result));
    }
    let mut answer_at = |wanted: usize| {
        let index = results.iter().position(|(rung, _)| *rung == wanted)?;
        results.swap_remove(index).1.ok()
    };
    let mut evidence = None;
    let end = match decision.step {
        Step::Accept { rung } => answer_at(rung).map(|answer| {
            evidence = answer.evidence;
            End::Accepted {
                tier: decision.rungs[rung].tier.clone(),
                completion: answer.completion,
            }
        }),
        Step::Review { suggestion } => Some(End::Review {
            suggestion: suggestion
                .and_then(&mut answer_at)
                // The beginning of an answer helps nobody.
                .filter(|answer| answer.is_whole)
                .map(|answer| answer.completion),
        }),
        Step::Fail { .. } | Step::Ask { .. } => None,
    };
    let end = end.unwrap_or_else(|| failed(decision, results));
    (end, evidence, bill)
}

/// The failure to tell: that of the last tier, which is the one that had to answer.
fn failed(decision: &Decision, results: Vec<(usize, Result<TierAnswer, TierFailure>)>) -> End {
    let retryable = matches!(decision.step, Step::Fail { retryable: true });
    let last = results
        .into_iter()
        .rev()
        .find_map(|(rung, result)| Some((rung, result.err()?)));
    match last {
        Some((rung, failure)) => End::Failed {
            reason: format!("tier {}: {}", decision.rungs[rung].tier, failure.reason),
            retryable,
            fault: failure.fault,
        },
        None => End::Failed {
            reason: "no tier of the task could be asked".to_owned(),
            retryable,
            fault: Fault::Tier,
        },
    }
}
