//! Inward: the answer as our clients get it, as a stream.

use domain::{
    Content, FinishReason, Opaque, Protocol, StreamEnd, StreamEvent, TokenLogprob, ToolCall,
};
use serde_json::{Map, Value};

use super::encode::{finish_reason, head_fields, logprobs, seal};
use super::usage::usage_body;
use crate::chat::{AnswerHead, ErrorBody, StreamUsage};
use crate::json::{Fields, Json};
use crate::map;
use crate::sse::{encode_data, encode_name};

/// Writes an answer as an event stream. What it appends is whole events, to be sent at once.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    head: AnswerHead,
    usage: StreamUsage,
    choices: Vec<Choice>,
    /// What a vendor of this protocol says in each chunk, beyond what the domain knows.
    rest: Map<String, Value>,
    /// Whether a chunk has said it yet, and what came before it that none has.
    is_rest_told: bool,
    untold: Map<String, Value>,
    /// The same of the next choice, and of the usage.
    of_choice: Map<String, Value>,
    more_usage: Map<String, Value>,
}

/// One of the completions that are written.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    begun: bool,
    /// How many tool calls have begun.
    calls: usize,
}

/// What a chunk says of a choice beside its delta.
#[derive(Default)]
struct Beside<'a> {
    logprobs: Option<&'a [TokenLogprob]>,
    reason: Option<FinishReason>,
}

impl StreamEncoder {
    /// A writer of one answer.
    #[must_use]
    pub fn new(head: AnswerHead, usage: StreamUsage) -> Self {
        Self {
            head,
            usage,
            choices: vec![Choice::default()],
            rest: Map::new(),
            is_rest_told: false,
            untold: Map::new(),
            of_choice: Map::new(),
            more_usage: Map::new(),
        }
    }

    /// Appends the events of the protocol that tell this one. The first chunk, which says who
    /// speaks, comes of itself.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        let (index, event) = match event {
            StreamEvent::Other { completion, event } => (*completion, &**event),
            own => (0, own),
        };
        if self.choices.len() <= index {
            self.choices.resize(index + 1, Choice::default());
        }
        if !std::mem::replace(&mut self.choices[index].begun, true) {
            let delta = Fields::new().with("role", "assistant").with("content", "");
            self.chunk((index, delta), &Beside::default(), stream);
        }
        self.event_of(index, event, stream);
    }

    fn event_of(&mut self, index: usize, event: &StreamEvent, stream: &mut String) {
        let delta = match event {
            StreamEvent::Text(text) => Fields::new().with("content", text),
            StreamEvent::Refusal(text) => Fields::new().with("refusal", text),
            StreamEvent::Reasoning(text) => Fields::new().with("reasoning_content", text),
            StreamEvent::ToolCall(call) => self.begin_call(index, call),
            StreamEvent::Arguments { call, json } => arguments(*call, json),
            StreamEvent::Part(part) => match &part.content {
                Content::ToolCall(call) => self.begin_call(index, call),
                Content::Text(text) => Fields::new().with("content", text),
                // This protocol has nothing to say it with.
                _ => return,
            },
            StreamEvent::Unknown(opaque) => return self.unknown(opaque, stream),
            StreamEvent::Logprobs(tokens) => {
                let beside = Beside {
                    logprobs: Some(tokens),
                    reason: None,
                };
                return self.chunk((index, Fields::new()), &beside, stream);
            }
            StreamEvent::Start { .. }
            | StreamEvent::Signature(_)
            | StreamEvent::PartEnd(_)
            | StreamEvent::Other { .. } => return,
            StreamEvent::End(end) => return self.end(index, end, stream),
        };
        self.chunk((index, delta), &Beside::default(), stream);
    }

    /// Appends the end of a stream that broke. No end mark follows, so that nobody takes the
    /// answer for whole.
    pub fn error(&self, error: &ErrorBody, stream: &mut String) {
        encode_data(&error.encode(), stream);
    }

    /// What only this protocol's clients understand.
    fn unknown(&mut self, opaque: &Opaque, stream: &mut String) {
        let fields = map::own(Some(opaque), Protocol::OpenAiChat);
        for (place, value) in fields {
            let Value::Object(fields) = value else {
                continue;
            };
            match place.as_str() {
                "chunk" => {
                    let before = std::mem::replace(&mut self.rest, fields);
                    if !std::mem::take(&mut self.is_rest_told) {
                        self.untold.extend(before);
                    }
                }
                "choice" => self.of_choice = fields,
                "usage" => self.more_usage = fields,
                "delta" => {
                    let delta = Fields::new().with_owned(fields);
                    self.chunk((0, delta), &Beside::default(), stream);
                }
                "event" => {
                    encode_name(map::text(&fields, "name"), stream);
                    encode_data(map::text(&fields, "data"), stream);
                }
                _ => {}
            }
        }
    }

    fn begin_call<'a>(&mut self, choice: usize, call: &'a ToolCall) -> Fields<'a> {
        let index = self.choices[choice].calls;
        self.choices[choice].calls += 1;
        let function = Fields::new()
            .with("name", &call.name)
            .with("arguments", &call.arguments);
        let call = Fields::new()
            .with("index", index as u64)
            .with("id", &call.id)
            .with("type", "function")
            .with("function", function)
            .with_some("extra_content", call.signature.as_ref().map(seal));
        Fields::new().with("tool_calls", vec![call.into()])
    }

    /// The finish reason, and behind that of the first completion, whose end is that of all, the
    /// usage if the client asked and it is known, and the end mark.
    fn end(&mut self, index: usize, end: &StreamEnd, stream: &mut String) {
        let beside = Beside {
            logprobs: None,
            reason: Some(end.finish_reason),
        };
        self.chunk((index, Fields::new()), &beside, stream);
        if index > 0 {
            return;
        }
        let more_usage = std::mem::take(&mut self.more_usage);
        if let (StreamUsage::Asked, Some(usage)) = (self.usage, &end.usage) {
            let body = head_fields(&self.head, "chat.completion.chunk")
                .with("choices", Vec::new())
                .with("usage", usage_body(usage).with_missing(more_usage));
            encode_data(&body.encode(), stream);
        }
        encode_data("[DONE]", stream);
    }

    fn chunk(
        &mut self,
        (index, delta): (usize, Fields<'_>),
        beside: &Beside<'_>,
        stream: &mut String,
    ) {
        let reason = beside.reason.map(finish_reason);
        let of_choice = match index {
            0 => std::mem::take(&mut self.of_choice),
            _ => Map::new(),
        };
        let choice = Fields::new()
            .with("index", index as u64)
            .with("delta", delta)
            .with("logprobs", logprobs(beside.logprobs.unwrap_or_default()))
            .with("finish_reason", reason.map_or(Json::Null, Json::from))
            .with_owned(of_choice);
        let body =
            head_fields(&self.head, "chat.completion.chunk").with("choices", vec![choice.into()]);
        // Who asks for usage gets a null in each chunk before the one that has it.
        let body = match self.usage {
            StreamUsage::Asked => body.with("usage", Json::Null),
            StreamUsage::NotAsked => body,
        };
        let untold = std::mem::take(&mut self.untold);
        self.is_rest_told = true;
        let body = body.with_map(Some(&self.rest)).with_missing(untold);
        encode_data(&body.encode(), stream);
    }
}

fn arguments(call: usize, json: &str) -> Fields<'_> {
    let function = Fields::new().with("arguments", json);
    let call = Fields::new()
        .with("index", call as u64)
        .with("function", function);
    Fields::new().with("tool_calls", vec![call.into()])
}
