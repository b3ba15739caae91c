//! What comes back: completions.

use std::borrow::Cow;
use std::fmt;

use crate::part::{Content, Part, text_of};
use crate::protocol::Opaque;
use crate::tokens::Usage;

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
    /// The model declined to answer.
    Refusal,
    /// The vendor put off a long turn; it goes on when the completion is handed back to it.
    Pause,
}

/// A tier's answer. Its `Debug` shows lengths only, so that it can't reach a log.
#[derive(Clone, PartialEq)]
pub struct Completion {
    /// What was written, in order.
    pub parts: Vec<Part>,
    /// Why it ends.
    pub finish_reason: FinishReason,
    /// The stop text that was met, where the vendor tells which.
    pub stop_sequence: Option<String>,
    /// The tokens of the text with their log-probabilities, where they were asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// What was consumed; `None` when the tier never said.
    pub usage: Option<Usage>,
    /// The name by which the tier calls the model that answered.
    pub model: String,
    /// Fields of the answer that only one protocol understands.
    pub beside: Option<Opaque>,
    /// Further completions of the same prompt, where more than one was asked for. What all of
    /// them consumed stands in the first one's usage; they have neither usage nor others.
    pub others: Vec<Completion>,
}

impl Completion {
    /// A completion of these parts.
    #[must_use]
    pub fn of_parts(parts: Vec<Part>, finish_reason: FinishReason) -> Self {
        Self {
            parts,
            finish_reason,
            stop_sequence: None,
            logprobs: Vec::new(),
            usage: None,
            model: String::new(),
            beside: None,
            others: Vec::new(),
        }
    }

    /// A completion that is text alone.
    #[must_use]
    pub fn new(text: impl Into<String>, finish_reason: FinishReason) -> Self {
        let text: String = text.into();
        let parts = match text.is_empty() {
            true => Vec::new(),
            false => vec![Part::text(text)],
        };
        Self::of_parts(parts, finish_reason)
    }

    /// Its text, a refusal's included; parts that are none are left out.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        text_of(&self.parts, "")
    }

    /// The same completion with this text as its only part and without log-probabilities: what a
    /// task makes of an answer.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::text(text)],
            logprobs: Vec::new(),
            ..self
        }
    }

    /// Whether the model asks for a tool.
    #[must_use]
    pub fn calls_tools(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part.content, Content::ToolCall(_)))
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("parts", &self.parts)
            .field("finish_reason", &self.finish_reason)
            .field("logprobs", &self.logprobs.len())
            .field("usage", &self.usage)
            .field("model", &self.model)
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}

/// A token that was written. Its `Debug` shows no text.
#[derive(Clone, PartialEq)]
pub struct TokenLogprob {
    /// What was written.
    pub written: TokenChoice,
    /// The likeliest tokens at its place, the likeliest first; as many as were asked for.
    pub top: Vec<TokenChoice>,
}

impl TokenLogprob {
    /// The bytes that it takes up, its lists and texts included.
    pub(crate) fn size_bytes(&self) -> usize {
        let of =
            |choice: &TokenChoice| choice.token.len() + choice.bytes.as_ref().map_or(0, Vec::len);
        let top = self.top.iter();
        let top: usize = top
            .map(|choice| size_of::<TokenChoice>() + of(choice))
            .sum();
        size_of::<Self>() + of(&self.written) + top
    }
}

/// A token that could be written.
#[derive(Clone, PartialEq)]
pub struct TokenChoice {
    /// Its text; a token that is part of a character stands as the vendor shows it.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes, where the vendor tells them.
    pub bytes: Option<Vec<u8>>,
}

impl fmt::Debug for TokenLogprob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLogprob")
            .field("written", &self.written)
            .field("top", &self.top)
            .finish()
    }
}

impl fmt::Debug for TokenChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}", self.token.len(), self.logprob)
    }
}
