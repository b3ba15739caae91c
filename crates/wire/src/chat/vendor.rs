//! Outward: one vendor or another, by its protocol.

use std::collections::VecDeque;

use domain::{Completion, Protocol, StreamEvent};

use super::answer::DecodeError;
use super::outward::OutwardRequest;
use crate::sse::Event;
use crate::{anthropic::messages, google::generate, openai};

/// The body of a request in this protocol as JSON.
#[must_use]
pub fn encode_request(protocol: Protocol, request: &OutwardRequest<'_>) -> String {
    match protocol {
        Protocol::OpenAiChat => openai::chat::encode_request(request),
        Protocol::OpenAiResponses => openai::responses::encode_request(request),
        Protocol::Anthropic => messages::encode_request(request),
        Protocol::Google => generate::encode_request(request),
    }
}

/// The completion that the body of an answer with status 200 holds.
///
/// # Errors
/// When the body is no answer of the protocol.
pub fn parse_completion(protocol: Protocol, body: &[u8]) -> Result<Completion, DecodeError> {
    match protocol {
        Protocol::OpenAiChat => openai::chat::parse_completion(body),
        Protocol::OpenAiResponses => openai::responses::parse_completion(body),
        Protocol::Anthropic => messages::parse_completion(body),
        Protocol::Google => generate::parse_completion(body),
    }
}

/// Reads the events of one stream.
#[derive(Debug)]
pub enum ChunkReader {
    /// Of OpenAI's chat completions.
    OpenAiChat(openai::chat::ChunkReader),
    /// Of OpenAI's responses.
    OpenAiResponses(openai::responses::ChunkReader),
    /// Of Anthropic's messages.
    Anthropic(messages::ChunkReader),
    /// Of Google's generateContent.
    Google(generate::ChunkReader),
}

impl ChunkReader {
    /// A reader at the beginning of a stream of this protocol.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenAiChat => Self::OpenAiChat(openai::chat::ChunkReader::default()),
            Protocol::OpenAiResponses => {
                Self::OpenAiResponses(openai::responses::ChunkReader::default())
            }
            Protocol::Anthropic => Self::Anthropic(messages::ChunkReader::default()),
            Protocol::Google => Self::Google(generate::ChunkReader::default()),
        }
    }

    /// Adds what the next event of the vendor's tells to the end of `events`. Events of types
    /// that are not known are passed over. After [`StreamEvent::End`] nothing follows.
    ///
    /// # Errors
    /// When the event is not of the protocol's form or reports an error. The stream can't be read
    /// on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::OpenAiChat(reader) => reader.read(event, events),
            Self::OpenAiResponses(reader) => reader.read(event, events),
            Self::Anthropic(reader) => reader.read(event, events),
            Self::Google(reader) => reader.read(event, events),
        }
    }

    /// Adds the end, unless it has come already. To be called when the connection was closed in
    /// good order.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when the answer is not finished.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        match self {
            Self::OpenAiChat(reader) => reader.finish(events),
            Self::OpenAiResponses(reader) => reader.finish(events),
            Self::Anthropic(reader) => reader.finish(events),
            Self::Google(reader) => reader.finish(events),
        }
    }
}
