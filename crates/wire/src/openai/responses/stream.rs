//! Inward: the answer as our clients get it, as a stream.

use domain::{
    Content, Opaque, Part, Reasoning, Signature, StreamEnd, StreamEvent, TokenLogprob, ToolCall,
};

use serde_json::{Map, Value};

use super::PROTOCOL;
use super::echo::Echo;
use super::encode::{
    Status, call_of, item_id, message_item, reasoning_of, refusal_content, response, status,
    text_content, whole_item,
};
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

/// The item under way.
#[derive(Clone, Debug)]
enum Open {
    Text {
        text: String,
        logprobs: Vec<TokenLogprob>,
    },
    Refusal(String),
    Reasoning(Reasoning),
    Call(ToolCall),
}

impl Open {
    /// What the names of such items begin with.
    fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::Refusal(_) => "msg",
            Self::Reasoning(_) => "rs",
            Self::Call(_) => "fc",
        }
    }
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

    fn text(&mut self, more: &str, stream: &mut String) {
        if !matches!(self.open, Some(Open::Text { .. })) {
            self.begin("msg", text_content("", &[]), stream);
            let (text, logprobs) = (String::new(), Vec::new());
            self.open = Some(Open::Text { text, logprobs });
        }
        if let Some(Open::Text { text, .. }) = &mut self.open {
            text.push_str(more);
        }
        let fields = self.place("msg").with("content_index", 0_u32);
        let fields = fields.with("delta", more).with("logprobs", Vec::new());
        self.emit("response.output_text.delta", fields, stream);
    }

    fn refusal(&mut self, more: &str, stream: &mut String) {
        if !matches!(self.open, Some(Open::Refusal(_))) {
            self.begin("msg", refusal_content(""), stream);
            self.open = Some(Open::Refusal(String::new()));
        }
        if let Some(Open::Refusal(text)) = &mut self.open {
            text.push_str(more);
        }
        let fields = self.place("msg").with("content_index", 0_u32);
        self.emit("response.refusal.delta", fields.with("delta", more), stream);
    }

    /// Begins a message with its first content.
    fn begin(&mut self, kind: &str, content: Fields<'_>, stream: &mut String) {
        self.close(None, stream);
        let item = message_item(self.id(kind), "in_progress", None);
        self.added(item, stream);
        let fields = self.place(kind).with("content_index", 0_u32);
        let fields = fields.with("part", content);
        self.emit("response.content_part.added", fields, stream);
    }

    fn reasoning(&mut self, more: &str, stream: &mut String) {
        self.open_reasoning(stream);
        let mut begins = false;
        if let Some(Open::Reasoning(reasoning)) = &mut self.open {
            begins = reasoning.text.is_empty();
            reasoning.text.push_str(more);
        }
        if begins {
            let part = Fields::new().with("type", "summary_text").with("text", "");
            let fields = self.place("rs").with("summary_index", 0_u32);
            let fields = fields.with("part", part);
            self.emit("response.reasoning_summary_part.added", fields, stream);
        }
        let fields = self.place("rs").with("summary_index", 0_u32);
        let kind = "response.reasoning_summary_text.delta";
        self.emit(kind, fields.with("delta", more), stream);
    }

    fn open_reasoning(&mut self, stream: &mut String) {
        if matches!(self.open, Some(Open::Reasoning(_))) {
            return;
        }
        self.close(None, stream);
        let empty = Reasoning {
            text: String::new(),
            signature: None,
            is_redacted: false,
        };
        let item = reasoning_of(self.id("rs"), &empty);
        self.added(item, stream);
        self.open = Some(Open::Reasoning(empty));
    }

    /// Another vendor's seal is worth nothing to this protocol's clients.
    fn signature(&mut self, signature: &Signature, stream: &mut String) {
        if signature.protocol != PROTOCOL {
            return;
        }
        self.open_reasoning(stream);
        if let Some(Open::Reasoning(reasoning)) = &mut self.open {
            reasoning.signature = Some(signature.clone());
        }
    }

    fn begin_call(&mut self, call: &ToolCall, stream: &mut String) {
        self.close(None, stream);
        self.calls += 1;
        let mut begun = call.clone();
        begun.arguments.clear();
        let item = Fields::new()
            .with("id", self.id("fc"))
            .with("status", "in_progress")
            .with("type", "function_call")
            .with("call_id", &begun.id)
            .with("name", &begun.name)
            .with("arguments", "");
        self.added(item, stream);
        self.open = Some(Open::Call(begun));
        if !call.arguments.is_empty() {
            self.arguments(self.calls - 1, &call.arguments, stream);
        }
    }

    /// The arguments of an earlier call than the one under way come too late to be told.
    fn arguments(&mut self, call: usize, more: &str, stream: &mut String) {
        if call + 1 != self.calls {
            return;
        }
        if let Some(Open::Call(call)) = &mut self.open {
            call.arguments.push_str(more);
            let fields = self.place("fc").with("delta", more);
            self.emit("response.function_call_arguments.delta", fields, stream);
        }
    }

    fn part(&mut self, part: &Part, stream: &mut String) {
        self.close(None, stream);
        if let Content::ToolCall(call) = &part.content {
            self.begin_call(call, stream);
            return self.close(part.beside.as_ref(), stream);
        }
        if let Some(item) = whole_item(self.id("rs"), part) {
            if !std::mem::take(&mut self.is_added) {
                self.added_raw(&item.encode(), stream);
            }
            self.done(item, stream);
        }
    }

    /// Ends the item under way.
    fn close(&mut self, beside: Option<&Opaque>, stream: &mut String) {
        match self.open.take() {
            None => {}
            Some(Open::Text { text, logprobs }) => {
                let fields = self.place("msg").with("content_index", 0_u32);
                let fields = fields.with("text", &text).with("logprobs", Vec::new());
                self.emit("response.output_text.done", fields, stream);
                let content = || text_content(&text, &logprobs).with_beside(beside, PROTOCOL);
                self.end_content(content(), stream);
                let item = message_item(self.id("msg"), "completed", Some(content()));
                self.done(item, stream);
            }
            Some(Open::Refusal(text)) => {
                let fields = self.place("msg").with("content_index", 0_u32);
                self.emit(
                    "response.refusal.done",
                    fields.with("refusal", &text),
                    stream,
                );
                self.end_content(refusal_content(&text), stream);
                let content = Some(refusal_content(&text));
                let item = message_item(self.id("msg"), "completed", content);
                self.done(item, stream);
            }
            Some(Open::Reasoning(reasoning)) => self.end_reasoning(&reasoning, stream),
            Some(Open::Call(call)) => {
                let item = call_of(self.id("fc"), "completed", &call);
                let fields = self.place("fc").with("name", &call.name);
                let fields = fields.with("arguments", &call.arguments);
                self.emit("response.function_call_arguments.done", fields, stream);
                self.done(item, stream);
            }
        }
    }

    fn end_reasoning(&mut self, reasoning: &Reasoning, stream: &mut String) {
        if !reasoning.text.is_empty() {
            let place = || self.place("rs").with("summary_index", 0_u32);
            let text = place().with("text", &reasoning.text);
            let part = Fields::new()
                .with("type", "summary_text")
                .with("text", &reasoning.text);
            let part = place().with("part", part);
            self.emit("response.reasoning_summary_text.done", text, stream);
            self.emit("response.reasoning_summary_part.done", part, stream);
        }
        let item = reasoning_of(self.id("rs"), reasoning);
        self.done(item, stream);
    }

    fn end_content(&mut self, content: Fields<'_>, stream: &mut String) {
        let fields = self.place("msg").with("content_index", 0_u32);
        self.emit(
            "response.content_part.done",
            fields.with("part", content),
            stream,
        );
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

    /// The name of the item under way.
    fn id(&self, kind: &str) -> String {
        item_id(&self.head, kind, self.output.len() as u64)
    }

    fn place(&self, kind: &str) -> Fields<'static> {
        Fields::new()
            .with("item_id", self.id(kind))
            .with("output_index", self.output.len() as u64)
    }

    fn added(&mut self, item: Fields<'_>, stream: &mut String) {
        let item = item.with_missing(self.of_item.clone());
        self.added_raw(&item.encode(), stream);
    }

    fn added_raw(&mut self, item: &str, stream: &mut String) {
        let fields = Fields::new()
            .with("output_index", self.output.len() as u64)
            .with_some("item", raw(item));
        self.emit("response.output_item.added", fields, stream);
    }

    fn done(&mut self, item: Fields<'_>, stream: &mut String) {
        let of_item = std::mem::take(&mut self.of_item);
        let item = item.with_missing(of_item).encode();
        let fields = Fields::new()
            .with("output_index", self.output.len() as u64)
            .with_some("item", raw(&item));
        self.emit("response.output_item.done", fields, stream);
        self.output.push(item);
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
