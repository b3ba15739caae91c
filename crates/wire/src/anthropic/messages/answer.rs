//! Outward: the answer as a vendor gives it, whole.

use domain::{Completion, FinishReason};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::message::answered;
use super::usage::Reported;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;

/// The completion that the body of an answer with status 200 holds. Blocks of types that are not
/// known are parts that only this protocol understands.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let mut answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(PROTOCOL, "message", &error))?;
    if map::text(&answer, "type") == "error" {
        return Err(DecodeError::Vendor(VendorError::from_json(answer.into())));
    }
    let reason = finish_reason(map::text(&answer, "stop_reason"));
    let finish_reason = reason.ok_or(DecodeError::UnknownFinish)?;
    let blocks = map::take_objects(&mut answer, "content");
    let mut reported = Reported::default();
    let usage = map::take_object(&mut answer, "usage");
    reported.take(&usage, map::text(&answer, "model"));
    let stop_sequence = map::take_some_text(&mut answer, "stop_sequence");
    let model = map::take_text(&mut answer, "model");
    for head in ["id", "type", "role", "stop_reason"] {
        answer.shift_remove(head);
    }
    map::put(&mut answer, "usage", reported.beyond(usage));
    Ok(Completion {
        stop_sequence,
        usage: reported.usage(),
        model,
        beside: map::rest(PROTOCOL, answer),
        ..Completion::of_parts(blocks.into_iter().map(answered).collect(), finish_reason)
    })
}

/// The finish reason of this name. An unknown one is refused, since the answer may be cut short.
pub(super) fn finish_reason(name: &str) -> Option<FinishReason> {
    match name {
        "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "max_tokens" | "model_context_window_exceeded" => Some(FinishReason::Length),
        "tool_use" => Some(FinishReason::ToolCalls),
        "refusal" => Some(FinishReason::Refusal),
        "pause_turn" => Some(FinishReason::Pause),
        _ => None,
    }
}
