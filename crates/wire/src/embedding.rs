//! What the protocols of embeddings have in common: texts go in, vectors come out.

use std::fmt;

use domain::{PromptTokens, Protocol};

use crate::fault::{Fault, FaultKind};

/// Most texts of one request; so many OpenAI takes.
pub const TEXTS_MAX: usize = 2_048;

/// What is found where a request has a field that embeddings have not.
pub(crate) const NO_SUCH_FIELD: &str = "embeddings have no such field";

/// A client's request for embeddings. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// What the client asks to be answered by.
    pub model: String,
    /// The texts, at least one and at most [`TEXTS_MAX`].
    pub texts: Vec<EmbeddingText>,
    /// How many numbers a vector shall have; at least 1.
    pub dimensions: Option<u32>,
    /// What the vectors are for, in Google's words, for example `RETRIEVAL_QUERY`.
    pub task: Option<String>,
    /// How vectors are written in the answer.
    pub encoding: Encoding,
}

/// A text of which a vector is wanted.
#[derive(Clone, PartialEq, Eq)]
pub enum EmbeddingText {
    /// As it is; never empty.
    Plain(String),
    /// Cut into tokens by the client, as numbers of the model's own vocabulary; never empty.
    Tokens(Vec<u32>),
}

impl EmbeddingText {
    /// Most tokens that it comes to, where a token has at least a byte.
    #[must_use]
    pub fn tokens_max(&self) -> u64 {
        match self {
            Self::Plain(text) => text.len() as u64,
            Self::Tokens(tokens) => tokens.len() as u64,
        }
    }
}

impl From<&str> for EmbeddingText {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl EmbeddingRequest {
    /// The same as requests of at most so many texts each, in order; at least 1.
    #[must_use]
    pub fn in_groups(&self, texts_max: usize) -> Vec<Self> {
        let groups = self.texts.chunks(texts_max.max(1));
        let group = |texts: &[EmbeddingText]| Self {
            texts: texts.to_vec(),
            model: self.model.clone(),
            task: self.task.clone(),
            ..*self
        };
        groups.map(group).collect()
    }

    /// Most tokens that its texts come to together.
    #[must_use]
    pub fn tokens_max(&self) -> u64 {
        self.texts.iter().map(EmbeddingText::tokens_max).sum()
    }

    /// The first thing in it that a vendor of this protocol could not make anything of; `None`
    /// where it takes everything. `who` is the vendor's name for the client.
    #[must_use]
    pub fn loss(&self, protocol: Protocol, who: &str) -> Option<Fault> {
        let lost = |path: &str, found: String, rule: &str| {
            Some(Fault::new(FaultKind::Unsupported, path, found, rule))
        };
        let are_tokens = |text: &EmbeddingText| matches!(text, EmbeddingText::Tokens(_));
        match protocol {
            Protocol::Anthropic => {
                let found = format!("{who} speaks a protocol without embeddings");
                lost("model", found, "name a tier of another protocol")
            }
            Protocol::Google if self.texts.iter().any(are_tokens) => {
                let found = format!("there are numbers of tokens, and {who} reads text alone");
                lost("input", found, "send the text itself")
            }
            Protocol::OpenAiChat | Protocol::OpenAiResponses if self.task.is_some() => {
                self.task_lost(who)
            }
            Protocol::Google | Protocol::OpenAiChat | Protocol::OpenAiResponses => None,
        }
    }

    /// That whoever is asked knows nothing of what vectors are for, if the request says it.
    #[must_use]
    pub fn task_lost(&self, who: &str) -> Option<Fault> {
        self.task.as_ref()?;
        let found = format!("{who} makes vectors of one kind");
        Some(Fault::new(
            FaultKind::Unsupported,
            "taskType",
            found,
            "leave it out",
        ))
    }
}

/// How vectors are written in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As lists of numbers.
    #[default]
    Numbers,
    /// As base64 of their bytes, four to a number, the lowest first.
    Base64,
}

/// The embeddings of some texts.
#[derive(Clone, PartialEq)]
pub struct Embeddings {
    /// One vector for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens read, where the vendor tells them.
    pub prompt: Option<PromptTokens>,
    /// The vendor's name of the model; empty when it does not say.
    pub model: String,
}

impl Embeddings {
    /// These and then those, which the same model made. The tokens are told where both tell them.
    #[must_use]
    pub fn followed_by(mut self, more: Self) -> Self {
        self.vectors.extend(more.vectors);
        let both = self.prompt.zip(more.prompt);
        self.prompt = both.map(|(one, other)| PromptTokens(one.0.saturating_add(other.0)));
        self
    }
}

impl fmt::Debug for EmbeddingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingRequest")
            .field("model", &self.model)
            .field("texts", &self.texts)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EmbeddingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "Plain({} bytes)", text.len()),
            Self::Tokens(tokens) => write!(f, "Tokens({})", tokens.len()),
        }
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("prompt", &self.prompt)
            .field("model", &self.model)
            .finish()
    }
}
