//! A request for vectors of texts, from its texts to its recorded answer.

use domain::{Completion, FinishReason, Usage};
use ledger::{LedgerError, RequestId};
use routing::cascade::Step;
use wire::embedding::{EmbeddingRequest, Embeddings};

use super::booking::{Books, record};
use super::{Answered, Item, outcome_of};
use crate::app::App;
use crate::clock;
use crate::ready::{ReadyTask, decide};
use crate::tenant::Tenant;
use crate::tier::{Account, Asked, EmbeddingQuestion, TierAnswer};

/// Texts of which vectors are wanted.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) id: RequestId,
    /// On whose behalf.
    pub(crate) tenant: Tenant,
    pub(crate) asked: EmbeddingRequest,
    /// The line of a batch that this is.
    pub(crate) item: Option<Item>,
}

/// Asks the one tier of a task for the vectors of texts, where policy lets them go there, and
/// records what it cost. Another tier's vectors would not be comparable, so none is asked instead.
///
/// # Errors
/// When the ledger can't record it: then the vectors must not be given out.
///
/// # Cancel safety
/// As with [`super::answer`].
pub(crate) async fn embed(
    app: &App,
    task: &ReadyTask,
    texts: &Texts,
) -> Result<Answered, LedgerError> {
    let _in_flight = app.metrics.in_flight();
    let cascade = task.rules.cascade_now();
    let (mut decision, mut asked, mut vectors) = (decide(cascade, &[]), Vec::new(), None);
    if let Step::Ask { rung } = decision.step {
        let tier = &cascade.rungs()[rung].tier;
        let question = EmbeddingQuestion {
            account: Account {
                request: &texts.id,
                task,
                tier,
            },
            tenant: &texts.tenant,
            asked: &texts.asked,
        };
        let came = app.tiers[tier].embed(question).await;
        let (in_the_books, kept) = parted(came);
        decision = decide(cascade, &[outcome_of(&in_the_books, None)]);
        asked.push((rung, in_the_books));
        vectors = kept;
    }
    let (mut answered, bill) = Answered::of(decision, asked);
    answered.counterfactual = answered.measured(task);
    answered.vectors = vectors;
    let books = Books {
        request: &texts.id,
        at: clock::now(),
        // A token has at least a byte.
        prompt_bytes: texts.asked.tokens_max(),
        item: texts.item.as_ref(),
        bill,
        kept: None,
        audit: None,
        passed_on: None,
    };
    record(app, task, &answered, books).await?;
    answered.count(app, task);
    Ok(answered)
}

/// What a tier gave, as every answer is booked, without a text; and the vectors.
fn parted(came: Asked<Embeddings>) -> (Asked, Option<Embeddings>) {
    let mut vectors = None;
    let asked = came.and_then(|embeddings| {
        let usage = embeddings.prompt.map(|prompt| Usage {
            prompt,
            ..Usage::default()
        });
        let completion = Completion {
            usage,
            model: embeddings.model.clone(),
            ..Completion::new("", FinishReason::Stop)
        };
        vectors = Some(embeddings);
        Ok(TierAnswer {
            completion,
            label: None,
            evidence: None,
            is_whole: true,
        })
    });
    (asked, vectors)
}
