//! Inward: the answer as our clients get it, as a stream.

use domain::{Content, Opaque, Part, StreamEnd, StreamEvent, ToolCall, Usage};

use serde_json::{Map, Value};

use super::PROTOCOL;
use super::block::block;
use super::encode::{empty_message, stop_reason_of, stop_sequence};
use super::usage::usage_body;
use crate::chat::{AnswerHead, ErrorBody};
use crate::json::{Fields, Json};
use crate::map::take_object;
use crate::sse::{encode_data, encode_name};

/// Writes an answer as an event stream. What it appends is whole events, to be sent at once.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    head: AnswerHead,
    begun: bool,
    /// The kind and number of the block under way.
    open: Option<(Kind, u64)>,
    /// How many blocks have begun.
    blocks: u64,
    /// The blocks of the tool calls.
    calls: Vec<u64>,
    /// What a vendor of this protocol says at the end, beyond what the domain knows.
    at_end: Map<String, Value>,
    /// The same of the message's beginning, and of the next block's.
    at_start: Map<String, Value>,
    next_block: Map<String, Value>,
}

/// What a block under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    ToolUse,
}

impl StreamEncoder {
    /// A writer of one answer.
    #[must_use]
    pub fn new(head: AnswerHead) -> Self {
        Self {
            head,
            begun: false,
            open: None,
            blocks: 0,
            calls: Vec::new(),
            at_end: Map::new(),
            at_start: Map::new(),
            next_block: Map::new(),
        }
    }

