//! Asking a later tier of a task about records, so that others can be compared with it.

use anyhow::bail;
use domain::{Picodollars, TierName};
use futures_util::StreamExt as _;
use ledger::RequestId;
use uuid::Uuid;
use wire::chat::RequestedGeneration;

use crate::answer::{self, End, Request};
use crate::app::App;
use crate::config::TaskConfig;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;
use crate::terminal;

/// Requests at once; the tier's own limit may be lower.
const AT_ONCE: usize = 16;

/// What the tier made of a text.
#[derive(Debug, Clone)]
pub(crate) struct Referred {
    /// The index of its label; `None` where it answered none of them, or not at all.
    pub(crate) label: Option<usize>,
    /// What it said, in a task without labels.
    pub(crate) text: Option<String>,
    pub(crate) cost: Picodollars,
}

/// What a tier answers to each text, and what all of it cost, on the way of every request: within
/// the task's budget, with a hold before and a booking after.
///
/// # Errors
/// When it answers none of them, or the ledger can't record what it cost.
pub(crate) async fn asked(
    app: &App,
    task: &TaskConfig,
    tier: &TierName,
    texts: &[String],
) -> anyhow::Result<(Vec<Referred>, Picodollars)> {
    let alone = ReadyTask::alone(task, tier, app.tiers[tier].kind());
    let labels = &alone.task.labels;
    let at_once = AT_ONCE.min(alone.queue_max(app));
    let bar = terminal::bar(
        texts.len() as u64,
        "{prefix} [{bar:28}] {pos}/{len} · {rate} · {msg} · {eta} left",
    );
    bar.set_prefix(format!("asking {tier} for reference"));
    let ask = |text: &String| {
        let request = Request {
            id: RequestId(Uuid::now_v7().to_string()),
            tenant: Tenant::program(),
            prompt: alone.task.prompt_for(text),
            generation: RequestedGeneration::default(),
            extra: None,
            item: None,
        };
        let alone = &alone;
        async move { answer::answer(app, alone, &request, None).await }
    };
    let mut coming = futures_util::stream::iter(texts.iter().map(ask)).buffered(at_once);
    let (mut answers, mut cost, mut fault) = (Vec::new(), Picodollars::ZERO, None);
    while let Some(answered) = coming.next().await {
        let answered = answered?;
        cost = cost.plus(answered.cost)?;
        let (mut label, mut text) = (None, None);
        match (answered.end, labels) {
            (End::Accepted { completion, .. }, Some(labels)) => {
                label = labels.parse(&completion.text());
            }
            (End::Accepted { completion, .. }, None) => text = Some(completion.text().into_owned()),
            (End::Failed { reason, .. }, _) => fault = Some(reason),
            (End::Review { .. }, _) => {}
        }
        answers.push(Referred {
            label,
            text,
            cost: answered.cost,
        });
        bar.inc(1);
        bar.set_message(cost.to_string());
    }
    bar.finish_and_clear();
    let without = answers
        .iter()
        .filter(|answer| answer.label.is_none() && answer.text.is_none())
        .count();
    if without == answers.len() {
        let fault = fault.unwrap_or_else(|| "its answers are no labels".to_owned());
        bail!("the reference {tier} answers none of the records: {fault}");
    }
    if let Some(reason) = fault {
        tracing::warn!(tier.id = %tier, records.failed = without, reason, "records without a reference");
    }
    Ok((answers, cost))
}
