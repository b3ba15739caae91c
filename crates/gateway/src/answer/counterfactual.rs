//! What the frontier alone would have cost: what it did cost where it answered, otherwise an
//! estimate.

use domain::{Labels, Prompt};
use ledger::{Basis, Counterfactual};

use super::{Answered, End};
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tier::remote::estimated_cost;

impl Answered {
    /// What the frontier would have billed for an answer to this prompt; `None` where the task
    /// has none, or none with a price.
    pub(super) fn by_frontier_alone(
        &self,
        app: &App,
        task: &ReadyTask,
        prompt: &Prompt,
    ) -> Option<Counterfactual> {
        let frontier = task.frontier.as_ref()?;
        let estimated = || {
            let price = app.tiers[frontier].price()?;
            let cost = estimated_cost(price, prompt, self.end.answer_bytes(task))?;
            Some(Counterfactual {
                cost,
                basis: Basis::Estimated,
            })
        };
        self.measured(task).or_else(estimated)
    }

    /// What it cost, where the frontier itself answered.
    pub(super) fn measured(&self, task: &ReadyTask) -> Option<Counterfactual> {
        let is_frontier = |tier| task.frontier.as_ref() == Some(tier);
        match &self.end {
            End::Accepted { tier, .. } if is_frontier(tier) => Some(Counterfactual {
                cost: self.accepted_cost,
                basis: Basis::Measured,
            }),
            _ => None,
        }
    }
}

impl End {
    /// The length of the answer, or of the one that is likely where nobody gave any.
    fn answer_bytes(&self, task: &ReadyTask) -> usize {
        match self {
            Self::Accepted { completion, .. }
            | Self::Review {
                suggestion: Some(completion),
            } => completion.text().len(),
            Self::Review { suggestion: None } | Self::Failed { .. } => answer_bytes_likely(task),
        }
    }
}

/// The length of an answer nobody gave: the longest label, or a short paragraph.
fn answer_bytes_likely(task: &ReadyTask) -> usize {
    const PARAGRAPH: usize = 400;
    let longest = |labels: &Labels| labels.iter().map(|label| label.name.len()).max();
    let labels = task.task.labels.as_ref();
    labels.and_then(longest).unwrap_or(PARAGRAPH)
}