    /// Appends the events of the protocol that tell this one. `message_start` comes of itself.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        if let StreamEvent::Unknown(opaque) = event
            && (opaque.protocol != PROTOCOL || self.is_of_start(opaque))
        {
            return;
        }
        if !std::mem::replace(&mut self.begun, true) {
            let usage = match event {
                StreamEvent::Start { usage, .. } => usage.unwrap_or_default(),
                _ => Usage::default(),
            };
            let mut beside = std::mem::take(&mut self.at_start);
            let more_usage = take_object(&mut beside, "usage");
            let message = empty_message(&self.head, &usage, more_usage).with_owned(beside);
            let start = Fields::new().with("message", message);
            emit("message_start", start, stream);
        }
        match event {
            // This protocol has one completion and no log-probabilities.
            StreamEvent::Start { .. } | StreamEvent::Logprobs(_) | StreamEvent::Other { .. } => {}
            StreamEvent::Unknown(opaque) => self.unknown(opaque, stream),
            StreamEvent::Text(text) | StreamEvent::Refusal(text) => {
                self.open(Kind::Text, stream);
                self.delta(
                    Fields::new().with("type", "text_delta").with("text", text),
                    stream,
                );
            }
            StreamEvent::Reasoning(text) => {
                self.open(Kind::Thinking, stream);
                let delta = Fields::new().with("type", "thinking_delta");
                self.delta(delta.with("thinking", text), stream);
            }
            StreamEvent::Signature(signature) if signature.protocol == PROTOCOL => {
                self.open(Kind::Thinking, stream);
                let delta = Fields::new().with("type", "signature_delta");
                self.delta(delta.with("signature", &signature.text), stream);
            }
            // Another vendor's seal is worth nothing to this protocol's clients.
            StreamEvent::Signature(_) => {}
            StreamEvent::ToolCall(call) => self.begin_call(call, stream),
            StreamEvent::Arguments { call, json } => {
                if let Some(&number) = self.calls.get(*call) {
                    arguments(number, json, stream);
                }
            }
            StreamEvent::Part(part) => self.part(part, stream),
            StreamEvent::PartEnd(beside) => {
                self.citations(beside.as_ref(), stream);
                self.close(stream);
            }
            StreamEvent::End(end) => self.end(end, stream),
        }
    }

    /// Appends the end of a stream that broke. No `message_stop` follows, so that nobody takes
    /// the answer for whole.
    pub fn error(&self, error: &ErrorBody, status: u16, stream: &mut String) {
        encode_name("error", stream);
        encode_data(&error.encode_anthropic(status, None), stream);
    }

    /// Keeps what is to be said in `message_start`, if it is that.
    fn is_of_start(&mut self, opaque: &Opaque) -> bool {
        let mut fields = crate::map::own(Some(opaque), PROTOCOL);
        let is_start = crate::map::text(&fields, "type") == "message_start";
        if is_start {
            self.at_start = take_object(&mut fields, "message");
        }
        is_start
    }

    /// What only this protocol's clients understand.
    fn unknown(&mut self, opaque: &Opaque, stream: &mut String) {
        let mut fields = crate::map::own(Some(opaque), PROTOCOL);
        match crate::map::text(&fields, "type") {
            "" => {}
            "message_delta" => {
                fields.shift_remove("type");
                self.at_end = fields;
            }
            "content_block_start" => self.next_block = take_object(&mut fields, "content_block"),
            "content_block_delta" => {
                let delta = take_object(&mut fields, "delta");
                self.delta(Fields::new().with_owned(delta), stream);
            }
            kind => {
                encode_name(kind, stream);
                encode_data(&opaque.json, stream);
            }
        }
    }

    fn open(&mut self, kind: Kind, stream: &mut String) {
        if self.open.is_some_and(|(open, _)| open == kind) {
            return;
        }
        let block = match kind {
            Kind::Text => Fields::new().with("type", "text").with("text", ""),
            Kind::Thinking => Fields::new()
                .with("type", "thinking")
                .with("thinking", "")
                .with("signature", ""),
            Kind::ToolUse => return,
        };
        self.begin(kind, block, stream);
    }

    fn begin(&mut self, kind: Kind, block: Fields<'_>, stream: &mut String) {
        self.close(stream);
        let number = self.blocks;
        self.blocks += 1;
        self.open = Some((kind, number));
        let block = block.with_owned(std::mem::take(&mut self.next_block));
        let start = Fields::new()
            .with("index", number)
            .with("content_block", block);
        emit("content_block_start", start, stream);
    }

    fn begin_call(&mut self, call: &ToolCall, stream: &mut String) {
        let block = Fields::new()
            .with("type", "tool_use")
            .with("id", &call.id)
            .with("name", &call.name)
            .with("input", Fields::new());
        self.calls.push(self.blocks);
        self.begin(Kind::ToolUse, block, stream);
        if !call.arguments.is_empty() {
            arguments(self.blocks - 1, &call.arguments, stream);
        }
    }

    fn part(&mut self, part: &Part, stream: &mut String) {
        if let Content::ToolCall(call) = &part.content {
            self.begin_call(call, stream);
            return self.close(stream);
        }
        if let Some(block) = block(part) {
            self.begin(Kind::Text, block, stream);
            self.close(stream);
        }
    }

    /// What stands beside a text: the citations, one event each.
    fn citations(&self, beside: Option<&domain::Opaque>, stream: &mut String) {
        let own = beside.filter(|beside| beside.protocol == PROTOCOL && self.open.is_some());
        let Some(fields) = own.and_then(|own| serde_json::from_str(&own.json).ok()) else {
            return;
        };
        let mut fields: serde_json::Map<_, _> = fields;
        for citation in crate::map::take_objects(&mut fields, "citations") {
            let delta = Fields::new()
                .with("type", "citations_delta")
                .with("citation", serde_json::Value::Object(citation));
            self.delta(delta, stream);
        }
    }

    fn delta(&self, delta: Fields<'_>, stream: &mut String) {
        if let Some((_, number)) = self.open {
            let fields = Fields::new().with("index", number).with("delta", delta);
            emit("content_block_delta", fields, stream);
        }
    }

    fn close(&mut self, stream: &mut String) {
        if let Some((_, number)) = self.open.take() {
            emit(
                "content_block_stop",
                Fields::new().with("index", number),
                stream,
            );
        }
    }

    fn end(&mut self, end: &StreamEnd, stream: &mut String) {
        self.close(stream);
        let reason = stop_reason_of(end.finish_reason, end.stop_sequence.is_some());
        let mut rest = std::mem::take(&mut self.at_end);
        let delta = Fields::new()
            .with("stop_reason", reason)
            .with("stop_sequence", stop_sequence(end.stop_sequence.as_ref()))
            .with_owned(take_object(&mut rest, "delta"));
        let usage = usage_body(&end.usage.unwrap_or_default());
        let usage = usage.with_missing(take_object(&mut rest, "usage"));
        let fields = Fields::new()
            .with("delta", delta)
            .with("usage", usage)
            .with_owned(rest);
        emit("message_delta", fields, stream);
        emit("message_stop", Fields::new(), stream);
    }
}

fn arguments(number: u64, json: &str, stream: &mut String) {
    let delta = Fields::new()
        .with("type", "input_json_delta")
        .with("partial_json", json);
    let fields = Fields::new().with("index", number).with("delta", delta);
    emit("content_block_delta", fields, stream);
}

fn emit(kind: &'static str, fields: Fields<'_>, stream: &mut String) {
    encode_name(kind, stream);
    let head = Fields::new().with("type", Json::from(kind));
    encode_data(&head.followed_by(fields).encode(), stream);
}
