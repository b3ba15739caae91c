//! Counting tokens: `models/MODEL:countTokens`.

use domain::PromptTokens;

use super::answer::read_body;
use super::outward::asked;
use super::request::{parse_request, read_request};
use crate::chat::{ChatRequest, DecodeError, OutwardRequest};
use crate::fault::Fault;
use crate::google::path::Target;
use crate::google::renamed;
use crate::json::Fields;
use crate::map::count;
use crate::object::{Object, Rule};

const BODY: Rule = Rule {
    says: "send a JSON object with contents, or with a generateContentRequest that has them",
    example: r#"{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}"#,
};

/// The request that a body holds: the contents alone, or a whole request to be counted.
///
/// # Errors
/// The first fault of the body.
pub fn parse_count_request(target: &Target, body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?.map_fields(renamed);
    match object.take_object("generateContentRequest", BODY)? {
        Some(whole) => read_request(target, whole.map_fields(renamed)),
        None => parse_request(target, body),
    }
}

/// The body of a request to count as JSON. AI Studio counts instructions and tools only in a
/// whole request, which must name its model; Vertex has them beside the contents.
#[must_use]
pub fn encode_count_request(request: &OutwardRequest<'_>) -> String {
    let plain = request.prompt.tools.is_empty()
        && !(request.prompt.messages.iter()).any(|it| it.role == domain::Role::System);
    let asked = asked(request);
    if plain {
        return asked.encode();
    }
    let model = format!("models/{}", request.model);
    let whole = Fields::new().with("model", model).followed_by(asked);
    Fields::new().with("generateContentRequest", whole).encode()
}

/// The count that the body of an answer with status 200 tells.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_count(body: &[u8]) -> Result<PromptTokens, DecodeError> {
    let answer = read_body(body, "count of tokens")?;
    let tokens = count(&answer, "totalTokens");
    tokens.map(PromptTokens).ok_or(DecodeError::NoChoice)
}

/// The count as our clients are told it.
#[must_use]
pub fn encode_count(tokens: PromptTokens) -> String {
    Fields::new().with("totalTokens", tokens.0).encode()
}
