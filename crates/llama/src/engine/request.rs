//! What an engine is asked, and what it answers.

use crate::chat_template::ChatMessage;
use crate::error::RequestError;
use crate::generate::{Generated, GenerationOptions};
use crate::model::Model;
use crate::sampling::Sampling;
use crate::scoring::encode_labels;
use crate::session::Pooling;
use crate::tokenizer::TokenId;
use crate::tools::Tool;
use std::sync::Arc;
use std::time::Duration;

/// On whose behalf a request is made. What one tenant's requests left in memory is never used for
/// another's, and tenants get equal shares of the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The tenant of this name, which means nothing to the engine.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

/// A request to an engine.
#[derive(Clone, Debug)]
pub struct Request {
    /// On whose behalf.
    pub tenant: Tenant,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Work {
    /// Scoring labels after a prompt, as [`crate::LabelScorer::score`] does.
    Score {
        /// The prompt's tokens.
        prompt: Vec<TokenId>,
        /// Each label's tokens.
        labels: Vec<Vec<TokenId>>,
    },
    /// Continuing a prompt, as [`crate::Session::generate_with`] does.
    Write {
        /// The prompt's tokens.
        prompt: Vec<TokenId>,
        /// How to continue it. The text ends with [`crate::FinishReason::Length`] also where the
        /// engine's memory for one sequence is used up.
        options: GenerationOptions,
        /// Which tokens may be chosen.
        rules: Sampling,
        /// Whether the text is wanted piece by piece while it is being written.
        streams: bool,
    },
    /// What a text is about, as [`crate::Session::embed`] does.
    Embed {
        /// The text's tokens.
        tokens: Vec<TokenId>,
        /// Which tokens' outputs make the embedding.
        pooling: Pooling,
    },
}

impl Work {
    /// Scoring `labels` as the assistant's answer to `messages`, by the model's chat template.
    ///
    /// # Errors
    ///
    /// As [`Model::encode_chat`].
    pub fn score_chat(
        model: &Model,
        messages: &[ChatMessage],
        labels: &[&str],
    ) -> Result<Self, RequestError> {
        Ok(Self::Score {
            prompt: model.encode_chat(messages)?,
            labels: encode_labels(model, labels),
        })
    }

    /// Writing the assistant's answer to `messages`, which may be calls of `tools`, by the model's
    /// chat template.
    ///
    /// # Errors
    ///
    /// As [`Model::encode_chat_with_tools`].
    pub fn write_chat(
        model: &Model,
        (messages, tools): (&[ChatMessage], &[Tool]),
        options: GenerationOptions,
    ) -> Result<Self, RequestError> {
        Ok(Self::Write {
            prompt: model.encode_chat_with_tools(messages, tools)?,
            options,
            rules: Sampling::default(),
            streams: false,
        })
    }

    /// Writing what follows a text; where `suffix` is given, what fills the gap up to it.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoGapTokens`] where there is a suffix and the model knows no gaps.
    pub fn continue_text(
        model: &Model,
        (text, suffix): (&str, Option<&str>),
        options: GenerationOptions,
    ) -> Result<Self, RequestError> {
        let tokenizer = model.tokenizer();
        let prompt = match suffix {
            None => tokenizer.encode_text(text),
            Some(suffix) => {
                let tokens = tokenizer.encode_gap(text, suffix);
                tokens.ok_or_else(|| RequestError::NoGapTokens {
                    model: model.name().to_owned(),
                })?
            }
        };
        Ok(Self::Write {
            prompt,
            options,
            rules: Sampling::default(),
            streams: false,
        })
    }

    /// What a text is about, as the model's file says that its embeddings are made.
    pub fn embed_text(model: &Model, text: &str) -> Self {
        Self::embed_tokens(model, model.tokenizer().encode_whole_text(text))
    }

    /// The same of a text whose tokens are these, as they are.
    pub fn embed_tokens(model: &Model, tokens: Vec<TokenId>) -> Self {
        Self::Embed {
            tokens,
            pooling: model.config().pooling,
        }
    }

    /// The same work; a text is written by these rules.
    #[must_use]
    pub fn by(mut self, with: Sampling) -> Self {
        if let Self::Write { rules, .. } = &mut self {
            *rules = with;
        }
        self
    }

    /// The same work; a text is given piece by piece.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        if let Self::Write { streams, .. } = &mut self {
            *streams = true;
        }
        self
    }

    /// The tokens that are read before anything is scored, written or told.
    pub fn tokens(&self) -> &[TokenId] {
        match self {
            Self::Score { prompt, .. } | Self::Write { prompt, .. } => prompt,
            Self::Embed { tokens, .. } => tokens,
        }
    }
}

/// An answered request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answered {
    /// What came of it.
    pub outcome: Outcome,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were not computed, because an earlier request of the same tenant
    /// had begun with them.
    pub cached_tokens: usize,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// For each label, in order, the natural logarithm of its probability as the answer.
    Scored(Vec<f64>),
    /// The text.
    Written(Generated),
    /// A vector of length 1, (dim).
    Embedded(Vec<f32>),
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many requests wait as may.
    #[error("the engine's queue is full; ask again in {} s", wait.as_secs_f64().ceil())]
    Full {
        /// How long a request that came now would wait: the tokens of those before it at the
        /// speed of the last steps. An estimate.
        wait: Duration,
    },
    /// The engine is closing.
    #[error("the engine is closing")]
    Closed,
    /// The request cannot be answered, now or later.
    #[error(transparent)]
    Request(#[from] RequestError),
}
