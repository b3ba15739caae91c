//! Inward: the answer as our clients get it, whole.

use domain::{Completion, Content, FinishReason, Part, Protocol, TokenLogprob, ToolCall};

use super::usage::usage_body;
use crate::chat::AnswerHead;
use crate::json::{Fields, Json, list};
use crate::map;
use crate::openai::logprobs::{Bytes, token_list};

const PROTOCOL: Protocol = Protocol::OpenAiChat;

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, completion: &Completion) -> String {
    let mut beside = map::own(completion.beside.as_ref(), PROTOCOL);
    let more_usage = map::take_object(&mut beside, "usage");
    let of_choice = map::take_object(&mut beside, "choices");
    let usage = completion.usage.as_ref().map(usage_body);
    let all = std::iter::once(completion).chain(&completion.others);
    let choices = all.enumerate().map(|(index, completion)| {
        // A vendor is asked for one.
        let beside = (index == 0).then(|| of_choice.clone());
        Fields::new()
            .with("index", index as u64)
            .with("message", message(&completion.parts))
            .with("logprobs", logprobs(&completion.logprobs))
            .with("finish_reason", finish_reason(completion.finish_reason))
            .with_owned(beside.unwrap_or_default())
    });
    head_fields(head, "chat.completion")
        .with("choices", list(choices))
        .with_some("usage", usage.map(|usage| usage.with_missing(more_usage)))
        .with_owned(beside)
        .encode()
}

/// What stands at the head of a whole answer and of each chunk of a stream.
pub(super) fn head_fields<'a>(head: &'a AnswerHead, object: &'static str) -> Fields<'a> {
    Fields::new()
        .with("id", &head.id)
        .with("object", object)
        .with("created", head.created_s)
        .with("model", &head.model)
}

/// An assistant's message. Reasoning stands in the field in which compatible servers have it.
fn message(parts: &[Part]) -> Fields<'_> {
    let text = joined(parts, |content| match content {
        Content::Text(text) => Some(text),
        _ => None,
    });
    let refusal = joined(parts, |content| match content {
        Content::Refusal(text) => Some(text),
        _ => None,
    });
    let reasoning = joined(parts, |content| match content {
        Content::Reasoning(reasoning) if !reasoning.text.is_empty() => Some(&reasoning.text),
        _ => None,
    });
    let calls: Vec<Json<'_>> = parts.iter().filter_map(tool_call_of).collect();
    // A message of calls alone has no content; one of nothing has an empty one.
    let text = text.or_else(|| (calls.is_empty() && refusal.is_none()).then(String::new));
    let said = Fields::new()
        .with("role", "assistant")
        .with("content", text.map_or(Json::Null, Json::from))
        .with("refusal", refusal.map_or(Json::Null, Json::from))
        .with_some("reasoning_content", reasoning)
        .with_some("tool_calls", (!calls.is_empty()).then_some(calls));
    // What stands beside a call stands in it.
    let others = parts
        .iter()
        .filter(|part| !matches!(part.content, Content::ToolCall(_)));
    others.fold(said, |said, part| {
        said.with_missing(map::own(part.beside.as_ref(), PROTOCOL))
    })
}

fn joined<'a>(
    parts: &'a [Part],
    pick: impl Fn(&'a Content) -> Option<&'a String>,
) -> Option<String> {
    let mut texts = parts.iter().filter_map(|part| pick(&part.content));
    let first = texts.next()?.clone();
    Some(texts.fold(first, |all, text| all + text))
}

fn tool_call_of(part: &Part) -> Option<Json<'_>> {
    match &part.content {
        Content::ToolCall(call) => {
            let fields = tool_call(call);
            Some(fields.with_beside(part.beside.as_ref(), PROTOCOL).into())
        }
        _ => None,
    }
}

/// A tool call, in a request or an answer. The seal of a vendor that demands its calls back with
/// their seals stands where Google's own OpenAI surface has it.
pub(super) fn tool_call(call: &ToolCall) -> Fields<'_> {
    let function = Fields::new()
        .with("name", &call.name)
        .with("arguments", &call.arguments);
    Fields::new()
        .with("id", &call.id)
        .with("type", "function")
        .with("function", function)
        .with_some("extra_content", call.signature.as_ref().map(seal))
}

/// The seal of a tool call.
pub(super) fn seal(signature: &domain::Signature) -> Fields<'_> {
    let google = Fields::new().with("thought_signature", &signature.text);
    Fields::new().with("google", google)
}

/// Log-probabilities; null where there are none.
pub(super) fn logprobs(tokens: &[TokenLogprob]) -> Json<'_> {
    if tokens.is_empty() {
        return Json::Null;
    }
    Fields::new()
        .with("content", token_list(tokens, Bytes::WhereTold))
        .with("refusal", Json::Null)
        .into()
}

/// The finish reason's name. A refusal in words ends as any text does; without words it is one of
/// the vendor's filter.
pub(crate) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::Pause => "stop",
        FinishReason::Length => "length",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::ToolCalls => "tool_calls",
    }
}
