//! Vectors of texts by the engine.

use std::time::Instant;

use domain::{PromptTokens, Usage};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ledger::{AttemptId, UnpaidAttempt};
use wire::embedding::{EmbeddingText, Embeddings};

use super::{LocalTier, broken, ended, failed};
use crate::clock;
use crate::engine::{End, Work};
use crate::tenant::Tenant;
use crate::tier::{Asked, Bill, EmbeddingQuestion, TierFailure};

/// Texts of one request that the engine has at once: enough to fill its steps, and few enough
/// that a long list doesn't fill its queue.
const AT_ONCE: usize = 8;

impl LocalTier {
    /// How many numbers a vector has.
    pub(crate) fn dimensions(&self) -> usize {
        self.about.dimensions
    }

    /// Makes a vector of each text.
    ///
    /// # Cancel safety
    /// When dropped midway the texts leave the engine within one step.
    pub(crate) async fn embed(&self, question: EmbeddingQuestion<'_>) -> Asked<Embeddings> {
        let start = Instant::now();
        let result = self.embeddings(&question).await;
        let mut bill = Bill::default();
        if let Ok(embeddings) = &result {
            bill.unpaid.push(UnpaidAttempt {
                attempt: AttemptId::generate(clock::now()),
                tier: question.account.tier.clone(),
                model: self.about.model.clone(),
                usage: Usage {
                    prompt: embeddings.prompt.unwrap_or_default(),
                    ..Usage::default()
                },
            });
        }
        Asked {
            result,
            bill,
            elapsed: start.elapsed(),
        }
    }

    async fn embeddings(
        &self,
        question: &EmbeddingQuestion<'_>,
    ) -> Result<Embeddings, TierFailure> {
        let texts = question.asked.texts.iter();
        let each: Vec<_> = texts
            .map(|text| self.embedding(question.tenant, text))
            .collect();
        let all: Vec<(Vec<f32>, u64)> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        let (vectors, tokens): (Vec<_>, Vec<u64>) = all.into_iter().unzip();
        Ok(Embeddings {
            vectors,
            prompt: Some(PromptTokens(tokens.into_iter().sum())),
            model: self.about.model.clone(),
        })
    }

    /// A text's vector, and how many tokens it has.
    async fn embedding(
        &self,
        tenant: &Tenant,
        text: &EmbeddingText,
    ) -> Result<(Vec<f32>, u64), TierFailure> {
        let mut call = self.put(tenant, Work::Embed(text.clone())).await?;
        match ended(&mut call).await? {
            End::Embedded { vector, usage } => {
                // It is another process that says so.
                let is_sound = vector.iter().all(|number| number.is_finite());
                match is_sound && vector.len() == self.about.dimensions {
                    true => Ok((vector, usage.prompt)),
                    false => Err(broken()),
                }
            }
            other => Err(failed(other)),
        }
    }
}
