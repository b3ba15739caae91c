//! Inward: the answer as our clients get it, whole or in chunks.

use domain::{Completion, FinishReason, Usage};
use serde::Serialize;

use super::request::StreamUsage;
use super::usage::UsageBody;
use crate::openai::error::ErrorBody;
use crate::openai::json;
use crate::sse::encode_data;

/// What an answer says of itself, the same in each of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The answer's name.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
    /// Who answered.
    pub model: String,
}

#[derive(Serialize)]
struct Body<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    /// Absent, null or there.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageBody>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: MessageBody<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl AnswerHead {
    fn body<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<Option<UsageBody>>,
    ) -> Body<'a, C> {
        Body {
            id: &self.id,
            object,
            created: self.created_s,
            model: &self.model,
            choices,
            usage,
        }
    }
}

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, completion: &Completion) -> String {
    let choice = Choice {
        index: 0,
        message: MessageBody {
            role: "assistant",
            content: &completion.text,
            refusal: None,
        },
        logprobs: None,
        finish_reason: finish_reason(completion.finish_reason),
    };
    let usage = completion.usage.as_ref().map(UsageBody::from);
    json(&head.body("chat.completion", &[choice], usage.map(Some)))
}

/// Writes an answer as an event stream. Each text that it gives is whole events, to be sent at
/// once and in this order: start, text any number of times, then end or error.
#[derive(Clone, Debug)]
pub struct StreamEncoder {
    head: AnswerHead,
    usage: StreamUsage,
}

impl StreamEncoder {
    /// A writer of one answer.
    #[must_use]
    pub fn new(head: AnswerHead, usage: StreamUsage) -> Self {
        Self { head, usage }
    }

    /// The first chunk, which says who speaks.
    #[must_use]
    pub fn start(&self) -> String {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
        };
        self.chunk(delta, None)
    }

    /// A chunk of text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let delta = Delta {
            role: None,
            content: Some(text),
        };
        self.chunk(delta, None)
    }

    /// The end: why, the usage if the client asked and it is known, and the end mark.
    #[must_use]
    pub fn end(&self, reason: FinishReason, usage: Option<&Usage>) -> String {
        let mut stream = self.chunk(Delta::default(), Some(finish_reason(reason)));
        if let (StreamUsage::Asked, Some(usage)) = (self.usage, usage) {
            let none: [ChunkChoice<'_>; 0] = [];
            let usage = Some(Some(UsageBody::from(usage)));
            let body = self.head.body("chat.completion.chunk", &none, usage);
            encode_data(&json(&body), &mut stream);
        }
        encode_data("[DONE]", &mut stream);
        stream
    }

    /// The end of a stream that broke. No end mark follows, so that nobody takes the answer for
    /// whole.
    #[must_use]
    pub fn error(&self, error: &ErrorBody) -> String {
        let mut stream = String::new();
        encode_data(&error.encode(), &mut stream);
        stream
    }

    fn chunk(&self, delta: Delta<'_>, finish_reason: Option<&'static str>) -> String {
        let choice = ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason,
        };
        // Who asks for usage gets a null in each chunk before the one that has it.
        let usage = match self.usage {
            StreamUsage::Asked => Some(None),
            StreamUsage::NotAsked => None,
        };
        let mut stream = String::new();
        let body = json(&self.head.body("chat.completion.chunk", &[choice], usage));
        encode_data(&body, &mut stream);
        stream
    }
}

fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::ToolCalls => "tool_calls",
    }
}
