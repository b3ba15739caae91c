//! Outward: the answer as a vendor gives it, as a stream.

use std::collections::VecDeque;

use domain::{Content, FinishReason, Part, Signature, StreamEnd, StreamEvent, ToolCall, Usage};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::answer::{call_name, is_blocked, keep_candidate, read_body, read_logprobs};
use super::finish::{ended, finish_reason};
use super::part::read_known;
use super::partial::Arguments;
use super::usage::read_all_usage;
use crate::chat::DecodeError;
use crate::map;
use crate::sse::Event;

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct ChunkReader {
    begun: bool,
    model: String,
    response_id: String,
    usage: Option<Usage>,
    finish_reason: Option<FinishReason>,
    /// How many tool calls have begun.
    calls: usize,
    /// How many of them had no name.
    nameless: usize,
    /// A call whose arguments are still coming.
    partial: Option<(ToolCall, Arguments)>,
    ended: bool,
}

impl ChunkReader {
    /// Adds what the next event of the vendor's tells to the end of `events`. This protocol has no
    /// end mark: [`StreamEvent::End`] comes with [`Self::finish`].
    ///
    /// # Errors
    /// When the event is not of the protocol's form, reports an error, or gives an unknown finish
    /// reason. The stream can't be read on then.
    pub fn read(
        &mut self,
        event: &Event,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let mut chunk = read_body(event.data.as_bytes(), "event of a stream")?;
        // Usage is cumulative: the last counts, never the sum.
        let (usage, more_usage) = read_all_usage(map::take_object(&mut chunk, "usageMetadata"));
        if usage.is_some() {
            self.usage = usage;
        }
        map::put(&mut chunk, "usageMetadata", more_usage);
        let keep = |place: &mut String, text: String| {
            if !text.is_empty() {
                *place = text;
            }
        };
        keep(&mut self.model, map::take_text(&mut chunk, "modelVersion"));
        keep(
            &mut self.response_id,
            map::take_text(&mut chunk, "responseId"),
        );
        if is_blocked(&chunk) {
            self.finish_reason = Some(FinishReason::ContentFilter);
        }
        if !std::mem::replace(&mut self.begun, true) {
            events.push_back(StreamEvent::Start {
                model: self.model.clone(),
                usage: self.usage,
            });
        }
        let candidate = map::take_objects(&mut chunk, "candidates")
            .into_iter()
            .next();
        if let Some(mut candidate) = candidate {
            self.candidate(&mut candidate, events)?;
            keep_candidate(candidate, &mut chunk);
        }
        chunk.shift_remove("createTime");
        if !chunk.is_empty() {
            events.push_back(StreamEvent::Unknown(map::whole(PROTOCOL, &chunk)));
        }
        Ok(())
    }

    /// Adds the end, unless it has come already. To be called when the connection was closed in
    /// good order.
    ///
    /// # Errors
    /// [`DecodeError::Unfinished`] when no finish reason has come.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let named = self.finish_reason.ok_or(DecodeError::Unfinished)?;
        self.end_partial(events);
        events.push_back(StreamEvent::End(StreamEnd {
            finish_reason: ended(named, self.calls > 0),
            stop_sequence: None,
            usage: self.usage,
            model: std::mem::take(&mut self.model),
        }));
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: &mut Map<String, Value>,
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let mut content = map::take_object(candidate, "content");
        for fields in map::take_objects(&mut content, "parts") {
            self.part(fields, events);
        }
        let logprobs = read_logprobs(candidate);
        if !logprobs.is_empty() {
            events.push_back(StreamEvent::Logprobs(logprobs));
        }
        match map::text(candidate, "finishReason") {
            "" => Ok(()),
            name => {
                let reason = finish_reason(name).ok_or(DecodeError::UnknownFinish)?;
                self.finish_reason = Some(reason);
                Ok(())
            }
        }
    }

    fn part(&mut self, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        if fields.contains_key("functionCall") {
            return self.call(fields, events);
        }
        self.end_partial(events);
        // The seal of a text comes with its last piece, which may be empty.
        let is_thought = fields.get("thought") == Some(&Value::Bool(true));
        let seal = match is_thought {
            true => map::take_some_text(&mut fields, "thoughtSignature"),
            false => None,
        };
        let Part { content, beside } = read_known(fields, String::new);
        match content {
            Content::Text(text) => {
                if !text.is_empty() {
                    events.push_back(StreamEvent::Text(text));
                }
                if beside.is_some() {
                    events.push_back(StreamEvent::PartEnd(beside));
                }
            }
            Content::Reasoning(reasoning) => {
                if !reasoning.text.is_empty() {
                    events.push_back(StreamEvent::Reasoning(reasoning.text));
                }
                events.extend(seal.map(|text| {
                    StreamEvent::Signature(Signature {
                        protocol: PROTOCOL,
                        text,
                    })
                }));
            }
            content => events.push_back(StreamEvent::Part(Part { content, beside })),
        }
    }

    /// A call, whole or in pieces: the first names the function, the last says no more that it
    /// will go on, and in between come its arguments.
    fn call(&mut self, mut fields: Map<String, Value>, events: &mut VecDeque<StreamEvent>) {
        let mut body = map::take_object(&mut fields, "functionCall");
        let goes_on = body.get("willContinue") == Some(&Value::Bool(true));
        if !map::text(&body, "name").is_empty() {
            self.end_partial(events);
            let id = map::take_some_text(&mut body, "id");
            let call = ToolCall {
                id: id.unwrap_or_else(|| self.name_call()),
                name: map::take_text(&mut body, "name"),
                arguments: String::new(),
                signature: map::take_some_text(&mut fields, "thoughtSignature").map(|text| {
                    Signature {
                        protocol: PROTOCOL,
                        text,
                    }
                }),
            };
            let arguments = Arguments::new(map::take_object(&mut body, "args"));
            self.partial = Some((call, arguments));
        }
        if let Some((_, arguments)) = &mut self.partial {
            for mut piece in map::take_objects(&mut body, "partialArgs") {
                arguments.take(&mut piece);
            }
        }
        if !goes_on {
            self.end_partial(events);
        }
    }

    fn name_call(&mut self) -> String {
        self.nameless += 1;
        call_name(&self.response_id, self.nameless)
    }

    fn end_partial(&mut self, events: &mut VecDeque<StreamEvent>) {
        if let Some((mut call, arguments)) = self.partial.take() {
            call.arguments = arguments.text();
            self.calls += 1;
            events.push_back(StreamEvent::ToolCall(call));
            events.push_back(StreamEvent::PartEnd(None));
        }
    }
}
