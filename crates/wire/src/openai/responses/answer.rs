//! Outward: the answer as a vendor gives it, whole.

use domain::{Completion, Content, FinishReason, Part, TokenLogprob, ToolCall};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::item::read_reasoning;
use super::usage::read_all_usage;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;
use crate::openai::logprobs::{TokenBody, read_tokens};

/// Fields of an answer that say again what was asked.
const ECHOED: [&str; 24] = [
    "background",
    "completed_at",
    "created_at",
    "error",
    "id",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "metadata",
    "object",
    "output_text",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "status",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What items of kinds that the domain knows say in their own place.
const IN_ITEMS: [&str; 10] = [
    "arguments",
    "call_id",
    "content",
    "encrypted_content",
    "id",
    "name",
    "role",
    "status",
    "summary",
    "type",
];
/// Where fields of a message stand among those of its first content.
pub(super) const MESSAGE: &str = "message";

/// The completion that the body of an answer with status 200 holds. Items of types that are not
/// known are parts that only this protocol understands.
///
/// # Errors
/// When the body is no such answer, or one that failed or is not finished.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(PROTOCOL, "response", &error))?;
    read_response(answer)
}

/// The completion that a response tells, in an answer of its own or at a stream's end.
pub(super) fn read_response(mut answer: Map<String, Value>) -> Result<Completion, DecodeError> {
    if !answer.get("error").is_none_or(Value::is_null) {
        return Err(DecodeError::Vendor(VendorError::from_json(answer.into())));
    }
    let mut parts = Vec::new();
    let mut logprobs = Vec::new();
    for item in map::take_objects(&mut answer, "output") {
        read_item(item, &mut parts, &mut logprobs);
    }
    let has = |pick: fn(&Content) -> bool| parts.iter().any(|part| pick(&part.content));
    let calls = has(|content| matches!(content, Content::ToolCall(_)));
    let refused = has(|content| matches!(content, Content::Refusal(_)));
    let reason = answer
        .get("incomplete_details")
        .and_then(|it| it.get("reason"));
    let finish_reason = match map::text(&answer, "status") {
        "incomplete" => match reason.and_then(Value::as_str) {
            Some("max_output_tokens" | "max_tokens") => FinishReason::Length,
            Some("content_filter") => FinishReason::ContentFilter,
            _ => return Err(DecodeError::UnknownFinish),
        },
        "completed" | "" if refused => FinishReason::Refusal,
        "completed" | "" if calls => FinishReason::ToolCalls,
        "completed" | "" => FinishReason::Stop,
        _ => return Err(DecodeError::Unfinished),
    };
    let (usage, more_usage) = read_all_usage(map::take_object(&mut answer, "usage"));
    let model = map::take_text(&mut answer, "model");
    let mut beside = beyond_echo(answer);
    map::put(&mut beside, "usage", more_usage);
    Ok(Completion {
        logprobs,
        usage,
        model,
        beside: map::rest(PROTOCOL, beside),
        ..Completion::of_parts(parts, finish_reason)
    })
}

/// What a response has beyond its output, its usage and what was asked.
pub(super) fn beyond_echo(mut response: Map<String, Value>) -> Map<String, Value> {
    for name in ECHOED.iter().chain(&["model", "output", "usage"]) {
        response.shift_remove(*name);
    }
    response.retain(|_, value| !value.is_null());
    response
}

/// What an item of a kind that the domain knows has beside that.
pub(super) fn beyond_item(mut item: Map<String, Value>) -> Map<String, Value> {
    for name in IN_ITEMS {
        item.shift_remove(name);
    }
    item.retain(|_, value| !value.is_null());
    item
}

/// Adds the parts of an item.
fn read_item(
    mut item: Map<String, Value>,
    parts: &mut Vec<Part>,
    logprobs: &mut Vec<TokenLogprob>,
) {
    match map::text(&item, "type") {
        "message" => {
            let first = parts.len();
            for content in map::take_objects(&mut item, "content") {
                parts.push(read_content(content, logprobs));
            }
            let beside = beyond_item(item);
            if let (Some(part), false) = (parts.get_mut(first), beside.is_empty()) {
                let mut fields = map::own(part.beside.as_ref(), PROTOCOL);
                map::put(&mut fields, MESSAGE, beside);
                part.beside = map::rest(PROTOCOL, fields);
            }
        }
        "function_call" => parts.push(read_call(item)),
        "reasoning" => parts.push(read_reasoning(item)),
        _ => parts.push(Part::new(Content::Opaque(map::whole(PROTOCOL, &item)))),
    }
}

/// The part that a content of a message is.
pub(super) fn read_content(
    mut content: Map<String, Value>,
    logprobs: &mut Vec<TokenLogprob>,
) -> Part {
    logprobs.extend(read_logprobs(content.shift_remove("logprobs")));
    let known = match map::text(&content, "type") {
        "output_text" => Content::Text(map::take_text(&mut content, "text")),
        "refusal" => Content::Refusal(map::take_text(&mut content, "refusal")),
        _ => return Part::new(Content::Opaque(map::whole(PROTOCOL, &content))),
    };
    content.shift_remove("type");
    content.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    Part {
        content: known,
        beside: map::rest(PROTOCOL, content),
    }
}

/// The tokens of a text; none where they are not of the protocol's form.
pub(super) fn read_logprobs(tokens: Option<Value>) -> Vec<TokenLogprob> {
    let tokens = tokens.map(serde_json::from_value::<Vec<TokenBody>>);
    tokens
        .and_then(Result::ok)
        .map(read_tokens)
        .unwrap_or_default()
}

/// The part that a call of a function is. Its names stand beside it, apart from the one by which
/// its output refers to it.
pub(super) fn read_call(mut item: Map<String, Value>) -> Part {
    let call = ToolCall {
        id: map::take_text(&mut item, "call_id"),
        name: map::take_text(&mut item, "name"),
        arguments: map::take_text(&mut item, "arguments"),
        signature: None,
    };
    item.shift_remove("type");
    if map::text(&item, "status") == "completed" {
        item.shift_remove("status");
    }
    Part {
        content: Content::ToolCall(call),
        beside: map::rest(PROTOCOL, item),
    }
}
