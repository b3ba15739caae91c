//! Inward: one client or another, by its protocol.

use domain::{Completion, Protocol, StreamEvent};

use super::answer::AnswerHead;
use super::error::ErrorBody;
use super::request::StreamUsage;
use crate::google::generate::Framing;
use crate::openai::responses::Echo;
use crate::{anthropic::messages, google::generate, openai};

/// How a client is to be answered: its protocol, and what that has to know of the request.
#[derive(Clone, Debug)]
pub enum Form {
    /// As OpenAI's chat completions, with or without the usage at a stream's end.
    OpenAiChat(StreamUsage),
    /// As OpenAI's completions of a text, with or without the usage at a stream's end.
    OpenAiCompletions(StreamUsage),
    /// As OpenAI's responses, which say again what was asked.
    OpenAiResponses(Echo),
    /// As Anthropic's messages.
    Anthropic,
    /// As Google's generateContent.
    Google(Framing),
}

impl Form {
    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::OpenAiChat(_) | Self::OpenAiCompletions(_) => Protocol::OpenAiChat,
            Self::OpenAiResponses(_) => Protocol::OpenAiResponses,
            Self::Anthropic => Protocol::Anthropic,
            Self::Google(_) => Protocol::Google,
        }
    }

    /// What an answer's name begins with.
    #[must_use]
    pub fn id_prefix(&self) -> &'static str {
        match self {
            Self::OpenAiChat(_) => "chatcmpl-",
            Self::OpenAiCompletions(_) => "cmpl-",
            Self::OpenAiResponses(_) => "resp_",
            Self::Anthropic => "msg_",
            Self::Google(_) => "",
        }
    }

    /// The whole answer as JSON. The model told is the head's.
    #[must_use]
    pub fn encode_completion(&self, head: &AnswerHead, completion: &Completion) -> String {
        match self {
            Self::OpenAiChat(_) => openai::chat::encode_completion(head, completion),
            Self::OpenAiCompletions(_) => openai::completions::encode_completion(head, completion),
            Self::OpenAiResponses(echo) => {
                openai::responses::encode_completion(head, echo, completion)
            }
            Self::Anthropic => messages::encode_completion(head, completion),
            Self::Google(_) => generate::encode_completion(head, completion),
        }
    }

    /// A writer of one answer as a stream.
    #[must_use]
    pub fn stream(&self, head: AnswerHead) -> StreamEncoder {
        match self {
            Self::OpenAiChat(usage) => {
                StreamEncoder::OpenAiChat(openai::chat::StreamEncoder::new(head, *usage))
            }
            Self::OpenAiCompletions(usage) => StreamEncoder::OpenAiCompletions(
                openai::completions::StreamEncoder::new(head, *usage),
            ),
            Self::OpenAiResponses(echo) => {
                let encoder = openai::responses::StreamEncoder::new(head, echo.clone());
                StreamEncoder::OpenAiResponses(Box::new(encoder))
            }
            Self::Anthropic => StreamEncoder::Anthropic(messages::StreamEncoder::new(head)),
            Self::Google(framing) => {
                StreamEncoder::Google(generate::StreamEncoder::new(head, *framing))
            }
        }
    }
}

/// Writes an answer as a stream. What it appends is to be sent at once.
#[derive(Clone, Debug)]
pub enum StreamEncoder {
    /// As OpenAI's chat completions.
    OpenAiChat(openai::chat::StreamEncoder),
    /// As OpenAI's completions of a text.
    OpenAiCompletions(openai::completions::StreamEncoder),
    /// As OpenAI's responses.
    OpenAiResponses(Box<openai::responses::StreamEncoder>),
    /// As Anthropic's messages.
    Anthropic(messages::StreamEncoder),
    /// As Google's generateContent.
    Google(generate::StreamEncoder),
}

impl StreamEncoder {
    /// Appends what tells this event; nothing where the protocol has nothing to say it with.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        match self {
            Self::OpenAiChat(encoder) => encoder.event(event, stream),
            Self::OpenAiCompletions(encoder) => encoder.event(event, stream),
            Self::OpenAiResponses(encoder) => encoder.event(event, stream),
            Self::Anthropic(encoder) => encoder.event(event, stream),
            Self::Google(encoder) => encoder.event(event, stream),
        }
    }

    /// The whole answer as JSON, where the protocol's stream ends with it and has ended.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        match self {
            Self::OpenAiResponses(encoder) => encoder.whole(),
            Self::OpenAiChat(_)
            | Self::OpenAiCompletions(_)
            | Self::Anthropic(_)
            | Self::Google(_) => None,
        }
    }

    /// Appends the end of a stream that broke, with the status that an answer of its own would
    /// have had. Nothing follows that could let anybody take the answer for whole.
    pub fn error(&mut self, error: &ErrorBody, status: u16, stream: &mut String) {
        match self {
            Self::OpenAiChat(encoder) => encoder.error(error, stream),
            Self::OpenAiCompletions(encoder) => encoder.error(error, stream),
            Self::OpenAiResponses(encoder) => encoder.error(error, stream),
            Self::Anthropic(encoder) => encoder.error(error, status, stream),
            Self::Google(encoder) => encoder.error(error, status, stream),
        }
    }
}
