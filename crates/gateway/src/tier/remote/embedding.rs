//! Vectors of texts from a pool or a frontier.

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use wire::embedding::Embeddings;

use super::super::{Asked, Bill, EmbeddingQuestion, TierFailure};
use super::RemoteTier;

/// How many groups of a request's texts are asked about at once.
const GROUPS_AT_ONCE: usize = 4;

impl RemoteTier {
    /// Asks for vectors until they are there or no further attempt is allowed: in groups of as many
    /// texts as the vendor takes at once, each an attempt with a hold of its own.
    ///
    /// # Cancel safety
    /// As with [`Self::ask`].
    pub(crate) async fn embed(&self, question: EmbeddingQuestion<'_>) -> Asked<Embeddings> {
        let texts_max = self.pool.texts_max();
        if question.asked.texts.len() <= texts_max {
            return self.run(question.account, question.asked).await;
        }
        let start = Instant::now();
        let groups = question.asked.in_groups(texts_max);
        let mut waiting = groups.iter();
        let mut asked = FuturesOrdered::new();
        let mut bill = Bill::default();
        let mut vectors: Option<Result<Embeddings, TierFailure>> = None;
        loop {
            // After a failure no further group is begun, and those in flight are waited for: what
            // they cost is known then.
            let may_begin = !matches!(vectors, Some(Err(_)));
            let room = GROUPS_AT_ONCE - asked.len();
            let next = waiting.by_ref().take(if may_begin { room } else { 0 });
            asked.extend(next.map(|group| self.run(question.account, group)));
            let Some(came) = asked.next().await else {
                break;
            };
            bill.append(came.bill);
            vectors = Some(match (vectors, came.result) {
                (Some(Ok(before)), Ok(more)) => Ok(before.followed_by(more)),
                (Some(Err(failure)), _) => Err(failure),
                (_, result) => result,
            });
        }
        Asked {
            result: vectors.unwrap_or_else(|| unreachable!("there is more than one group")),
            bill,
            elapsed: start.elapsed(),
        }
    }
}
