//! Outward: the answer as a vendor gives it, as a stream.

use std::collections::VecDeque;

use domain::{Content, Part, StreamEnd, StreamEvent, ToolCall};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::answer::{
    beyond_echo, beyond_item, read_call, read_content, read_logprobs, read_response,
};
use super::item::{BREAK, read_reasoning};
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::map;
use crate::sse::Event;

/// Events that say again what others have said, and that are made anew for our clients.
const REMADE: [&str; 10] = [
    "",
    "response.content_part.added",
    "response.function_call_arguments.done",
    "response.in_progress",
    "response.output_text.done",
    "response.queued",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.done",
    "response.refusal.done",
];

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    begun: bool,
    /// The place in the output of each call of a function, and whether arguments came.
    calls: Vec<(u64, bool)>,
    /// Whether something was told of the item under way.
    told: bool,
    /// Whether the item before had something beyond what the domain knows.
    told_beside: bool,
    ended: bool,
}

impl ChunkReader {
    /// Adds what the next event of the vendor's tells to the end of `events`. Events of types
    /// that are not known are passed over; [`StreamEvent::End`] comes with the finished response,
    /// and no event follows it.
    ///
    /// # Errors
    /// When the event is not of the protocol's form, or reports an error. The stream can't be read
    /// on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if event.data == "[DONE]" {
            return self.finish(events);
        }
        let mut fields: Map<String, Value> = serde_json::from_str(&event.data)
            .map_err(|error| not_the_protocol(PROTOCOL, "event of a stream", &error))?;
        let kind = map::text(&fields, "type").to_owned();
        let text = |fields: &mut Map<String, Value>| map::take_some_text(fields, "delta");
        match kind.as_str() {
            "response.created" => self.start(&map::take_object(&mut fields, "response"), events),
            "response.output_text.delta" => {
                let text = text(&mut fields).map(StreamEvent::Text);
                self.tell(text, events);
                let tokens = read_logprobs(fields.shift_remove("logprobs"));
                if !tokens.is_empty() {
                    events.push_back(StreamEvent::Logprobs(tokens));
                }
            }
            "response.refusal.delta" => {
                self.tell(text(&mut fields).map(StreamEvent::Refusal), events);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.tell(text(&mut fields).map(StreamEvent::Reasoning), events);
            }
            "response.reasoning_summary_part.added" if self.told => {
                events.push_back(StreamEvent::Reasoning(BREAK.to_owned()));
            }
            "response.content_part.done" => {
                self.end_content(map::take_object(&mut fields, "part"), events);
            }
            "response.output_item.added" => self.begin_item(fields, events),
            "response.function_call_arguments.delta" => self.arguments(fields, events),
            "response.output_item.done" => self.end_item(fields, events),
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = map::take_object(&mut fields, "response");
                return self.end(response, fields, events);
            }
            "error" => {
                let error = match fields.contains_key("error") {
                    true => fields,
                    // The form that the vendor's description has: fields without an envelope.
                    false => Map::from_iter([("error".to_owned(), fields.into())]),
                };
                return Err(DecodeError::Vendor(VendorError::from_json(error.into())));
            }
            _ if REMADE.contains(&kind.as_str()) => {}
            _ => events.push_back(unknown(&fields)),
        }
        Ok(())
    }

    /// To be called when the connection was closed in good order.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when the finished response has not come.
    pub fn finish(&mut self, _events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        match self.ended {
            true => Ok(()),
            false => Err(DecodeError::Unfinished),
        }
    }

    fn start(&mut self, response: &Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut beside = Map::new();
            map::put(&mut beside, "response", beyond_echo(response.clone()));
            tell_beside("response.created", beside, events);
            events.push_back(StreamEvent::Start {
                model: map::text(response, "model").to_owned(),
                usage: None,
            });
        }
    }

    fn tell(&mut self, event: Option<StreamEvent>, events: &mut VecDeque<StreamEvent>) {
        self.told |= event.is_some();
        events.extend(event);
    }

    fn begin_item(&mut self, fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        self.told = false;
        let place = map::count(&fields, "output_index").unwrap_or(0);
        let mut item = match fields.get("item").and_then(Value::as_object) {
            Some(item) => item.clone(),
            None => return,
        };
        let kind = map::text(&item, "type");
        if !["message", "reasoning", "function_call"].contains(&kind) {
            return events.push_back(unknown(&fields));
        }
        let is_call = kind == "function_call";
        let beside = beyond_item(item.clone());
        // An item that has nothing says so after one that had.
        let told_beside = !beside.is_empty();
        if std::mem::replace(&mut self.told_beside, told_beside) || told_beside {
            let event = [("item".to_owned(), Value::Object(beside))];
            tell_beside(
                "response.output_item.added",
                event.into_iter().collect(),
                events,
            );
        }
        if is_call {
            self.calls.push((place, false));
            events.push_back(StreamEvent::ToolCall(ToolCall {
                id: map::take_text(&mut item, "call_id"),
                name: map::take_text(&mut item, "name"),
                arguments: String::new(),
                signature: None,
            }));
        }
    }

    fn arguments(&mut self, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let place = map::count(&fields, "output_index").unwrap_or(0);
        let call = self.calls.iter().rposition(|(known, _)| *known == place);
        let json = map::take_some_text(&mut fields, "delta");
        if let (Some(call), Some(json)) = (call, json) {
            self.calls[call].1 = true;
            events.push_back(StreamEvent::Arguments { call, json });
        }
    }

    fn end_content(&mut self, part: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let mut logprobs = Vec::new();
        let part = read_content(part, &mut logprobs);
        // Its text has been told.
        let is_text = matches!(part.content, Content::Text(_) | Content::Refusal(_));
        if is_text && std::mem::take(&mut self.told) {
            events.push_back(StreamEvent::PartEnd(part.beside));
        }
    }

    fn end_item(&mut self, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let place = map::count(&fields, "output_index").unwrap_or(0);
        let item = map::take_object(&mut fields, "item");
        match map::text(&item, "type") {
            "message" => {
                if std::mem::take(&mut self.told) {
                    events.push_back(StreamEvent::PartEnd(None));
                }
            }
            "function_call" => self.end_call(place, item, events),
            "reasoning" => self.end_reasoning(item, events),
            _ => {
                let opaque = map::whole(PROTOCOL, &item);
                events.push_back(StreamEvent::Part(Part::new(Content::Opaque(opaque))));
            }
        }
    }

    fn end_call(
        &mut self,
        place: u64,
        item: Map<String, Value>,
        events: &mut VecDeque<StreamEvent>,
    ) {
        let call = self.calls.iter().rposition(|(known, _)| *known == place);
        let Part { content, beside } = read_call(item);
        if let (Some(call), Content::ToolCall(whole)) = (call, content) {
            let json = whole.arguments;
            // Some servers tell the arguments once, at the end.
            if !self.calls[call].1 && !json.is_empty() {
                events.push_back(StreamEvent::Arguments { call, json });
            }
            events.push_back(StreamEvent::PartEnd(beside));
        }
    }

    fn end_reasoning(&mut self, item: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let part = read_reasoning(item);
        if !std::mem::take(&mut self.told) {
            return events.push_back(StreamEvent::Part(part));
        }
        if let Content::Reasoning(reasoning) = part.content {
            events.extend(reasoning.signature.map(StreamEvent::Signature));
        }
        events.push_back(StreamEvent::PartEnd(part.beside));
    }

    fn end(
        &mut self,
        response: Map<String, Value>,
        mut event: Map<String, Value>,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let whole = read_response(response)?;
        event.retain(|name, value| name != "sequence_number" && !value.is_null());
        event.shift_remove("type");
        map::put(
            &mut event,
            "response",
            map::own(whole.beside.as_ref(), PROTOCOL),
        );
        tell_beside("response.completed", event, events);
        self.ended = true;
        events.push_back(StreamEvent::End(StreamEnd {
            finish_reason: whole.finish_reason,
            stop_sequence: None,
            usage: whole.usage,
            model: whole.model,
        }));
        Ok(())
    }
}

/// Tells fields that stand beside what the domain knows in the event of this type, before that
/// itself is told.
fn tell_beside(kind: &str, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
    if !fields.is_empty() {
        fields.insert("type".to_owned(), kind.into());
        events.push_back(unknown(&fields));
    }
}

fn unknown(fields: &Map<String, Value>) -> StreamEvent {
    StreamEvent::Unknown(map::whole(PROTOCOL, fields))
}
