//! Inward: the answer as our clients get it, as a stream.

mod item;

use domain::{Opaque, StreamEnd, StreamEvent};
use serde_json::{Map, Value};

use self::item::Open;
use super::PROTOCOL;
use super::echo::Echo;
use super::encode::{Status, response, status};
use super::usage::usage_body;
use crate::chat::{AnswerHead, ErrorBody};
use crate::json::{Fields, Json, raw};
use crate::map;
use crate::sse::{encode_data, encode_name};

const IN_PROGRESS: Status = Status {
    name: "in_progress",
    incomplete: None,
};

/// Writes an answer as an event stream. What it appends is whole events, to be sent at once. It
/// keeps the items of the answer, because the last event tells them all again.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    head: AnswerHead,
    echo: Echo,
    /// The number of the next event.
    number: u64,
    open: Option<Open>,
    /// The finished items as JSON.
    output: Vec<String>,
    /// How many tool calls have begun.
    calls: usize,
    /// Whether a vendor's own event has told that the item under way was added.
    is_added: bool,
    /// What a vendor of this protocol says beyond what the domain knows, of the response at its
    /// begin, of the item under way, and of the event that ends it all.
    at_start: Map<String, Value>,
    of_item: Map<String, Value>,
    at_end: Map<String, Value>,
    /// The response as the last event has told it.
    whole: Option<String>,
}

impl StreamEncoder {
    /// A writer of one answer.
    #[must_use]
    pub fn new(head: AnswerHead, echo: Echo) -> Self {
        Self {
            head,
            echo,
            number: 0,
            open: None,
            output: Vec::new(),
            calls: 0,
            is_added: false,
            at_start: Map::new(),
            of_item: Map::new(),
            at_end: Map::new(),
            whole: None,
        }
    }

    /// The whole response as JSON, as the event that ended the stream told it.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        self.whole.as_deref()
    }

    /// Appends the events of the protocol that tell this one. The first ones, which tell that the
    /// response was made, come of themselves.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        if let StreamEvent::Unknown(opaque) = event
            && self.is_kept(opaque)
        {
            return;
        }
        if self.number == 0 {
            for kind in ["response.created", "response.in_progress"] {
                let response = response(&self.head, &self.echo, IN_PROGRESS)
                    .with("output", Vec::new())
                    .with_missing(self.at_start.clone())
                    .encode();
                self.emit(kind, with_response(&response), stream);
            }
        }
        match event {
            // This protocol has one completion.
            StreamEvent::Start { .. } | StreamEvent::Other { .. } => {}
            StreamEvent::Text(more) => self.text(more, stream),
            StreamEvent::Refusal(more) => self.refusal(more, stream),
            StreamEvent::Reasoning(more) => self.reasoning(more, stream),
            StreamEvent::Signature(signature) => self.signature(signature, stream),
            StreamEvent::ToolCall(call) => self.begin_call(call, stream),
            StreamEvent::Arguments { call, json } => self.arguments(*call, json, stream),
            StreamEvent::Part(part) => self.part(part, stream),
            StreamEvent::PartEnd(beside) => self.close(beside.as_ref(), stream),
            StreamEvent::Unknown(opaque) => self.unknown(opaque, stream),
            StreamEvent::Logprobs(tokens) => {
                if let Some(Open::Text { logprobs, .. }) = &mut self.open {
                    logprobs.extend_from_slice(tokens);
                }
            }
            StreamEvent::End(end) => self.end(end, stream),
        }
    }

    /// Appends the end of a stream that broke: an error, and no finished response.
    pub fn error(&mut self, error: &ErrorBody, stream: &mut String) {
        let or_null = |text: Option<&String>| text.map_or(Json::Null, |text| text.clone().into());
        let fields = Fields::new()
            .with("code", or_null(error.code.as_ref()))
            .with("message", &error.message)
            .with("param", or_null(error.param.as_ref()));
        self.emit("error", fields, stream);
    }

    /// Keeps what is to be said in an event of our own, if it is that.
    fn is_kept(&mut self, opaque: &Opaque) -> bool {
        let mut fields = map::own(Some(opaque), PROTOCOL);
        let in_item = |name| {
            fields
                .get("item")
                .is_some_and(|item| item.get(name).is_some())
        };
        match map::text(&fields, "type") {
            "response.created" => self.at_start = map::take_object(&mut fields, "response"),
            "response.completed" => {
                fields.shift_remove("type");
                self.at_end = fields;
            }
            // An item of a kind that the domain knows; others come whole.
            "response.output_item.added" if !in_item("type") => {
                self.of_item = map::take_object(&mut fields, "item");
            }
            _ => return false,
        }
        true
    }

    /// What only this protocol's clients understand, with our own numbers and names.
    fn unknown(&mut self, opaque: &Opaque, stream: &mut String) {
        let mut fields = map::own(Some(opaque), PROTOCOL);
        if fields.is_empty() {
            return;
        }
        let kind = map::take_text(&mut fields, "type");
        fields.shift_remove("sequence_number");
        if kind == "response.output_item.added" {
            self.close(None, stream);
            self.is_added = true;
        }
        if let Some(place) = fields.get_mut("output_index") {
            *place = (self.output.len() as u64).into();
        }
        if let (Some(id), Some(open)) = (fields.get_mut("item_id"), &self.open) {
            *id = self.id(open.kind()).into();
        }
        self.emit(&kind, Fields::new().with_owned(fields), stream);
    }

    fn end(&mut self, end: &StreamEnd, stream: &mut String) {
        self.close(None, stream);
        let status = status(end.finish_reason);
        let output = std::mem::take(&mut self.output);
        let items = output.iter().filter_map(|item| raw(item));
        let mut at_end = std::mem::take(&mut self.at_end);
        let mut beside = map::take_object(&mut at_end, "response");
        let more_usage = map::take_object(&mut beside, "usage");
        let usage = end.usage.as_ref().map(usage_body);
        let response = response(&self.head, &self.echo, status)
            .with("output", Json::List(items.collect()))
            .with_some("usage", usage.map(|usage| usage.with_missing(more_usage)))
            .with_missing(beside)
            .encode();
        let kind = match status.incomplete {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        let fields = with_response(&response).with_missing(at_end);
        self.emit(kind, fields, stream);
        self.whole = Some(response);
    }

    fn emit(&mut self, kind: &str, fields: Fields<'_>, stream: &mut String) {
        encode_name(kind, stream);
        let head = Fields::new()
            .with("type", Json::from(kind))
            .with("sequence_number", self.number);
        self.number += 1;
        encode_data(&head.followed_by(fields).encode(), stream);
    }
}

fn with_response(response: &str) -> Fields<'_> {
    Fields::new().with_some("response", raw(response))
}
