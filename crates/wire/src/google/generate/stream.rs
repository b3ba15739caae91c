//! Inward: the answer as our clients get it, as a stream.

use domain::{Content, Opaque, Part, Reasoning, Signature, StreamEvent, ToolCall};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::answer::kept;
use super::encode::{answer_part, chunk, finished, logprobs};
use super::usage::usage_body;
use crate::chat::{AnswerHead, ErrorBody};
use crate::json::Fields;
use crate::map::take_object;
use crate::sse::encode_data;

/// How a client wants its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// As events, which it asks for with `alt=sse`.
    #[default]
    Events,
    /// As one JSON array that grows, which is what it gets if it does not ask.
    Array,
}

/// Writes an answer as a stream. What it appends is to be sent at once.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    head: AnswerHead,
    framing: Framing,
    begun: bool,
    /// The candidate of which is told.
    candidate: usize,
    /// Of each candidate the calls whose arguments are not known to be whole, in order, with those
    /// already told.
    calls: Vec<Vec<Option<ToolCall>>>,
    /// What a vendor's usage tells beyond the counts that the domain knows.
    more_usage: Map<String, Value>,
}

impl StreamEncoder {
    /// A writer of one answer.
    #[must_use]
    pub fn new(head: AnswerHead, framing: Framing) -> Self {
        Self {
            head,
            framing,
            begun: false,
            candidate: 0,
            calls: vec![Vec::new()],
            more_usage: Map::new(),
        }
    }

    /// Appends what tells this event. A call is told when its arguments are whole, because this
    /// protocol has them as an object.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        let (candidate, event) = match event {
            StreamEvent::Other { completion, event } => (*completion, &**event),
            own => (0, own),
        };
        self.candidate = candidate;
        if self.calls.len() <= candidate {
            self.calls.resize(candidate + 1, Vec::new());
        }
        if !matches!(
            event,
            StreamEvent::Arguments { .. } | StreamEvent::Start { .. } | StreamEvent::Unknown(_)
        ) {
            self.tell_calls(stream);
        }
        match event {
            StreamEvent::Start { .. } | StreamEvent::Other { .. } => {}
            StreamEvent::Text(text) | StreamEvent::Refusal(text) => {
                self.parts([Fields::new().with("text", text)], stream);
            }
            StreamEvent::Reasoning(text) => {
                let part = Fields::new().with("text", text).with("thought", true);
                self.parts([part], stream);
            }
            StreamEvent::Signature(signature) => self.seal(signature, stream),
            StreamEvent::ToolCall(call) => self.calls[candidate].push(Some(call.clone())),
            StreamEvent::Arguments { call, json } => {
                if let Some(Some(call)) = self.calls[candidate].get_mut(*call) {
                    call.arguments.push_str(json);
                }
            }
            StreamEvent::Part(part) => self.parts(answer_part(part), stream),
            StreamEvent::PartEnd(beside) => self.beside(beside.as_ref(), stream),
            StreamEvent::Unknown(opaque) => self.unknown(opaque, stream),
            StreamEvent::Logprobs(tokens) => {
                let tokens = Fields::new().with_some("logprobsResult", logprobs(tokens));
                let chunk = chunk((&self.head, candidate), [], tokens).encode();
                self.write(&chunk, stream);
            }
            StreamEvent::End(end) => {
                let more_usage = std::mem::take(&mut self.more_usage);
                let usage = end.usage.as_ref().map(usage_body);
                let usage = usage.map(|usage| usage.with_missing(more_usage));
                let head = (&self.head, candidate);
                let chunk = chunk(head, [], finished(end.finish_reason))
                    .with_some("usageMetadata", usage)
                    .encode();
                self.write(&chunk, stream);
                // The end of all is the first one's.
                if candidate == 0 && self.framing == Framing::Array {
                    stream.push(']');
                }
            }
        }
    }

    /// Appends the end of a stream that broke: an error, and no finish reason before it.
    pub fn error(&mut self, error: &ErrorBody, status: u16, stream: &mut String) {
        let body = error.encode_google(status);
        self.write(&body, stream);
        if self.framing == Framing::Array {
            stream.push(']');
        }
    }

    /// What only this protocol's clients understand.
    fn unknown(&mut self, opaque: &Opaque, stream: &mut String) {
        if opaque.protocol == PROTOCOL {
            let (candidate, mut fields) = kept(Some(opaque));
            let more_usage = take_object(&mut fields, "usageMetadata");
            if !more_usage.is_empty() {
                self.more_usage = more_usage;
            }
            if candidate.is_empty() && fields.is_empty() {
                return;
            }
            let head = (&self.head, self.candidate);
            let chunk = chunk(head, [], Fields::new().with_owned(candidate));
            let chunk = chunk.with_owned(fields).encode();
            self.write(&chunk, stream);
        }
    }

    fn tell_calls(&mut self, stream: &mut String) {
        let whole: Vec<Part> = self.calls[self.candidate]
            .iter_mut()
            .filter_map(Option::take)
            .map(|call| Part::new(Content::ToolCall(call)))
            .collect();
        for part in &whole {
            self.parts(answer_part(part), stream);
        }
    }

    fn seal(&mut self, signature: &Signature, stream: &mut String) {
        if signature.protocol == PROTOCOL {
            let part = Part::new(Content::Reasoning(Reasoning {
                text: String::new(),
                signature: Some(signature.clone()),
                is_redacted: false,
            }));
            self.parts(answer_part(&part), stream);
        }
    }

    /// What stands beside a text: its seal, which comes with an empty one.
    fn beside(&mut self, beside: Option<&Opaque>, stream: &mut String) {
        let own = beside.filter(|beside| beside.protocol == PROTOCOL);
        if own.is_some() {
            let part = Fields::new().with("text", "").with_beside(own, PROTOCOL);
            self.parts([part], stream);
        }
    }

    fn parts<'p>(&mut self, parts: impl IntoIterator<Item = Fields<'p>>, stream: &mut String) {
        let parts: Vec<Fields<'p>> = parts.into_iter().collect();
        if !parts.is_empty() {
            let chunk = chunk((&self.head, self.candidate), parts, Fields::new()).encode();
            self.write(&chunk, stream);
        }
    }

    fn write(&mut self, chunk: &str, stream: &mut String) {
        let first = !std::mem::replace(&mut self.begun, true);
        match self.framing {
            Framing::Events => encode_data(chunk, stream),
            Framing::Array => {
                stream.push_str(if first { "[" } else { ",\r\n" });
                stream.push_str(chunk);
            }
        }
    }
}
