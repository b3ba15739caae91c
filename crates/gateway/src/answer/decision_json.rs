//! A decision as it is stored and shown: every rung with what became of it, and why.

use routing::cascade::{Rule, Turn};
use serde::Serialize;

use super::Answered;
use crate::ready::ReadyTask;

/// One rung.
#[derive(Debug, Serialize)]
pub(crate) struct StepJson {
    tier: String,
    /// `accepted`, `escalated`, `skipped`, `failed`, `handed`, `barred`, `unproven` or
    /// `not_reached`.
    verdict: &'static str,
    /// The label answered, in a task with labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// Raw, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// The confidence from which it is accepted, with this label; absent where it always is, or
    /// never.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    /// How likely its answer would have been accepted, of one that a router skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    chance: Option<f64>,
    /// Why it failed or was passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Milliseconds from asking to the whole answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<f64>,
}

#[derive(Serialize)]
struct DecisionJson {
    version: u32,
    sensitivity: &'static str,
    steps: Vec<StepJson>,
}

/// The whole decision as JSON; with the cascade it can be replayed.
pub(super) fn encode(task: &ReadyTask, answered: &Answered) -> String {
    let sensitivity = answered.decision.sensitivity.as_str();
    let decision = DecisionJson {
        version: 1,
        sensitivity,
        steps: answered.decision_steps(task),
    };
    serde_json::to_string(&decision)
        .unwrap_or_else(|_| unreachable!("strings and finite numbers always encode"))
}

impl Answered {
    /// Each rung's decision as it is stored and shown, in order.
    pub(crate) fn decision_steps(&self, task: &ReadyTask) -> Vec<StepJson> {
        let mut elapsed = self.elapsed_ms.iter().copied();
        let rungs = self.decision.rungs.iter();
        rungs
            .map(|rung| {
                let name =
                    |label: Option<usize>| Some(task.task.labels.as_ref()?.name(label?).into());
                let mut step = StepJson {
                    tier: rung.tier.to_string(),
                    verdict: verdict(&rung.turn),
                    answer: None,
                    confidence: None,
                    threshold: None,
                    chance: None,
                    reason: None,
                    elapsed_ms: None,
                };
                if asked_verdict(&rung.turn).is_some() {
                    step.elapsed_ms = elapsed.next().map(|ms| (ms * 1e3).round() / 1e3);
                }
                if let Rule::Threshold(threshold) = rung.rule {
                    step.threshold = Some(threshold);
                }
                if let Turn::Accepted { label, .. } | Turn::Escalated { label, .. } = rung.turn {
                    step.threshold = rung.rule.threshold(label);
                }
                match &rung.turn {
                    Turn::Accepted { label, confidence }
                    | Turn::Escalated { label, confidence } => {
                        step.answer = name(*label);
                        step.confidence = *confidence;
                    }
                    Turn::Failed { reason, .. } => step.reason = Some(reason.clone()),
                    Turn::Barred => {
                        step.reason = Some(format!(
                            "a {} text may not leave",
                            self.decision.sensitivity.as_str()
                        ));
                    }
                    Turn::Unproven => {
                        step.reason =
                            Some("no threshold met the target on held-out records".into());
                    }
                    Turn::Skipped { chance } => {
                        let percent = chance * 100.0;
                        step.chance = Some(*chance);
                        step.reason = Some(format!(
                            "the router gives its answer a chance of {percent:.1} % to be kept"
                        ));
                    }
                    Turn::Handed | Turn::Due | Turn::NotReached => {}
                }
                step
            })
            .collect()
    }
}

fn verdict(turn: &Turn) -> &'static str {
    match turn {
        Turn::Barred => "barred",
        Turn::Unproven => "unproven",
        Turn::Skipped { .. } => "skipped",
        Turn::Accepted { .. } => "accepted",
        Turn::Escalated { .. } => "escalated",
        Turn::Failed { .. } => "failed",
        Turn::Handed => "handed",
        Turn::Due | Turn::NotReached => "not_reached",
    }
}

/// The verdict on a tier that was asked; `None` for one that was not.
pub(super) fn asked_verdict(turn: &Turn) -> Option<&'static str> {
    matches!(
        turn,
        Turn::Accepted { .. } | Turn::Escalated { .. } | Turn::Failed { .. }
    )
    .then(|| verdict(turn))
}
