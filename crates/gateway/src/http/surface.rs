//! The chat protocols that are served: a row for each of their surfaces.

use domain::{Completion, StreamEvent};
use wire::chat::{AnswerHead, ChatRequest, ErrorBody, StreamUsage};
use wire::fault::Fault;
use wire::{anthropic, openai};

/// One protocol as clients speak it: how a request is read, and how its answer is written.
#[derive(Debug)]
pub(super) struct Surface {
    /// The request that a body holds.
    pub(super) parse: fn(&[u8]) -> Result<ChatRequest, Fault>,
    /// A whole answer as JSON.
    pub(super) encode: fn(&AnswerHead, &Completion) -> String,
    /// The writer of a stream.
    pub(super) stream: fn(AnswerHead, StreamUsage) -> Box<dyn Encoder>,
    /// What stands before the request's id in the id of an answer.
    pub(super) id_prefix: &'static str,
}

/// Writes an answer as an event stream. What it appends is whole events, to be sent at once.
pub(super) trait Encoder: Send {
    /// Appends the events that tell this one.
    fn event(&mut self, event: &StreamEvent, stream: &mut String);

    /// Appends the end of a stream that broke, with the status that the failure would have had.
    fn error(&mut self, error: &ErrorBody, status: u16, stream: &mut String);
}

/// OpenAI's chat completions.
pub(super) static CHAT_COMPLETIONS: Surface = Surface {
    parse: openai::chat::parse_request,
    encode: openai::chat::encode_completion,
    stream: |head, usage| Box::new(openai::chat::StreamEncoder::new(head, usage)),
    id_prefix: "chatcmpl-",
};

/// Anthropic's messages.
pub(super) static MESSAGES: Surface = Surface {
    parse: anthropic::messages::parse_request,
    encode: anthropic::messages::encode_completion,
    // A stream of this protocol always has its usage.
    stream: |head, _usage| Box::new(anthropic::messages::StreamEncoder::new(head)),
    id_prefix: "msg_",
};

impl Encoder for openai::chat::StreamEncoder {
    fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        Self::event(self, event, stream);
    }

    fn error(&mut self, error: &ErrorBody, _status: u16, stream: &mut String) {
        Self::error(self, error, stream);
    }
}

impl Encoder for anthropic::messages::StreamEncoder {
    fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        Self::event(self, event, stream);
    }

    fn error(&mut self, error: &ErrorBody, status: u16, stream: &mut String) {
        Self::error(self, error, status, stream);
    }
}
