//! Inward: the answer as our clients get it, whole or as a stream.

use std::borrow::Cow;

use domain::{Completion, FinishReason, StreamEvent, TokenLogprob};

use crate::chat::{AnswerHead, ErrorBody, StreamUsage};
use crate::json::{Fields, Json, list};
use crate::openai::chat::{finish_reason_name, usage_body};
use crate::sse::encode_data;

/// The whole answer as JSON. The model told is the head's.
#[must_use]
pub fn encode_completion(head: &AnswerHead, completion: &Completion) -> String {
    let all = || std::iter::once(completion).chain(&completion.others);
    let texts: Vec<Cow<'_, str>> = all().map(Completion::text).collect();
    let choices = all().zip(&texts).enumerate().map(|(index, (it, text))| {
        let reason = Some(it.finish_reason);
        choice((index, text), logprobs(&it.logprobs), reason)
    });
    body(head)
        .with("choices", list(choices))
        .with_some("usage", completion.usage.as_ref().map(usage_body))
        .encode()
}

fn body(head: &AnswerHead) -> Fields<'_> {
    Fields::new()
        .with("id", &head.id)
        .with("object", "text_completion")
        .with("created", head.created_s)
        .with("model", &head.model)
}

fn choice<'a>(
    (index, text): (usize, &'a str),
    logprobs: Json<'a>,
    reason: Option<FinishReason>,
) -> Fields<'a> {
    let reason = reason.map(|reason| Json::from(finish_reason_name(reason)));
    Fields::new()
        .with("text", text)
        .with("index", index as u64)
        .with("logprobs", logprobs)
        .with("finish_reason", reason.unwrap_or(Json::Null))
}

fn logprobs(tokens: &[TokenLogprob]) -> Json<'_> {
    if tokens.is_empty() {
        return Json::Null;
    }
    let mut end = 0;
    let offsets = tokens.iter().map(|token| {
        let start = end;
        end += token.written.token.chars().count() as u64;
        Json::from(start)
    });
    let top = tokens.iter().map(|token| {
        let choices = token.top.iter();
        choices.fold(Fields::new(), |all, choice| {
            all.with(&choice.token, choice.logprob)
        })
    });
    Fields::new()
        .with("text_offset", list(offsets))
        .with(
            "token_logprobs",
            list(tokens.iter().map(|it| it.written.logprob)),
        )
        .with("tokens", list(tokens.iter().map(|it| &it.written.token)))
        .with("top_logprobs", list(top))
        .into()
}

/// Writes an answer as an event stream. What it appends is whole events, to be sent at once.
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

    /// Appends the events of the protocol that tell this one; nothing for what is no text.
    pub fn event(&mut self, event: &StreamEvent, stream: &mut String) {
        let (index, event) = match event {
            StreamEvent::Other { completion, event } => (*completion, &**event),
            own => (0, own),
        };
        match event {
            StreamEvent::Text(text) | StreamEvent::Refusal(text) => {
                self.chunk(choice((index, text), Json::Null, None), stream);
            }
            StreamEvent::Logprobs(tokens) => {
                self.chunk(choice((index, ""), logprobs(tokens), None), stream);
            }
            StreamEvent::End(end) => {
                let reason = Some(end.finish_reason);
                self.chunk(choice((index, ""), Json::Null, reason), stream);
                if index > 0 {
                    // The end of all is the first one's.
                    return;
                }
                if let (StreamUsage::Asked, Some(usage)) = (self.usage, &end.usage) {
                    let body = body(&self.head)
                        .with("choices", Vec::new())
                        .with("usage", usage_body(usage));
                    encode_data(&body.encode(), stream);
                }
                encode_data("[DONE]", stream);
            }
            _ => {}
        }
    }

    /// Appends the end of a stream that broke. No end mark follows, so that nobody takes the
    /// answer for whole.
    pub fn error(&self, error: &ErrorBody, stream: &mut String) {
        encode_data(&error.encode(), stream);
    }

    fn chunk(&self, choice: Fields<'_>, stream: &mut String) {
        let body = body(&self.head).with("choices", vec![choice.into()]);
        let body = match self.usage {
            StreamUsage::Asked => body.with("usage", Json::Null),
            StreamUsage::NotAsked => body,
        };
        encode_data(&body.encode(), stream);
    }
}
