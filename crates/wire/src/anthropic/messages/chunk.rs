//! Outward: the answer as a vendor gives it, as a stream.

use std::collections::VecDeque;

use domain::{FinishReason, Part, StreamEnd, StreamEvent, ToolCall};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::answer::finish_reason;
use super::message::{answered, seal};
use super::usage::Reported;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;
use crate::sse::Event;

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    begun: bool,
    model: String,
    reported: Reported,
    finish_reason: Option<FinishReason>,
    stop_sequence: Option<String>,
    /// The block under way.
    block: Option<Block>,
    /// How many tool calls have begun.
    calls: usize,
    ended: bool,
}

/// A block under way, with its fields as far as they are known.
#[derive(Debug)]
struct Block {
    fields: Map<String, Value>,
    /// What came of a tool's input, as text.
    input: String,
    signature: String,
}

impl ChunkReader {
    /// Adds what the next event of the vendor's tells to the end of `events`. Events of types
    /// that are not known are passed over; [`StreamEvent::End`] comes with `message_stop`, and no
    /// event follows it.
    ///
    /// # Errors
    /// When the event is not of the protocol's form, reports an error, gives an unknown stop
    /// reason, or begins a second message within the first. The stream can't be read on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let mut fields: Map<String, Value> = serde_json::from_str(&event.data)
            .map_err(|error| not_the_protocol(PROTOCOL, "event of a stream", &error))?;
        let kind = map::text(&fields, "type").to_owned();
        match kind.as_str() {
            "message_start" => self.start(map::take_object(&mut fields, "message"), events),
            "content_block_start" => {
                self.begin_block(map::take_object(&mut fields, "content_block"), events);
                Ok(())
            }
            "content_block_delta" => {
                self.delta(map::take_object(&mut fields, "delta"), events);
                Ok(())
            }
            "content_block_stop" => {
                self.end_block(events);
                Ok(())
            }
            "message_delta" => self.message_delta(fields, events),
            "message_stop" => self.finish(events),
            "error" => Err(DecodeError::Vendor(VendorError::from_json(fields.into()))),
            "ping" | "" => Ok(()),
            _ => {
                events.push_back(unknown(&fields));
                Ok(())
            }
        }
    }

    /// Adds the end, unless it has come already. To be called when the connection was closed in
    /// good order.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when no stop reason has come.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let finish_reason = self.finish_reason.ok_or(DecodeError::Unfinished)?;
        events.push_back(StreamEvent::End(StreamEnd {
            finish_reason,
            stop_sequence: self.stop_sequence.take(),
            usage: self.reported.usage(),
            model: std::mem::take(&mut self.model),
        }));
        Ok(())
    }

    /// Some proxies repeat the first event, and some begin anew when their vendor broke off. What
    /// has been told can't be taken back, so the second is an error.
    fn start(
        &mut self,
        mut message: Map<String, Value>,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if self.calls > 0 || self.block.is_some() {
            return Err(DecodeError::Restarted);
        }
        let usage = map::take_object(&mut message, "usage");
        self.model = map::take_text(&mut message, "model");
        self.reported.take(&usage, &self.model);
        if !std::mem::replace(&mut self.begun, true) {
            for known in HEAD {
                message.shift_remove(known);
            }
            message.retain(|_, value| !value.is_null());
            map::put(&mut message, "usage", self.reported.beyond(usage));
            tell_beside("message_start", "message", message, events);
            events.push_back(StreamEvent::Start {
                model: self.model.clone(),
                usage: self.reported.usage(),
            });
        }
        Ok(())
    }

    fn begin_block(&mut self, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let kind = map::text(&fields, "type").to_owned();
        if KNOWN_BLOCKS.contains(&kind.as_str()) {
            let mut beside = fields.clone();
            for known in IN_BLOCKS {
                beside.shift_remove(known);
            }
            beside.retain(|_, value| !value.is_null());
            tell_beside("content_block_start", "content_block", beside, events);
        }
        match kind.as_str() {
            "text" => {
                let text = map::take_some_text(&mut fields, "text");
                events.extend(text.map(StreamEvent::Text));
            }
            "thinking" => {
                let text = map::take_some_text(&mut fields, "thinking");
                events.extend(text.map(StreamEvent::Reasoning));
            }
            "tool_use" => {
                self.calls += 1;
                events.push_back(StreamEvent::ToolCall(ToolCall {
                    id: map::take_text(&mut fields, "id"),
                    name: map::take_text(&mut fields, "name"),
                    arguments: String::new(),
                    signature: None,
                }));
            }
            _ => {}
        }
        self.block = Some(Block {
            signature: match map::text(&fields, "type") {
                "thinking" => map::take_text(&mut fields, "signature"),
                _ => String::new(),
            },
            fields,
            input: String::new(),
        });
    }

    fn delta(&mut self, mut delta: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let Some(block) = &mut self.block else {
            return;
        };
        let (of, kind) = (map::text(&block.fields, "type"), map::text(&delta, "type"));
        match (of, kind) {
            ("text", "text_delta") => {
                let text = map::take_some_text(&mut delta, "text");
                events.extend(text.map(StreamEvent::Text));
            }
            ("thinking", "thinking_delta") => {
                let text = map::take_some_text(&mut delta, "thinking");
                events.extend(text.map(StreamEvent::Reasoning));
            }
            ("thinking", "signature_delta") => {
                block.signature += &map::take_text(&mut delta, "signature");
            }
            (_, "input_json_delta") => {
                let json = map::take_text(&mut delta, "partial_json");
                block.input += &json;
                if of == "tool_use" && !json.is_empty() {
                    let call = self.calls - 1;
                    events.push_back(StreamEvent::Arguments { call, json });
                }
            }
            (_, "citations_delta") => {
                let citations = block.fields.entry("citations");
                let citations = citations.or_insert(Value::Null);
                if citations.is_null() {
                    *citations = Value::Array(Vec::new());
                }
                if let (Value::Array(list), Some(citation)) =
                    (citations, delta.shift_remove("citation"))
                {
                    list.push(citation);
                }
            }
            _ => {
                if KNOWN_BLOCKS.contains(&of) {
                    tell_beside("content_block_delta", "delta", delta.clone(), events);
                }
                grow(&mut block.fields, delta);
            }
        }
    }

    fn end_block(&mut self, events: &mut VecDeque<StreamEvent>) {
        let Some(mut block) = self.block.take() else {
            return;
        };
        let input = serde_json::from_str(&block.input);
        match map::text(&block.fields, "type") {
            "text" => {}
            "thinking" => {
                let signature = Some(block.signature).filter(|text| !text.is_empty());
                events.extend(signature.map(|text| StreamEvent::Signature(seal(text))));
            }
            "tool_use" => {
                // A tool without arguments has no delta that says so.
                let input = map::take_object(&mut block.fields, "input");
                if block.input.is_empty() {
                    let (call, json) = (self.calls - 1, crate::json::text(&input));
                    events.push_back(StreamEvent::Arguments { call, json });
                }
            }
            _ => {
                if let Ok(input) = input {
                    block.fields.insert("input".to_owned(), input);
                }
                let part: Part = answered(block.fields);
                return events.push_back(StreamEvent::Part(part));
            }
        }
        block.fields.shift_remove("type");
        events.push_back(StreamEvent::PartEnd(map::rest(PROTOCOL, block.fields)));
    }

    fn message_delta(
        &mut self,
        mut fields: Map<String, Value>,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let mut usage = map::take_object(&mut fields, "usage");
        self.reported.take(&usage, &self.model);
        let mut delta = map::take_object(&mut fields, "delta");
        if let Some(sequence) = map::take_some_text(&mut delta, "stop_sequence") {
            self.stop_sequence = Some(sequence);
        }
        if let Some(reason) = map::take_some_text(&mut delta, "stop_reason") {
            let reason = finish_reason(&reason).ok_or(DecodeError::UnknownFinish)?;
            self.finish_reason = Some(reason);
        }
        usage = self.reported.beyond(usage);
        delta.retain(|_, value| !value.is_null());
        for (name, rest) in [("delta", delta), ("usage", usage)] {
            if !rest.is_empty() {
                fields.insert(name.to_owned(), Value::Object(rest));
            }
        }
        if fields.len() > 1 {
            events.push_back(unknown(&fields));
        }
        Ok(())
    }
}

