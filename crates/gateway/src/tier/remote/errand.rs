//! What a tier's servers are asked for: one attempt is one HTTP request.

use domain::{Accumulator, Completion, CompletionTokens, PromptTokens, StreamEvent, Usage};
use tokio::time::Instant;
use upstream::{Attempt, Client, EmbeddingAttempt, Prefix, UpstreamError};
use wire::embedding::{EmbeddingRequest, Embeddings};

use super::super::Question;
use super::prompt_tokens_max;
use crate::answer::Live;

/// Something that a server is asked for.
pub(super) trait Errand {
    /// What comes of it.
    type Got;

    /// By which one of several servers is preferred.
    fn prefix(&self) -> Prefix;

    /// The most tokens that an attempt can read and write, where a picture, sound or file has at most
    /// so many.
    fn tokens_max(&self, media_max: PromptTokens) -> (PromptTokens, CompletionTokens);

    /// Asks once, under this name and until then.
    async fn attempt(
        &self,
        client: &Client,
        id: &str,
        deadline: Instant,
    ) -> Result<Self::Got, Broken>;

    /// What it consumed, where the server tells.
    fn usage(got: &Self::Got) -> Option<Usage>;
}

/// A failed attempt, and whether text of it was shown: then nothing may be tried again.
pub(super) struct Broken {
    pub(super) error: UpstreamError,
    pub(super) shown: bool,
}

impl Broken {
    fn unseen(error: UpstreamError) -> Self {
        let shown = false;
        Self { error, shown }
    }
}

impl Errand for Question<'_> {
    type Got = Completion;

    fn prefix(&self) -> Prefix {
        self.prompt.into()
    }

    fn tokens_max(&self, media_max: PromptTokens) -> (PromptTokens, CompletionTokens) {
        let text = prompt_tokens_max(self.prompt, self.extra_bytes());
        let media = media_max.0.saturating_mul(self.prompt.media_parts() as u64);
        let prompt = PromptTokens(text.0.saturating_add(media));
        (prompt, self.generation.max_completion_tokens)
    }

    async fn attempt(
        &self,
        client: &Client,
        id: &str,
        deadline: Instant,
    ) -> Result<Completion, Broken> {
        let attempt = Attempt {
            id,
            prompt: self.prompt,
            generation: self.generation,
            extra: self.extra,
            deadline,
        };
        match self.live {
            Some(live) => streamed(client, &attempt, live).await,
            None => client.attempt(&attempt).await.map_err(Broken::unseen),
        }
    }

    fn usage(got: &Completion) -> Option<Usage> {
        got.usage
    }
}

/// A completion that is told on while it is written.
async fn streamed(
    client: &Client,
    attempt: &Attempt<'_>,
    live: &Live,
) -> Result<Completion, Broken> {
    let stream = client.attempt_stream(attempt).await;
    let mut stream = stream.map_err(Broken::unseen)?;
    let mut written = Accumulator::default();
    loop {
        let event = stream.next_event().await.map_err(|error| Broken {
            error,
            shown: written.has_output(),
        })?;
        let ends = matches!(event, StreamEvent::End(_));
        if !ends {
            live.say(event.clone()).await;
        }
        written.push(event);
        if ends {
            break;
        }
    }
    let whole = written.finish();
    Ok(whole.unwrap_or_else(|| unreachable!("the end was told")))
}

impl Errand for EmbeddingRequest {
    type Got = Embeddings;

    fn prefix(&self) -> Prefix {
        self.into()
    }

    /// Servers put a token before each text and one behind it.
    fn tokens_max(&self, _: PromptTokens) -> (PromptTokens, CompletionTokens) {
        const FRAME: u64 = 2;
        let frames = FRAME * self.texts.len() as u64;
        let prompt = EmbeddingRequest::tokens_max(self) + frames;
        (PromptTokens(prompt), CompletionTokens(0))
    }

    async fn attempt(
        &self,
        client: &Client,
        id: &str,
        deadline: Instant,
    ) -> Result<Embeddings, Broken> {
        let request = self;
        let attempt = EmbeddingAttempt {
            id,
            request,
            deadline,
        };
        client.embed(&attempt).await.map_err(Broken::unseen)
    }

    fn usage(got: &Embeddings) -> Option<Usage> {
        got.prompt.map(|prompt| Usage {
            prompt,
            ..Usage::default()
        })
    }
}
