//! What is booked when a request ends: its decision, its money, and what is kept of it.

use ledger::{
    JobItem, LedgerError, NewAudit, NewRecord, Outcome, PassedOn, RequestId, Timestamp, Verdict,
};

use super::{Answered, End, decision_json};
use crate::app::App;
use crate::ready::ReadyTask;
use crate::tier::Bill;

/// What is booked with a decision.
pub(super) struct Books {
    pub(super) at: Timestamp,
    pub(super) bill: Bill,
    /// Text and answers, where the task keeps them.
    pub(super) kept: Option<NewRecord>,
    /// The audit, where the answer was chosen for one.
    pub(super) audit: Option<NewAudit>,
    /// What the certificate's monitor shall hear of a request that was passed on.
    pub(super) passed_on: Option<PassedOn>,
}

impl Books {
    /// Those of an answer of which nothing is kept.
    pub(super) fn of(bill: Bill, at: Timestamp) -> Self {
        Self {
            at,
            bill,
            kept: None,
            audit: None,
            passed_on: None,
        }
    }
}

/// The request that a decision is about.
pub(super) struct Booked<'a> {
    pub(super) id: &'a RequestId,
    pub(super) prompt_bytes: u64,
    /// Its place in a batch run, with its result.
    pub(super) item: Option<JobItem>,
}

/// Books the money, and stores the decision and the batch run's result with it.
pub(super) async fn record(
    app: &App,
    task: &ReadyTask,
    request: Booked<'_>,
    (answered, books): (&Answered, Books),
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
        prompt_bytes: request.prompt_bytes,
        counterfactual: answered.counterfactual,
    };
    let outcome = Outcome {
        request: request.id.clone(),
        at: books.at,
        task: task.task.name.clone(),
        decision,
        resolutions: books.bill.resolutions,
        unpaid: books.bill.unpaid,
        item: request.item,
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
            request.id = %request.id.0,
            "a vendor reported more usage than was held for it; check the tier's price and limits"
        );
    }
    Ok(())
}