/// What a message that begins says in its own place.
const HEAD: [&str; 6] = [
    "content",
    "id",
    "role",
    "stop_reason",
    "stop_sequence",
    "type",
];
/// The kinds of block that the domain knows.
const KNOWN_BLOCKS: [&str; 3] = ["text", "thinking", "tool_use"];
/// What these say in their own place.
const IN_BLOCKS: [&str; 7] = [
    "id",
    "input",
    "name",
    "signature",
    "text",
    "thinking",
    "type",
];

/// Tells fields that stand beside what the domain knows in the event of this type, before that
/// itself is told.
fn tell_beside(
    kind: &str,
    place: &str,
    fields: Map<String, Value>,
    events: &mut VecDeque<StreamEvent>,
) {
    if !fields.is_empty() {
        let mut event = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        map::put(&mut event, place, fields);
        events.push_back(unknown(&event));
    }
}

fn unknown(fields: &Map<String, Value>) -> StreamEvent {
    StreamEvent::Unknown(map::whole(PROTOCOL, fields))
}

/// Adds a delta of a kind that is not known to its block: texts grow, everything else is replaced.
fn grow(fields: &mut Map<String, Value>, mut delta: Map<String, Value>) {
    delta.shift_remove("type");
    for (name, value) in delta {
        match (fields.get_mut(&name), value) {
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
}
