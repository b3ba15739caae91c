//! A completion while it is being written.

mod accumulator;

use std::fmt;

pub use self::accumulator::Accumulator;
use crate::completion::{Completion, FinishReason, TokenLogprob};
use crate::part::{Content, Part, Signature, ToolCall};
use crate::protocol::Opaque;
use crate::tokens::Usage;

/// What a stream tells next. Parts come one after the other: the first event of a part of another
/// kind ends the one before it, and so does [`StreamEvent::PartEnd`]. Only the arguments of tool
/// calls may come for an earlier call. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub enum StreamEvent {
    /// What is known before anything is written: the tier's name of the model, and the usage as
    /// far as it is counted.
    Start {
        /// The vendor's name of the model; empty when it does not say.
        model: String,
        /// What was read, where the vendor says so at once.
        usage: Option<Usage>,
    },
    /// More text, never empty.
    Text(String),
    /// More of a refusal, never empty.
    Refusal(String),
    /// More reasoning, never empty.
    Reasoning(String),
    /// The seal of the reasoning under way, or of reasoning that is kept from us.
    Signature(Signature),
    /// The model asks for a tool; what it has not of the arguments yet follows.
    ToolCall(ToolCall),
    /// More of the arguments of a tool call.
    Arguments {
        /// Which call of the completion it is, from 0.
        call: usize,
        /// What is added to the arguments, never empty.
        json: String,
    },
    /// A whole part at once: one that is not written piece by piece.
    Part(Part),
    /// The part under way is complete, with these fields beside it.
    PartEnd(Option<Opaque>),
    /// Something that only one protocol understands, which is told its clients as it came and
    /// nobody else: an event of a kind that the domain knows nothing of, or fields of one.
    Unknown(Opaque),
    /// Log-probabilities of tokens of the text.
    Logprobs(Vec<TokenLogprob>),
    /// An event of a further completion of the same prompt, its own end included.
    Other {
        /// Which of the completions it is, from 1; the other events are of number 0.
        completion: usize,
        /// The event, which is none of another one.
        event: Box<StreamEvent>,
    },
    /// The end; nothing follows.
    End(StreamEnd),
}

/// What is known when a stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Why the completion ends.
    pub finish_reason: FinishReason,
    /// The stop text that was met, where the vendor tells which.
    pub stop_sequence: Option<String>,
    /// What was consumed; `None` when the vendor never said.
    pub usage: Option<Usage>,
    /// The vendor's name of the model that answered; empty when it never said.
    pub model: String,
}

impl StreamEvent {
    /// The events of a completion that is there already, as if it had been written in one breath.
    #[must_use]
    pub fn of(completion: &Completion) -> Vec<Self> {
        let mut events = Self::of_one(completion);
        let end = events.pop();
        for (before, other) in completion.others.iter().enumerate() {
            let told = Self::of_one(other).into_iter().map(|event| Self::Other {
                completion: before + 1,
                event: Box::new(event),
            });
            events.extend(told);
        }
        events.extend(end);
        events
    }

    fn of_one(completion: &Completion) -> Vec<Self> {
        let mut events = vec![Self::Start {
            model: completion.model.clone(),
            usage: completion.usage,
        }];
        for part in &completion.parts {
            Self::push_part(part, &mut events);
        }
        if !completion.logprobs.is_empty() {
            events.push(Self::Logprobs(completion.logprobs.clone()));
        }
        events.push(Self::End(StreamEnd {
            finish_reason: completion.finish_reason,
            stop_sequence: completion.stop_sequence.clone(),
            usage: completion.usage,
            model: completion.model.clone(),
        }));
        events
    }

