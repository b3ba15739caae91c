//! Outward: the answer as a vendor gives it, whole.

use domain::{
    Completion, Content, FinishReason, Opaque, Part, Protocol, Reasoning, Signature, TokenLogprob,
    ToolCall,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::usage::read_all_usage;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;
use crate::openai::logprobs::{TokenBody, read_tokens};

const PROTOCOL: Protocol = Protocol::OpenAiChat;

#[derive(Deserialize)]
struct AnswerBody {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A message or the delta of one.
#[derive(Default, Deserialize)]
pub(super) struct Said {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    /// What servers of open models call the model's thoughts.
    #[serde(alias = "reasoning")]
    pub(super) reasoning_content: Option<String>,
    pub(super) tool_calls: Option<Vec<CallBody>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A tool call or the delta of one.
#[derive(Deserialize)]
pub(super) struct CallBody {
    pub(super) index: Option<usize>,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) function: FunctionBody,
    pub(super) extra_content: Option<Value>,
}

#[derive(Default, Deserialize)]
pub(super) struct FunctionBody {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Logprobs {
    content: Option<Vec<TokenBody>>,
}

/// The completion that the body of an answer with status 200 holds. A refusal in words ends with
/// [`FinishReason::Refusal`]. Of several choices the first is taken.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_completion(body: &[u8]) -> Result<Completion, DecodeError> {
    let answer: AnswerBody = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(PROTOCOL, "completion", &error))?;
    let choice = answer.choices.into_iter().next();
    let choice = choice.ok_or(DecodeError::NoChoice)?;
    let named = choice.finish_reason.as_deref().and_then(finish_reason);
    let named = named.ok_or(DecodeError::UnknownFinish)?;
    let parts = choice.message.into_parts();
    let has = |pick: fn(&Content) -> bool| parts.iter().any(|part| pick(&part.content));
    let calls = has(|content| matches!(content, Content::ToolCall(_)));
    let refused = has(|content| matches!(content, Content::Refusal(_)));
    let logprobs = choice.logprobs.map(Logprobs::into_tokens);
    let mut rest = answer.rest;
    for head in ["id", "object", "created"] {
        rest.shift_remove(head);
    }
    let (usage, more_usage) = read_all_usage(answer.usage);
    map::put(&mut rest, "usage", more_usage);
    map::put(&mut rest, "choices", own_fields(choice.rest));
    Ok(Completion {
        finish_reason: ended(named, calls, refused),
        logprobs: logprobs.unwrap_or_default(),
        usage,
        model: answer.model.unwrap_or_default(),
        beside: beside(rest),
        ..Completion::of_parts(parts, named)
    })
}

/// The finish reason that stands behind the named one: a refusal in words ends as any text does,
/// and some servers end with `stop` where they ask for tools.
pub(super) fn ended(named: FinishReason, calls: bool, refused: bool) -> FinishReason {
    match named {
        _ if refused => FinishReason::Refusal,
        FinishReason::Stop if calls => FinishReason::ToolCalls,
        _ => named,
    }
}

impl Said {
    /// The fields of a delta that are not known.
    pub(super) fn take_rest(&mut self) -> Map<String, Value> {
        let mut rest = std::mem::take(&mut self.rest);
        rest.shift_remove("role");
        rest.retain(|_, value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
        rest
    }

    fn into_parts(mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let rest = self.take_rest();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(text) = some(self.reasoning_content) {
            parts.push(Part::new(Content::Reasoning(Reasoning {
                text,
                signature: None,
                is_redacted: false,
            })));
        }
        parts.extend(some(self.content).map(Part::text));
        parts.extend(some(self.refusal).map(|text| Part::new(Content::Refusal(text))));
        if let Some(part) = parts.last_mut() {
            part.beside = beside(rest);
        }
        let calls = self.tool_calls.unwrap_or_default().into_iter();
        parts.extend(calls.map(|call| Part::new(Content::ToolCall(call.into_call()))));
        parts
    }
}

impl CallBody {
    pub(super) fn into_call(self) -> ToolCall {
        ToolCall {
            id: self.id.unwrap_or_default(),
            name: self.function.name.unwrap_or_default(),
            arguments: self.function.arguments.unwrap_or_default(),
            signature: self.extra_content.as_ref().and_then(read_seal),
        }
    }
}

/// The seal of a tool call where Google's own OpenAI surface has it.
pub(super) fn read_seal(extra_content: &Value) -> Option<Signature> {
    let seal = extra_content.pointer("/google/thought_signature")?;
    Some(Signature {
        protocol: Protocol::Google,
        text: seal.as_str()?.to_owned(),
    })
}

impl Logprobs {
    pub(super) fn into_tokens(self) -> Vec<TokenLogprob> {
        read_tokens(self.content.unwrap_or_default())
    }
}

/// What an event of a stream reports as an error.
pub(super) fn reported(error: Value) -> DecodeError {
    DecodeError::Vendor(VendorError::from_json(
        serde_json::json!({ "error": error }),
    ))
}

/// The fields of a choice that are not known.
pub(super) fn own_fields(mut rest: Map<String, Value>) -> Map<String, Value> {
    rest.shift_remove("index");
    rest.retain(|_, value| !value.is_null());
    rest
}

fn beside(mut rest: Map<String, Value>) -> Option<Opaque> {
    rest.retain(|_, value| !value.is_null());
    crate::object::opaque(PROTOCOL, &rest)
}

/// The finish reason of this name: OpenAI's, and the names that compatible servers use. An
/// unknown one is refused, since the answer may be cut short.
pub(crate) fn finish_reason(name: &str) -> Option<FinishReason> {
    match name {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Some(FinishReason::Stop),
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "content_filter" => Some(FinishReason::ContentFilter),
        "tool_calls" | "function_call" => Some(FinishReason::ToolCalls),
        _ => None,
    }
}
