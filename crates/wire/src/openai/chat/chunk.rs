//! Outward: the answer as a vendor gives it, as a stream.

use std::collections::VecDeque;

use domain::{FinishReason, Protocol, StreamEnd, StreamEvent, Usage};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{CallBody, Logprobs, Said, ended, finish_reason, own_fields, reported};
use super::usage::read_all_usage;
use crate::chat::{DecodeError, not_the_protocol};
use crate::sse::Event;

#[derive(Deserialize)]
struct ChunkBody {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    usage: Option<Value>,
    error: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u32,
    delta: Option<Said>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    begun: bool,
    finish_reason: Option<FinishReason>,
    refused: bool,
    usage: Option<Usage>,
    model: String,
    /// The vendor's number and name of each tool call, in the order in which they began.
    calls: Vec<(usize, String)>,
    /// What the last chunk had beyond what the domain knows.
    rest: Map<String, Value>,
    /// What the last usage told beyond what the domain knows.
    more_usage: Map<String, Value>,
    ended: bool,
}

impl ChunkReader {
    /// Adds what the next event of the vendor's tells to the end of `events`; [`StreamEvent::End`] comes with the end mark, and no
    /// event follows it.
    ///
    /// # Errors
    /// When the event is not of the protocol's form, reports an error, or gives an unknown finish
    /// reason. The stream can't be read on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if let Some(name) = &event.name
            && !["message", "error"].contains(&name.as_str())
        {
            events.push_back(unknown("event", event_fields(name, &event.data)));
            return Ok(());
        }
        if event.data == "[DONE]" {
            return self.finish(events);
        }
        let chunk: ChunkBody = serde_json::from_str(&event.data)
            .map_err(|error| not_the_protocol(Protocol::OpenAiChat, "chunk of a stream", &error))?;
        if let Some(error) = chunk.error {
            return Err(reported(error));
        }
        // Usage is cumulative where it comes more than once: the last counts, never the sum.
        self.read_usage(chunk.usage, events);
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        self.read_rest(chunk.rest, events);
        match chunk.choices.into_iter().find(|choice| choice.index == 0) {
            Some(choice) => self.read_choice(choice, events),
            None => Ok(()),
        }
    }

    /// Adds the end, unless it has come already. To be called when the connection was closed in
    /// good order, which some servers do instead of sending the end mark.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when no finish reason has come.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let named = self.finish_reason.ok_or(DecodeError::Unfinished)?;
        events.push_back(StreamEvent::End(StreamEnd {
            finish_reason: ended(named, !self.calls.is_empty(), self.refused),
            stop_sequence: None,
            usage: self.usage,
            model: std::mem::take(&mut self.model),
        }));
        Ok(())
    }

    /// Fields of a chunk are told where they are others than those of the chunk before.
    fn read_rest(&mut self, mut rest: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        for known in ["id", "object", "created", "obfuscation"] {
            rest.shift_remove(known);
        }
        rest.retain(|_, value| !value.is_null());
        if rest != self.rest {
            self.rest.clone_from(&rest);
            events.push_back(unknown("chunk", rest));
        }
    }

    fn read_usage(&mut self, reported: Option<Value>, events: &mut VecDeque<StreamEvent>) {
        let (usage, more) = read_all_usage(reported);
        if usage.is_some() {
            self.usage = usage;
        }
        if !more.is_empty() && more != self.more_usage {
            self.more_usage.clone_from(&more);
            events.push_back(unknown("usage", more));
        }
    }

    fn read_choice(
        &mut self,
        choice: ChunkChoice,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if !std::mem::replace(&mut self.begun, true) {
            events.push_back(StreamEvent::Start {
                model: self.model.clone(),
                usage: self.usage,
            });
        }
        let beside = own_fields(choice.rest);
        if !beside.is_empty() {
            events.push_back(unknown("choice", beside));
        }
        let mut delta = choice.delta.unwrap_or_default();
        let rest = delta.take_rest();
        if !rest.is_empty() {
            events.push_back(unknown("delta", rest));
        }
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        events.extend(some(delta.reasoning_content).map(StreamEvent::Reasoning));
        events.extend(some(delta.content).map(StreamEvent::Text));
        if let Some(text) = some(delta.refusal) {
            self.refused = true;
            events.push_back(StreamEvent::Refusal(text));
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.read_call(call, events);
        }
        let tokens = choice.logprobs.map(Logprobs::into_tokens);
        let tokens = tokens.filter(|tokens| !tokens.is_empty());
        events.extend(tokens.map(StreamEvent::Logprobs));
        if let Some(reason) = some(choice.finish_reason) {
            let reason = finish_reason(&reason).ok_or(DecodeError::UnknownFinish)?;
            self.finish_reason = Some(reason);
        }
        Ok(())
    }

    /// A call begins where its number is new. Some servers give every call the number 0 or none
    /// at all: there, a new name begins a new call.
    fn read_call(&mut self, body: CallBody, events: &mut VecDeque<StreamEvent>) {
        let id = body.id.as_deref().unwrap_or_default();
        let number = body.index.unwrap_or(0);
        let known = self.calls.iter().rposition(|(known, _)| *known == number);
        let known = known.filter(|&call| id.is_empty() || self.calls[call].1 == id);
        let Some(call) = known else {
            self.calls.push((number, id.to_owned()));
            events.push_back(StreamEvent::ToolCall(body.into_call()));
            return;
        };
        let json = body.function.arguments.filter(|json| !json.is_empty());
        events.extend(json.map(|json| StreamEvent::Arguments { call, json }));
    }
}

/// An event under a name of its own.
fn event_fields(name: &str, data: &str) -> Map<String, Value> {
    let field = |name: &str, text: &str| (name.to_owned(), Value::from(text));
    Map::from_iter([field("name", name), field("data", data)])
}

/// Fields beyond what the domain knows: of a chunk, its choice, its delta or its usage, or of an
/// event under a name of its own.
fn unknown(place: &str, fields: Map<String, Value>) -> StreamEvent {
    let fields = Map::from_iter([(place.to_owned(), Value::Object(fields))]);
    StreamEvent::Unknown(crate::map::whole(Protocol::OpenAiChat, &fields))
}
