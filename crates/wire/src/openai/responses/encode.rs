//! Inward: the answer as our clients get it, whole.

use domain::{Completion, Content, FinishReason, Part, Reasoning, TokenLogprob, ToolCall};

use super::PROTOCOL;
use super::answer::MESSAGE;
use super::echo::Echo;
use super::item::{call_item, reasoning_item};
use super::usage::usage_body;
use crate::chat::{AnswerHead, says_something};
use crate::json::{Fields, Json, list};
use crate::map;
use crate::openai::logprobs::{Bytes, token_list};

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, echo: &Echo, completion: &Completion) -> String {
    let mut output: Vec<Json<'_>> = Vec::new();
    let mut logprobs = completion.logprobs.as_slice();
    for (index, part) in completion.parts.iter().enumerate() {
        let id = |kind| item_id(head, kind, index as u64);
        let item = match &part.content {
            Content::Text(text) => {
                let said = text_content(text, std::mem::take(&mut logprobs));
                message(id("msg"), said, part)
            }
            Content::Refusal(text) => message(id("msg"), refusal_content(text), part),
            Content::ToolCall(call) => {
                call_of(id("fc"), "completed", call).with_beside(part.beside.as_ref(), PROTOCOL)
            }
            Content::Reasoning(_) => match whole_item(id("rs"), part) {
                Some(item) => item,
                None => continue,
            },
            Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
            _ => continue,
        };
        output.extend((!item.is_empty()).then(|| Json::from(item)));
    }
    let status = status(completion.finish_reason);
    let mut beside = map::own(completion.beside.as_ref(), PROTOCOL);
    let more_usage = map::take_object(&mut beside, "usage");
    let usage = completion.usage.as_ref().map(usage_body);
    response(head, echo, status)
        .with("output", output)
        .with_some("usage", usage.map(|usage| usage.with_missing(more_usage)))
        .with_owned(beside)
        .encode()
}

/// A message of one content, with what stands beside both.
fn message<'a>(id: String, content: Fields<'a>, part: &Part) -> Fields<'a> {
    let mut beside = map::own(part.beside.as_ref(), PROTOCOL);
    let of_item = map::take_object(&mut beside, MESSAGE);
    let content = content.with_owned(beside);
    message_item(id, "completed", Some(content)).with_owned(of_item)
}

/// What stands at the head of a response in any state.
pub(super) fn response<'a>(head: &'a AnswerHead, echo: &'a Echo, status: Status) -> Fields<'a> {
    let reason = status
        .incomplete
        .map(|reason| Fields::new().with("reason", reason));
    Fields::new()
        .with("id", &head.id)
        .with("object", "response")
        .with("created_at", head.created_s)
        .with("status", status.name)
        .with("background", false)
        .with("error", Json::Null)
        .with("incomplete_details", reason.map_or(Json::Null, Json::from))
        .with("model", &head.model)
        .with_map(Some(echo.fields()))
}

/// The state of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) name: &'static str,
    /// Why it is not complete.
    pub(super) incomplete: Option<&'static str>,
}

/// The state of a response that ends for this reason.
pub(super) fn status(reason: FinishReason) -> Status {
    let incomplete = match reason {
        FinishReason::Length => Some("max_output_tokens"),
        FinishReason::ContentFilter => Some("content_filter"),
        FinishReason::Stop
        | FinishReason::ToolCalls
        | FinishReason::Refusal
        | FinishReason::Pause => None,
    };
    let name = match incomplete {
        Some(_) => "incomplete",
        None => "completed",
    };
    Status { name, incomplete }
}

/// The name of an item: made of the response's own, so that none has it twice.
pub(super) fn item_id(head: &AnswerHead, kind: &str, index: u64) -> String {
    let own = head.id.strip_prefix("resp_").unwrap_or(&head.id);
    format!("{kind}_{own}_{index}")
}

pub(super) fn message_item<'a>(
    id: String,
    status: &'static str,
    content: Option<Fields<'a>>,
) -> Fields<'a> {
    Fields::new()
        .with("id", id)
        .with("type", "message")
        .with("status", status)
        .with("role", "assistant")
        .with("content", list(content))
}

pub(super) fn text_content<'a>(text: &'a str, logprobs: &'a [TokenLogprob]) -> Fields<'a> {
    Fields::new()
        .with("type", "output_text")
        .with("text", text)
        .with("annotations", Vec::new())
        .with("logprobs", token_list(logprobs, Bytes::Always))
}

pub(super) fn refusal_content(text: &str) -> Fields<'_> {
    Fields::new().with("type", "refusal").with("refusal", text)
}

pub(super) fn call_of<'a>(id: String, status: &'static str, call: &'a ToolCall) -> Fields<'a> {
    Fields::new()
        .with("id", id)
        .with("status", status)
        .followed_by(call_item(call))
}

pub(super) fn reasoning_of(id: String, reasoning: &Reasoning) -> Fields<'_> {
    Fields::new()
        .with("id", id)
        .followed_by(reasoning_item(reasoning))
}

/// A part that is an item by itself.
pub(super) fn whole_item<'a>(id: String, part: &'a Part) -> Option<Fields<'a>> {
    let item = match &part.content {
        Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
        Content::Reasoning(reasoning) => {
            let beside = part.beside.as_ref();
            let is_own = beside.is_some_and(|beside| beside.protocol == PROTOCOL);
            if !is_own && !says_something(reasoning, PROTOCOL) {
                return None;
            }
            reasoning_of(id, reasoning).with_beside(beside, PROTOCOL)
        }
        _ => return None,
    };
    (!item.is_empty()).then_some(item)
}
