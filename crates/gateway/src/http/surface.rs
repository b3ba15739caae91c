//! The chat protocols that are served: how a request of each is read, and in which form its
//! answer is written.

use wire::chat::{ChatRequest, Form};
use wire::fault::Fault;
use wire::{anthropic, openai};

/// Reads the request that a body holds, and how it is to be answered.
pub(super) type Read = fn(&[u8]) -> Result<(ChatRequest, Form), Fault>;

/// OpenAI's chat completions.
pub(super) fn chat_completions(body: &[u8]) -> Result<(ChatRequest, Form), Fault> {
    let asked = openai::chat::parse_request(body)?;
    let form = Form::OpenAiChat(asked.stream_usage);
    Ok((asked, form))
}

/// OpenAI's completions of a text.
pub(super) fn completions(body: &[u8]) -> Result<(ChatRequest, Form), Fault> {
    let asked = openai::completions::parse_request(body)?;
    let form = Form::OpenAiCompletions(asked.stream_usage);
    Ok((asked, form))
}

/// Anthropic's messages.
pub(super) fn messages(body: &[u8]) -> Result<(ChatRequest, Form), Fault> {
    Ok((anthropic::messages::parse_request(body)?, Form::Anthropic))
}
