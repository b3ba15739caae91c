//! Outward: one vendor or another, by its protocol.

use std::collections::VecDeque;

use domain::{Completion, Prompt, PromptKind, Protocol, StreamEvent};

use super::answer::DecodeError;
use super::outward::OutwardRequest;
use crate::sse::Event;
use crate::{anthropic::messages, google::generate, openai};

/// A surface on which vendors complete prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's completions of a text.
    OpenAiCompletions,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Google's generateContent.
    Google,
}

impl Surface {
    /// The surface of this protocol for such a prompt. A protocol that has none for texts gets
    /// them as a conversation; [`super::ChatRequest::loss`] says that before.
    #[must_use]
    pub fn of(protocol: Protocol, prompt: &Prompt) -> Self {
        match (protocol, &prompt.kind) {
            (Protocol::OpenAiChat, PromptKind::Text { .. }) => Self::OpenAiCompletions,
            _ => protocol.into(),
        }
    }
}

/// The surface for conversations.
impl From<Protocol> for Surface {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenAiChat => Self::OpenAiChat,
            Protocol::OpenAiResponses => Self::OpenAiResponses,
            Protocol::Anthropic => Self::Anthropic,
            Protocol::Google => Self::Google,
        }
    }
}

/// The body of a request to a vendor of this protocol as JSON.
#[must_use]
pub fn encode_request(protocol: Protocol, request: &OutwardRequest<'_>) -> String {
    match Surface::of(protocol, request.prompt) {
        Surface::OpenAiChat => openai::chat::encode_request(request),
        Surface::OpenAiCompletions => openai::completions::encode_request(request),
        Surface::OpenAiResponses => openai::responses::encode_request(request),
        Surface::Anthropic => messages::encode_request(request),
        Surface::Google => generate::encode_request(request),
    }
}

/// The completion that the body of an answer with status 200 holds.
///
/// # Errors
/// When the body is no answer of the surface.
pub fn parse_completion(
    surface: impl Into<Surface>,
    body: &[u8],
) -> Result<Completion, DecodeError> {
    match surface.into() {
        Surface::OpenAiChat => openai::chat::parse_completion(body),
        Surface::OpenAiCompletions => openai::completions::parse_completion(body),
        Surface::OpenAiResponses => openai::responses::parse_completion(body),
        Surface::Anthropic => messages::parse_completion(body),
        Surface::Google => generate::parse_completion(body),
    }
}

/// Reads the events of one stream.
#[derive(Debug)]
pub enum ChunkReader {
    /// Of OpenAI's chat completions.
    OpenAiChat(openai::chat::ChunkReader),
    /// Of OpenAI's completions of a text.
    OpenAiCompletions(openai::completions::ChunkReader),
    /// Of OpenAI's responses.
    OpenAiResponses(openai::responses::ChunkReader),
    /// Of Anthropic's messages.
    Anthropic(messages::ChunkReader),
    /// Of Google's generateContent.
    Google(generate::ChunkReader),
}

impl ChunkReader {
    /// A reader at the beginning of a stream of this surface.
    #[must_use]
    pub fn new(surface: impl Into<Surface>) -> Self {
        match surface.into() {
            Surface::OpenAiCompletions => {
                Self::OpenAiCompletions(openai::completions::ChunkReader::default())
            }
            Surface::OpenAiChat => Self::OpenAiChat(openai::chat::ChunkReader::default()),
            Surface::OpenAiResponses => {
                Self::OpenAiResponses(openai::responses::ChunkReader::default())
            }
            Surface::Anthropic => Self::Anthropic(messages::ChunkReader::default()),
            Surface::Google => Self::Google(generate::ChunkReader::default()),
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
            Self::OpenAiCompletions(reader) => reader.read(event, events),
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
            Self::OpenAiCompletions(reader) => reader.finish(events),
            Self::OpenAiResponses(reader) => reader.finish(events),
            Self::Anthropic(reader) => reader.finish(events),
            Self::Google(reader) => reader.finish(events),
        }
    }
}
