//! What the tests ask and answer.

use std::collections::VecDeque;

use domain::{
    Accumulator, Completion, CompletionTokens, FinishReason, Generation, PromptTokens, StreamEvent,
    Usage,
};
use wire::chat::{AnswerHead, ChatRequest, DecodeError, Dialect, OutwardRequest};
use wire::sse::{Event, Framer};

pub(crate) fn generation() -> Generation {
    Generation {
        temperature: 0.7,
        seed: u64::MAX,
        stop: vec!["\n".into()],
        ..Generation::new(CompletionTokens(64))
    }
}

pub(crate) fn usage(prompt: u64, cached: u64, completion: u64) -> Usage {
    Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(cached),
        completion: CompletionTokens(completion),
        ..Usage::default()
    }
}

pub(crate) fn head() -> AnswerHead {
    AnswerHead {
        id: "chatcmpl-1".into(),
        created_s: 1_700_000_000,
        model: "task:flag".into(),
    }
}

pub(crate) fn data(data: &str) -> Event {
    Event {
        name: None,
        data: data.into(),
    }
}

/// The events of a stream that comes in pieces of so many bytes.
pub(crate) fn framed(stream: &[u8], chunk_bytes: usize) -> VecDeque<Event> {
    let mut framer = Framer::new(1 << 20);
    let mut events = VecDeque::new();
    for part in stream.chunks(chunk_bytes) {
        framer.push(part, &mut events).unwrap();
    }
    events
}

/// What the events of a vendor tell, up to the end.
pub(crate) fn told(
    events: impl IntoIterator<Item = Event>,
    mut reader: impl Reader,
) -> Result<Vec<StreamEvent>, DecodeError> {
    let mut told = VecDeque::new();
    for event in events {
        reader.read(&event, &mut told)?;
        if matches!(told.back(), Some(StreamEvent::End(_))) {
            return Ok(told.into());
        }
    }
    reader.finish(&mut told)?;
    Ok(told.into())
}

/// The completion that a stream tells.
pub(crate) fn put_together(told: Vec<StreamEvent>) -> Completion {
    let mut accumulator = Accumulator::default();
    for event in told {
        accumulator.push(event);
    }
    accumulator.finish().unwrap()
}

/// The readers of the protocols, for tests of what they have in common.
pub(crate) trait Reader {
    fn read(&mut self, event: &Event, told: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError>;
    fn finish(&mut self, told: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError>;
}

macro_rules! readers {
    ($($reader:path),*) => {$(
        impl Reader for $reader {
            fn read(
                &mut self,
                event: &Event,
                told: &mut VecDeque<StreamEvent>,
            ) -> Result<(), DecodeError> {
                Self::read(self, event, told)
            }
            fn finish(&mut self, told: &mut VecDeque<StreamEvent>) -> Result<(), DecodeError> {
                Self::finish(self, told)
            }
        }
    )*};
}
readers!(
    wire::chat::ChunkReader,
    wire::openai::completions::ChunkReader,
    wire::anthropic::messages::ChunkReader,
    wire::google::generate::ChunkReader,
    wire::openai::chat::ChunkReader,
    wire::openai::responses::ChunkReader
);

/// JSON, to compare it whatever its spaces.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// A completion of this text, which consumed something.
pub(crate) fn completion(text: &str, finish_reason: FinishReason) -> Completion {
    Completion {
        usage: Some(usage(10, 4, 3)),
        model: "task:flag".into(),
        ..Completion::new(text, finish_reason)
    }
}

/// The request as it goes out again, to a vendor of the protocol that `encode` writes.
pub(crate) fn sent_on(
    request: &ChatRequest,
    encode: impl Fn(&OutwardRequest<'_>) -> String,
) -> String {
    encode(&OutwardRequest {
        model: &request.model,
        prompt: &request.prompt,
        generation: &request.generation.or(&generation()),
        dialect: Dialect::default(),
        delivery: request.delivery,
        extra: Some(&request.extra),
    })
}
