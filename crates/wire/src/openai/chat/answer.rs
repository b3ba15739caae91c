//! Outward: the answer as a vendor gives it, whole or in chunks.

use domain::{Completion, FinishReason, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::usage::read_usage;
use crate::openai::error::VendorError;
use crate::sse::Event;

/// Why an answer can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not of the protocol's form.
    #[error("the answer is no {what} of the OpenAI protocol (line {line}, column {column})")]
    NotTheProtocol {
        /// What it should have been.
        what: &'static str,
        /// The line of the first wrong byte.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// It has no choice.
    #[error("the answer has an empty list of choices")]
    NoChoice,
    /// It ends for a reason that is not known, or for none.
    #[error("the answer has no finish reason that is known")]
    UnknownFinish,
    /// The stream ended before the answer did.
    #[error("the stream ended before the answer did")]
    Unfinished,
    /// The vendor reports an error within the stream.
    #[error("the vendor reported an error within the stream")]
    Vendor(VendorError),
}

#[derive(Deserialize)]
struct AnswerBody {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
}

/// A message or the delta of one; fields that are not text, such as a vendor's reasoning, are
/// left out.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct ChunkBody {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<Said>,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// The completion that the body of an answer with status 200 holds. A refusal is a completion
/// whose text is the refusal and whose finish reason is [`FinishReason::ContentFilter`].
///
/// # Errors
/// When the body is no such answer.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let answer: AnswerBody =
        serde_json::from_slice(body).map_err(|error| not_the_protocol("completion", &error))?;
    let choice = answer
        .choices
        .into_iter()
        .next()
        .ok_or(DecodeError::NoChoice)?;
    let finish_reason = choice.finish_reason.as_deref().and_then(finish_reason);
    let finish_reason = finish_reason.ok_or(DecodeError::UnknownFinish)?;
    let refusal = choice.message.refusal.filter(|text| !text.is_empty());
    Ok(Completion {
        finish_reason: match refusal {
            Some(_) => FinishReason::ContentFilter,
            None => finish_reason,
        },
        text: refusal.or(choice.message.content).unwrap_or_default(),
        usage: answer.usage.and_then(read_usage),
        model: answer.model.unwrap_or_default(),
    })
}

/// What one event of a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text of the completion, never empty.
    Text(String),
    /// Nothing to show.
    Nothing,
    /// The end of the stream; no event follows.
    Done,
}

/// What is known when a stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Why the completion ends.
    pub finish_reason: FinishReason,
    /// What was consumed; `None` when the vendor never said.
    pub usage: Option<Usage>,
    /// The vendor's name of the model that answered; empty when it never said.
    pub model: String,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    finish_reason: Option<FinishReason>,
    refused: bool,
    usage: Option<Usage>,
    model: String,
}

impl ChunkReader {
    /// What the next event brings. Events of types that are not known are passed over.
    ///
    /// # Errors
    /// When the event is not of the protocol's form, reports an error, or gives an unknown finish
    /// reason. The stream can't be read on then.
    pub fn read(&mut self, event: &Event) -> Result<Piece, DecodeError> {
        if !matches!(event.name.as_deref(), None | Some("message" | "error")) {
            return Ok(Piece::Nothing);
        }
        if event.data == "[DONE]" {
            return Ok(Piece::Done);
        }
        let chunk: ChunkBody = serde_json::from_str(&event.data)
            .map_err(|error| not_the_protocol("chunk of a stream", &error))?;
        if let Some(error) = chunk.error {
            let error = serde_json::json!({ "error": error });
            return Err(DecodeError::Vendor(VendorError::from_json(error)));
        }
        // Usage is cumulative where it comes more than once: the last counts, never the sum.
        if let Some(usage) = chunk.usage.and_then(read_usage) {
            self.usage = Some(usage);
        }
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        match chunk.choices.into_iter().find(|choice| choice.index == 0) {
            Some(choice) => self.read_choice(choice),
            None => Ok(Piece::Nothing),
        }
    }

    fn read_choice(&mut self, choice: ChunkChoice) -> Result<Piece, DecodeError> {
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            let reason = finish_reason(&reason).ok_or(DecodeError::UnknownFinish)?;
            self.finish_reason = Some(reason);
        }
        let delta = choice.delta.unwrap_or_default();
        let refusal = delta.refusal.filter(|text| !text.is_empty());
        self.refused |= refusal.is_some();
        let text = refusal.or(delta.content).filter(|text| !text.is_empty());
        Ok(text.map_or(Piece::Nothing, Piece::Text))
    }

    /// What is known at the end: after [`Piece::Done`], or when the connection was closed in good
    /// order, which some servers do instead.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when no finish reason has come.
    pub fn finish(self) -> Result<StreamEnd, DecodeError> {
        let finish_reason = self.finish_reason.ok_or(DecodeError::Unfinished)?;
        Ok(StreamEnd {
            finish_reason: if self.refused {
                FinishReason::ContentFilter
            } else {
                finish_reason
            },
            usage: self.usage,
            model: self.model,
        })
    }
}

/// The parser's own message may quote the answer, so only the place is kept.
fn not_the_protocol(what: &'static str, error: &serde_json::Error) -> DecodeError {
    DecodeError::NotTheProtocol {
        what,
        line: error.line(),
        column: error.column(),
    }
}

/// The finish reason of this name: OpenAI's, and the names that compatible servers use. An
/// unknown one is refused, since the answer may be cut short.
fn finish_reason(name: &str) -> Option<FinishReason> {
    match name {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "content_filter" => Some(FinishReason::ContentFilter),
        "tool_calls" | "function_call" => Some(FinishReason::ToolCalls),
        _ => None,
    }
}
