//! Vectors of texts from an endpoint, one attempt at a time.

use tokio::time::Instant;
use wire::embedding::{EmbeddingRequest, Embeddings, TEXTS_MAX};
use wire::{google, openai};

use crate::client::Client;
use crate::error::{Breakage, UpstreamError};
use crate::reading::ANSWER_BYTES_MAX;

/// Most bytes of a vector in an answer: some 5,000 numbers as servers write them.
const VECTOR_BYTES_MAX: usize = 128 << 10;

/// What is sent in one attempt.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingAttempt<'a> {
    /// The attempt's name; see [`crate::Attempt::id`].
    pub id: &'a str,
    /// The texts, at most [`Client::texts_max`]. The endpoint's own model is asked, whatever the
    /// request names.
    pub request: &'a EmbeddingRequest,
    /// When the request's time is over; see [`crate::RetrySchedule::deadline`].
    pub deadline: Instant,
}

impl Client {
    /// Most texts that one attempt may ask for vectors of; at least 1.
    #[must_use]
    pub fn texts_max(&self) -> usize {
        let manner = self.endpoint().embedding;
        manner.map_or(TEXTS_MAX, |manner| manner.texts_max())
    }

    /// The vectors of some texts, one for each in order, from exactly one HTTP request. Anthropic
    /// has no such surface and is asked all the same; [`EmbeddingRequest::loss`] says that before.
    ///
    /// # Errors
    /// As with [`Client::attempt`]. Another number of vectors than of texts is an answer that
    /// can't be read.
    ///
    /// # Cancel safety
    /// As with [`Client::attempt`].
    pub async fn embed(&self, attempt: &EmbeddingAttempt<'_>) -> Result<Embeddings, UpstreamError> {
        self.admitted(self.embedded(attempt)).await
    }

    async fn embedded(&self, attempt: &EmbeddingAttempt<'_>) -> Result<Embeddings, UpstreamError> {
        let endpoint = self.endpoint();
        let texts = attempt.request.texts.len();
        let body = match endpoint.embedding {
            Some(manner) => manner.encode_request(&endpoint.model, attempt.request),
            None => openai::embeddings::encode_request(&endpoint.model, attempt.request),
        };
        let uri = match texts {
            1 => &endpoint.embedding_uri,
            _ => &endpoint.embeddings_uri,
        };
        let request = self.post(uri, attempt.id, body);
        let limit = (attempt.deadline, Breakage::Total);
        let body = self.send(request, limit, attempt.deadline).await?;
        let bytes_max = ANSWER_BYTES_MAX + texts.saturating_mul(VECTOR_BYTES_MAX);
        let embeddings = self.read(body, bytes_max, |answer| match endpoint.embedding {
            Some(_) => google::embed::parse_embeddings(answer),
            None => openai::embeddings::parse_embeddings(answer),
        });
        let embeddings = embeddings.await?;
        let vectors = embeddings.vectors.len();
        if vectors != texts {
            let fault = format!("{vectors} vectors came of {texts} texts");
            return Err(self.broken(Breakage::Unreadable(fault)));
        }
        Ok(embeddings)
    }
}
