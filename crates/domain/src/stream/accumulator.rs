//! The events of a stream, put together to the completion that they tell.

use super::{StreamEnd, StreamEvent};
use crate::completion::{Completion, TokenLogprob};
use crate::part::{Content, Part, Reasoning, Signature};
use crate::protocol::Opaque;

/// Puts the events of a stream together to the completion that they tell.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    parts: Vec<Part>,
    /// The places of the tool calls among the parts.
    calls: Vec<usize>,
    /// Whether the last part may grow.
    is_open: bool,
    logprobs: Vec<TokenLogprob>,
    end: Option<StreamEnd>,
    others: Vec<Accumulator>,
}

impl Accumulator {
    /// Takes the next event in. Arguments for a tool call that never began are left out.
    pub fn push(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Start { .. } | StreamEvent::Unknown(_) => {}
            StreamEvent::Text(text) => match self.open() {
                Some(Content::Text(all)) => all.push_str(&text),
                _ => self.begin(Content::Text(text)),
            },
            StreamEvent::Refusal(text) => match self.open() {
                Some(Content::Refusal(all)) => all.push_str(&text),
                _ => self.begin(Content::Refusal(text)),
            },
            StreamEvent::Reasoning(text) => match self.open() {
                Some(Content::Reasoning(all)) => all.text.push_str(&text),
                _ => self.begin(reasoning(text, None)),
            },
            StreamEvent::Signature(signature) => {
                match self.open() {
                    Some(Content::Reasoning(all)) => all.signature = Some(signature),
                    _ => self.begin(reasoning(String::new(), Some(signature))),
                }
                self.is_open = false;
            }
            StreamEvent::ToolCall(call) => self.begin(Content::ToolCall(call)),
            StreamEvent::Arguments { call, json } => {
                let place = self.calls.get(call).copied();
                let part = place.and_then(|place| self.parts.get_mut(place));
                if let Some(Content::ToolCall(call)) = part.map(|part| &mut part.content) {
                    call.arguments.push_str(&json);
                }
            }
            StreamEvent::Part(part) => {
                self.begin(part.content);
                self.close(part.beside);
            }
            StreamEvent::PartEnd(beside) => self.close(beside),
            StreamEvent::Logprobs(logprobs) => self.logprobs.extend(logprobs),
            StreamEvent::Other { completion, event } => {
                let count = self.others.len().max(completion);
                self.others.resize_with(count, Self::default);
                if let Some(other) = completion.checked_sub(1) {
                    self.others[other].push(*event);
                }
            }
            StreamEvent::End(end) => self.end = Some(end),
        }
    }

    /// Whether anything of the answer has come.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The completion; `None` when the stream had no end.
    #[must_use]
    pub fn finish(self) -> Option<Completion> {
        let end = self.end?;
        Some(Completion {
            parts: self.parts,
            finish_reason: end.finish_reason,
            stop_sequence: end.stop_sequence,
            logprobs: self.logprobs,
            usage: end.usage,
            model: end.model,
            beside: None,
            others: self.others.into_iter().filter_map(Self::finish).collect(),
        })
    }

    fn open(&mut self) -> Option<&mut Content> {
        let last = self.parts.last_mut().filter(|_| self.is_open);
        last.map(|part| &mut part.content)
    }

    fn begin(&mut self, content: Content) {
        if matches!(content, Content::ToolCall(_)) {
            self.calls.push(self.parts.len());
        }
        self.parts.push(Part::new(content));
        self.is_open = true;
    }

    fn close(&mut self, beside: Option<Opaque>) {
        if let (Some(part), true) = (self.parts.last_mut(), beside.is_some()) {
            part.beside = beside;
        }
        self.is_open = false;
    }
}

fn reasoning(text: String, signature: Option<Signature>) -> Content {
    Content::Reasoning(Reasoning {
        text,
        signature,
        is_redacted: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::FinishReason;
    use crate::part::ToolCall;
    use crate::protocol::Protocol;
    use crate::tokens::{CompletionTokens, PromptTokens, Usage};

    fn call(arguments: &str) -> ToolCall {
        ToolCall {
            id: "c1".into(),
            name: "look_up".into(),
            arguments: arguments.into(),
            signature: None,
        }
    }

    fn signature() -> Signature {
        Signature {
            protocol: Protocol::Anthropic,
            text: "seal".into(),
        }
    }

    fn accumulated(events: Vec<StreamEvent>) -> Option<Completion> {
        let mut accumulator = Accumulator::default();
        for event in events {
            accumulator.push(event);
        }
        accumulator.finish()
    }

    #[test]
    fn a_completion_told_as_a_stream_is_put_together_again() {
        let opaque = Opaque {
            protocol: Protocol::Anthropic,
            json: "{}".into(),
        };
        let mut cited = Part::text("b");
        cited.beside = Some(opaque.clone());
        let completion = Completion {
            usage: Some(Usage {
                prompt: PromptTokens(3),
                completion: CompletionTokens(2),
                ..Usage::default()
            }),
            model: "m".into(),
            stop_sequence: Some("END".into()),
            ..Completion::of_parts(
                vec![
                    Part::new(reasoning("thought".into(), Some(signature()))),
                    Part::new(reasoning(String::new(), Some(signature()))),
                    Part::new(Content::Reasoning(Reasoning {
                        text: String::new(),
                        signature: Some(signature()),
                        is_redacted: true,
                    })),
                    Part::text("a"),
                    cited,
                    Part::new(Content::ToolCall(call("{\"x\": 1}"))),
                    Part::new(Content::ToolCall(call("{}"))),
                    Part::new(Content::Opaque(opaque)),
                    Part::new(Content::Refusal("no".into())),
                ],
                FinishReason::ToolCalls,
            )
        };
        assert_eq!(
            accumulated(StreamEvent::of(&completion)).as_ref(),
            Some(&completion)
        );
        let several = Completion {
            others: vec![
                Completion::new("b", FinishReason::Length),
                Completion::new("", FinishReason::Stop),
            ],
            ..completion
        };
        assert_eq!(accumulated(StreamEvent::of(&several)), Some(several));
    }

    #[test]
    fn pieces_grow_the_part_under_way_and_arguments_find_their_call() {
        let end = StreamEnd {
            finish_reason: FinishReason::ToolCalls,
            stop_sequence: None,
            usage: None,
            model: String::new(),
        };
        let arguments = |call, json: &str| StreamEvent::Arguments {
            call,
            json: json.into(),
        };
        let events = vec![
            StreamEvent::Text("a".into()),
            StreamEvent::Text("b".into()),
            StreamEvent::ToolCall(call("")),
            StreamEvent::ToolCall(call("")),
            arguments(1, "[1"),
            arguments(0, "{}"),
            arguments(1, "]"),
            arguments(2, "lost"),
            StreamEvent::End(end),
        ];
        let parts = accumulated(events).unwrap().parts;
        let tool_call = |arguments| Part::new(Content::ToolCall(call(arguments)));
        assert_eq!(parts, [Part::text("ab"), tool_call("{}"), tool_call("[1]")]);
        assert_eq!(accumulated(vec![StreamEvent::Text("a".into())]), None);
    }
}
