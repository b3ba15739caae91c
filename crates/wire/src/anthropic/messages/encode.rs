//! Inward: the answer as our clients get it, whole.

use domain::{Completion, Content, FinishReason, Part, Usage};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::block::block;
use super::usage::usage_body;
use crate::chat::AnswerHead;
use crate::json::{Fields, Json, list};
use crate::map;

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, completion: &Completion) -> String {
    let usage = completion.usage.unwrap_or_default();
    let mut beside = map::own(completion.beside.as_ref(), PROTOCOL);
    let more_usage = map::take_object(&mut beside, "usage");
    let blocks = completion.parts.iter().filter_map(answer_block);
    message(head)
        .with("content", list(blocks))
        .with("stop_reason", stop_reason(completion))
        .with(
            "stop_sequence",
            stop_sequence(completion.stop_sequence.as_ref()),
        )
        .with("usage", usage_body(&usage).with_missing(more_usage))
        .with_owned(beside)
        .encode()
}

/// What stands at the head of an answer.
pub(super) fn message(head: &AnswerHead) -> Fields<'_> {
    Fields::new()
        .with("id", &head.id)
        .with("type", "message")
        .with("role", "assistant")
        .with("model", &head.model)
}

/// The head of a stream: a message in which nothing has been said yet.
pub(super) fn empty_message<'a>(
    head: &'a AnswerHead,
    usage: &Usage,
    more_usage: Map<String, Value>,
) -> Fields<'a> {
    message(head)
        .with("content", Vec::new())
        .with("stop_reason", Json::Null)
        .with("stop_sequence", Json::Null)
        .with("usage", usage_body(usage).with_missing(more_usage))
}

/// The block of an answer. Thoughts of tiers that put no seal under them are told too: they are
/// what the client asked to see.
fn answer_block(part: &Part) -> Option<Fields<'_>> {
    match &part.content {
        Content::Reasoning(reasoning) if !reasoning.is_redacted => {
            let seal = reasoning.signature.as_ref();
            let seal = seal.filter(|seal| seal.protocol == PROTOCOL);
            let fields = Fields::new()
                .with("type", "thinking")
                .with("thinking", &reasoning.text)
                .with("signature", seal.map_or("", |seal| seal.text.as_str()));
            Some(fields.with_beside(part.beside.as_ref(), PROTOCOL))
        }
        _ => block(part),
    }
}

fn stop_reason(completion: &Completion) -> &'static str {
    stop_reason_of(completion.finish_reason, completion.stop_sequence.is_some())
}

/// The stop reason's name.
pub(super) fn stop_reason_of(reason: FinishReason, at_stop_text: bool) -> &'static str {
    match reason {
        FinishReason::Stop if at_stop_text => "stop_sequence",
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter | FinishReason::Refusal => "refusal",
        FinishReason::Pause => "pause_turn",
    }
}

pub(super) fn stop_sequence(text: Option<&String>) -> Json<'_> {
    text.map_or(Json::Null, Json::from)
}