    fn push_part(part: &Part, events: &mut Vec<Self>) {
        match &part.content {
            Content::Text(text) if text.is_empty() => return,
            Content::Text(text) => events.push(Self::Text(text.clone())),
            Content::Refusal(text) => events.push(Self::Refusal(text.clone())),
            Content::Reasoning(reasoning) if !reasoning.is_redacted => {
                let text = Some(reasoning.text.clone()).filter(|text| !text.is_empty());
                events.extend(text.map(Self::Reasoning));
                events.extend(reasoning.signature.clone().map(Self::Signature));
            }
            Content::ToolCall(call) => events.push(Self::ToolCall(call.clone())),
            _ => return events.push(Self::Part(part.clone())),
        }
        events.push(Self::PartEnd(part.beside.clone()));
    }

    /// The bytes that it holds beside itself: those of its texts, and of log-probabilities their
    /// lists.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let of_beside = |beside: &Option<Opaque>| beside.as_ref().map_or(0, |it| it.json.len());
        match self {
            Self::Start { model, .. } => model.len(),
            Self::Text(text) | Self::Refusal(text) | Self::Reasoning(text) => text.len(),
            Self::Signature(signature) => signature.text.len(),
            Self::ToolCall(call) => call.size_bytes(),
            Self::Arguments { json, .. } => json.len(),
            Self::Part(part) => part.size_bytes(),
            Self::PartEnd(beside) => of_beside(beside),
            Self::Unknown(opaque) => opaque.json.len(),
            Self::Logprobs(tokens) => tokens.iter().map(TokenLogprob::size_bytes).sum(),
            Self::Other { event, .. } => size_of::<Self>() + event.size_bytes(),
            Self::End(end) => end.model.len() + end.stop_sequence.as_ref().map_or(0, String::len),
        }
    }

    /// Whether it shows something of the answer.
    #[must_use]
    pub fn is_output(&self) -> bool {
        if let Self::Other { event, .. } = self {
            return event.is_output();
        }
        !matches!(
            self,
            Self::Start { .. }
                | Self::PartEnd(_)
                | Self::Unknown(_)
                | Self::Logprobs(_)
                | Self::End(_)
        )
    }
}

impl fmt::Debug for StreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { usage, .. } => write!(f, "Start({usage:?})"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Refusal(text) => write!(f, "Refusal({} bytes)", text.len()),
            Self::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Self::Signature(signature) => signature.fmt(f),
            Self::ToolCall(call) => call.fmt(f),
            Self::Arguments { call, json } => {
                write!(f, "Arguments({call}, {} bytes)", json.len())
            }
            Self::Part(part) => part.fmt(f),
            Self::PartEnd(beside) => write!(f, "PartEnd({beside:?})"),
            Self::Unknown(opaque) => opaque.fmt(f),
            Self::Logprobs(logprobs) => write!(f, "Logprobs({})", logprobs.len()),
            Self::Other { completion, event } => write!(f, "Other({completion}, {event:?})"),
            Self::End(end) => end.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::TokenChoice;
    use crate::protocol::Protocol;

    #[test]
    fn what_an_event_holds_is_counted() {
        let call = ToolCall {
            id: "c1".into(),
            name: "look_up".into(),
            arguments: "{}".into(),
            signature: None,
        };
        let signature = Signature {
            protocol: Protocol::Anthropic,
            text: "seal".into(),
        };
        let choice = |token: &str| TokenChoice {
            token: token.into(),
            logprob: -1.0,
            bytes: Some(vec![1, 2]),
        };
        let token = TokenLogprob {
            written: choice("a"),
            top: vec![choice("a"), choice("bc")],
        };
        let other = StreamEvent::Other {
            completion: 1,
            event: Box::new(StreamEvent::Text("abc".into())),
        };
        let own = size_of::<TokenLogprob>();
        let top = 2 * size_of::<TokenChoice>();
        for (event, bytes) in [
            (StreamEvent::Text("äbc".into()), 4),
            (StreamEvent::ToolCall(call), 11),
            (StreamEvent::Signature(signature), 4),
            (StreamEvent::PartEnd(None), 0),
            (StreamEvent::Logprobs(vec![token]), own + top + 4 + 6),
            (other, size_of::<StreamEvent>() + 3),
        ] {
            assert_eq!(event.size_bytes(), bytes, "{event:?}");
        }
    }
}
