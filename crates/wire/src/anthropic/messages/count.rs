//! Counting tokens: `/v1/messages/count_tokens`.

use serde_json::{Map, Value};

use super::PROTOCOL;
use super::outward::asked;
use super::request::{Limit, read_request};
use crate::chat::{ChatRequest, DecodeError, OutwardRequest, not_the_protocol};
use crate::fault::Fault;
use crate::json::Fields;
use domain::PromptTokens;

/// The request that a body holds: one of messages that needs no `max_tokens`.
///
/// # Errors
/// The first fault of the body.
pub fn parse_count_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    read_request(body, Limit::Open)
}

/// The body of a request to count as JSON.
#[must_use]
pub fn encode_count_request(request: &OutwardRequest<'_>) -> String {
    asked(request).encode()
}

/// The count that the body of an answer with status 200 tells.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_count(body: &[u8]) -> Result<PromptTokens, DecodeError> {
    let wrong = |error| not_the_protocol(PROTOCOL, "count of tokens", &error);
    let answer: Map<String, Value> = serde_json::from_slice(body).map_err(wrong)?;
    let count = crate::map::count(&answer, "input_tokens");
    count.map(PromptTokens).ok_or(DecodeError::NoChoice)
}

/// The count as our clients are told it.
#[must_use]
pub fn encode_count(tokens: PromptTokens) -> String {
    Fields::new().with("input_tokens", tokens.0).encode()
}
