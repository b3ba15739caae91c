//! The items of an answer, told one after the other: each is added, grows and is done.

use domain::{Content, Opaque, Part, Reasoning, Signature, TokenLogprob, ToolCall};

use super::StreamEncoder;
use crate::json::{Fields, raw};
use crate::openai::responses::PROTOCOL;
use crate::openai::responses::encode::{
    call_of, item_id, message_item, reasoning_of, refusal_content, text_content, whole_item,
};

/// The item under way.
#[derive(Clone, Debug)]
pub(super) enum Open {
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
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::Refusal(_) => "msg",
            Self::Reasoning(_) => "rs",
            Self::Call(_) => "fc",
        }
    }
}

impl StreamEncoder {
    pub(super) fn text(&mut self, more: &str, stream: &mut String) {
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

    pub(super) fn refusal(&mut self, more: &str, stream: &mut String) {
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

    pub(super) fn reasoning(&mut self, more: &str, stream: &mut String) {
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
    pub(super) fn signature(&mut self, signature: &Signature, stream: &mut String) {
        if signature.protocol != PROTOCOL {
            return;
        }
        self.open_reasoning(stream);
        if let Some(Open::Reasoning(reasoning)) = &mut self.open {
            reasoning.signature = Some(signature.clone());
        }
    }

    pub(super) fn begin_call(&mut self, call: &ToolCall, stream: &mut String) {
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
    pub(super) fn arguments(&mut self, call: usize, more: &str, stream: &mut String) {
        if call + 1 != self.calls {
            return;
        }
        if let Some(Open::Call(call)) = &mut self.open {
            call.arguments.push_str(more);
            let fields = self.place("fc").with("delta", more);
            self.emit("response.function_call_arguments.delta", fields, stream);
        }
    }

    pub(super) fn part(&mut self, part: &Part, stream: &mut String) {
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
    pub(super) fn close(&mut self, beside: Option<&Opaque>, stream: &mut String) {
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

    /// The name of the item under way.
    pub(super) fn id(&self, kind: &str) -> String {
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
}
