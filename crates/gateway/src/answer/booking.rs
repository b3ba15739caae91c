//! What is booked when a request ends: its decision, its money, and what is kept of it.

use ledger::{LedgerError, NewAudit, NewRecord, Outcome, PassedOn, RequestId, Timestamp, Verdict};

use super::{Answered, End, Item, Way, decision_json};
use crate::agreement::canonical;
use crate::app::App;
use crate::audit::choice::Choice;
use crate::ready::ReadyTask;
use crate::records::content::text_of;
use crate::tier::Bill;

/// What is booked with a decision.
pub(super) struct Books<'a> {
    pub(super) request: &'a RequestId,
    pub(super) at: Timestamp,
    pub(super) prompt_bytes: u64,
    /// Its place in a batch run, where its result goes.
    pub(super) item: Option<&'a Item>,
    pub(super) bill: Bill,
    /// Text and answers, where the task keeps them.
    pub(super) kept: Option<NewRecord>,
    /// The audit, where the answer was chosen for one.
    pub(super) audit: Option<NewAudit>,
    /// What the certificate's monitor shall hear of a request that was passed on.
    pub(super) passed_on: Option<PassedOn>,
}

impl Way<'_> {
    /// The audit of an accepted answer whose lot fell so.
    pub(super) fn audit(
        &self,
        answered: &Answered,
        choice: Option<Choice>,
        at: Timestamp,
    ) -> Option<NewAudit> {
        let (End::Accepted { completion, .. }, Some(watch)) = (&answered.end, &self.rules.watch)
        else {
            return None;
        };
        let chosen = choice.filter(|choice| choice.is_chosen)?;
        let task = &self.task.task;
        let answer = match task.labels {
            Some(_) => completion.text().into_owned(),
            // As the auditor's answer will be, so that the two can be compared.
            None => canonical(task.kind, &completion.text()),
        };
        let text = text_of(self.task, &self.request.prompt);
        watch.audit((chosen, &answered.decision), &answer, (text, at))
    }

    /// What the certificate's monitor shall hear of a request that was passed on.
    pub(super) fn passed_on(&self, answered: &Answered) -> Option<PassedOn> {
        let label = match &answered.end {
            End::Accepted { completion, .. } => {
                let is_label = self.task.task.labels.is_some();
                is_label.then(|| completion.text())
            }
            End::Review { .. } => None,
            // Nothing was answered, and so nothing was decided.
            End::Failed { .. } => return None,
        };
        let watch = self.rules.watch.as_ref()?;
        watch.passed_on(&answered.decision, label.as_deref())
    }
}

/// Books the money, and stores the decision and the batch run's result with it.
///
/// # Errors
/// When the ledger can't write it.
pub(super) async fn record(
    app: &App,
    task: &ReadyTask,
    answered: &Answered,
    books: Books<'_>,
) -> Result<(), LedgerError> {
    let verdict = match &answered.end {
        End::Accepted { tier, .. } => Verdict::Answered { tier: tier.clone() },
        End::Review { .. } => Verdict::Review,
        End::Failed { .. } => Verdict::Failed,
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let decision = ledger::Decision {
        verdict,
        confidence: answered.confidence(),
        escalations: count(answered.decision.escalations()),
        fallbacks: count(answered.decision.fallbacks()),
        json: decision_json::encode(task, answered),
        prompt_bytes: books.prompt_bytes,
        counterfactual: answered.counterfactual,
    };
    let outcome = Outcome {
        request: books.request.clone(),
        at: books.at,
        task: task.task.name.clone(),
        decision,
        resolutions: books.bill.resolutions,
        unpaid: books.bill.unpaid,
        item: books.item.map(|item| item.of_job(task, answered)),
        record: books.kept,
        audit: books.audit,
        passed_on: books.passed_on,
    };
    let is_audited = outcome.audit.is_some();
    let recorded = app.ledger.record(outcome).await?;
    if is_audited {
        app.audit_chosen.notify_one();
    }
    if !recorded.over_hold.is_empty() {
        tracing::error!(
            request.id = %books.request.0,
            "a vendor reported more usage than was held for it; check the tier's price and limits"
        );
    }
    Ok(())
}
