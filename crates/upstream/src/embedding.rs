//! Vectors of texts from an endpoint, one attempt at a time.

use domain::Protocol;
use tokio::time::Instant;
use wire::embedding::{EmbeddingRequest, Embeddings};
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
    /// The texts. The endpoint's own model is asked, whatever the request names.
    pub request: &'a EmbeddingRequest,
    /// When the request's time is over; see [`crate::RetrySchedule::deadline`].
    pub deadline: Instant,
}

impl Client {
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
        let body = match endpoint.protocol {
            Protocol::Google => google::embed::encode_request(&endpoint.model, attempt.request),
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Anthropic => {
                openai::embeddings::encode_request(&endpoint.model, attempt.request)
            }
        };
        let request = self.post(&endpoint.embeddings_uri, attempt.id, body);
        let limit = (attempt.deadline, Breakage::Total);
        let body = self.send(request, limit, attempt.deadline).await?;
        let texts = attempt.request.texts.len();
        let bytes_max = ANSWER_BYTES_MAX + texts.saturating_mul(VECTOR_BYTES_MAX);
        let embeddings = self.read(body, bytes_max, |answer| match endpoint.protocol {
            Protocol::Google => google::embed::parse_embeddings(answer),
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Anthropic => {
                openai::embeddings::parse_embeddings(answer)
            }
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
