//! One line of a batch run's output.

use serde::Serialize;

use crate::answer::{Answered, End, Item, StepJson};
use crate::ready::ReadyTask;

/// A document's result.
#[derive(Debug, Serialize)]
pub(crate) struct ResultLine {
    /// What the input calls the document.
    id: String,
    /// Its place in the input, from 0.
    row: u64,
    task: String,
    /// `answered`, `review` (a person decides) or `failed`.
    status: &'static str,
    /// The answer, or with `review` the suggestion.
    answer: Option<String>,
    /// The tier whose answer was accepted.
    tier: Option<String>,
    /// Raw confidence of the accepted answer, 0 to 1.
    confidence: Option<f64>,
    /// The right answer, as the input gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<String>,
    escalations: usize,
    fallbacks: usize,
    /// Exact, in US dollars.
    cost_usd: String,
    /// Why it failed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Every tier of the task, with what became of it.
    decision: Vec<StepJson>,
}

impl ResultLine {
    /// The result of a document that was put to the tiers.
    pub(crate) fn of(task: &ReadyTask, item: &Item, answered: &Answered) -> Self {
        let mut line = Self::empty(task, item);
        line.decision = answered.decision_steps(task);
        line.confidence = answered.confidence();
        line.escalations = answered.decision.escalations();
        line.fallbacks = answered.decision.fallbacks();
        line.cost_usd = answered.cost.to_usd();
        match &answered.end {
            End::Accepted {
                tier, completion, ..
            } => {
                line.status = "answered";
                line.answer = Some(completion.text().into_owned());
                line.tier = Some(tier.to_string());
            }
            End::Review { suggestion } => {
                line.status = "review";
                line.answer = suggestion
                    .as_ref()
                    .map(|completion| completion.text().into_owned());
            }
            End::Failed { reason, .. } => line.error = Some(reason.clone()),
        }
        line
    }

    /// The result of a row that holds no document.
    pub(crate) fn unreadable(task: &ReadyTask, item: &Item, reason: &str) -> Self {
        let mut line = Self::empty(task, item);
        line.error = Some(reason.to_owned());
        line
    }

    fn empty(task: &ReadyTask, item: &Item) -> Self {
        Self {
            id: item.document.clone(),
            row: item.ordinal,
            task: task.task.name.to_string(),
            status: "failed",
            answer: None,
            tier: None,
            confidence: None,
            gold: item.gold.clone(),
            escalations: 0,
            fallbacks: 0,
            cost_usd: "0".to_owned(),
            error: None,
            decision: Vec::new(),
        }
    }

    /// The line as JSON, without its end.
    pub(crate) fn encode(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|_| unreachable!("strings and finite numbers always encode"))
    }
}
