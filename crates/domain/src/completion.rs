//! What comes back: completions.

use std::fmt;

use crate::tokens::{CompletionTokens, Usage};

/// How a tier shall write.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The most tokens to write.
    pub max_completion_tokens: CompletionTokens,
    /// Sampling temperature, 0 (always the likeliest token) to 2.
    pub temperature: f32,
    /// Seed of the sampling; the same seed gives the same text on a local tier.
    pub seed: u64,
    /// Texts at which writing stops; they are not part of the completion.
    pub stop: Vec<String>,
}

/// Why a tier stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model ended its turn, or a stop text was met.
    Stop,
    /// The limit of completion tokens was reached.
    Length,
    /// The vendor withheld the answer.
    ContentFilter,
    /// The model asks for a tool to be called.
    ToolCalls,
}

/// A tier's answer. Its `Debug` shows lengths only, so that it can't reach a log.
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Why it ends.
    pub finish_reason: FinishReason,
    /// What was consumed; `None` when the tier never said.
    pub usage: Option<Usage>,
    /// The name by which the tier calls the model that answered.
    pub model: String,
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("text_bytes", &self.text.len())
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .field("model", &self.model)
            .finish()
    }
}
