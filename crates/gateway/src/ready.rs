//! A task with all that answering it takes: its cascade, its student, its limits.

use domain::{Generation, Picodollars, Prompt, Task, TierKind, TierName};
use ledger::Counterfactual;
use routing::cascade::{Cascade, Decision, Outcome, Rule, Step, replay};
use routing::student::Student;

use crate::answer::{End, counterfactual};
use crate::app::App;
use crate::config::Budget;
use crate::tier::remote::estimated_cost;

/// A task that can be answered.
#[derive(Debug)]
pub(crate) struct ReadyTask {
    pub(crate) task: Task,
    pub(crate) cascade: Cascade,
    pub(crate) student: Option<Student>,
    pub(crate) budget: Option<Budget>,
    /// How tiers write unless the client says otherwise.
    pub(crate) generation: Generation,
    /// The tier beside which the cascade's cost is shown.
    pub(crate) frontier: Option<TierName>,
}

impl ReadyTask {
    /// What is to be done after these outcomes of this task's cascade.
    pub(crate) fn decide(&self, outcomes: &[Outcome]) -> Decision {
        replay(&self.cascade, outcomes)
            .unwrap_or_else(|_| unreachable!("the outcomes are those the cascade asked for"))
    }

    /// Whether this rung's answer will be accepted whatever it is.
    pub(crate) fn accepts_always(&self, rung: usize) -> bool {
        self.cascade.rungs()[rung].rule == Rule::Always
    }

    /// What a request costs with the frontier alone.
    pub(crate) fn counterfactual(
        &self,
        app: &App,
        prompt: &Prompt,
        end: &End,
        cost: Picodollars,
    ) -> Option<Counterfactual> {
        let frontier = self.frontier.as_ref()?;
        let answered_by_it = matches!(end, End::Accepted { tier, .. } if tier == frontier);
        let answer_bytes = match end {
            End::Accepted { completion, .. }
            | End::Review {
                suggestion: Some(completion),
            } => completion.text.len(),
            End::Review { suggestion: None } | End::Failed { .. } => self.answer_bytes_likely(),
        };
        counterfactual(answered_by_it.then_some(cost), || {
            estimated_cost(app.tiers[frontier].price()?, prompt, answer_bytes)
        })
    }

    /// The length of an answer nobody gave: the longest label, or a short paragraph.
    fn answer_bytes_likely(&self) -> usize {
        const PARAGRAPH: usize = 400;
        let longest = |labels: &domain::Labels| labels.iter().map(|label| label.name.len()).max();
        self.task
            .labels
            .as_ref()
            .and_then(longest)
            .unwrap_or(PARAGRAPH)
    }

    /// The tiers with the confidence from which each is accepted, for the log and reports.
    pub(crate) fn rules(&self) -> String {
        let rung = |rung: &routing::cascade::Rung| match rung.rule {
            _ if rung.kind == TierKind::Person => format!("{} reviews", rung.tier),
            Rule::Threshold(threshold) => format!("{} from {threshold:.4}", rung.tier),
            Rule::Always => format!("{} always", rung.tier),
            Rule::Never => format!("{} never", rung.tier),
        };
        self.cascade
            .rungs()
            .iter()
            .map(rung)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Whether a first step exists: a task whose every tier is barred only ever reviews.
    pub(crate) fn asks_somebody(&self) -> bool {
        matches!(self.decide(&[]).step, Step::Ask { .. })
    }
}
