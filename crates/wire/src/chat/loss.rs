//! What a request would lose, were it put to a vendor of another protocol.

use domain::{
    Content, GenerationOptions, Media, Part, PromptKind, Protocol, Reasoning, ResponseFormat,
    Source, ToolCall,
};

use super::request::ChatRequest;
use crate::fault::{Fault, FaultKind};

/// What may be left out of a request that is put to a vendor of another protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lossy {
    /// Nothing that could change the answer.
    #[default]
    Nothing,
    /// All that the other protocol has no form for: fields, parts and tools of the client's
    /// protocol alone, and options. Pictures, audio and files are never left out: what was asked
    /// would be another thing without them.
    WhatHasNoForm,
}

impl ChatRequest {
    /// The fault to answer with when a vendor of this protocol is to complete the request: it
    /// names the first thing that would be lost, and why. `None` where nothing is, or only what
    /// `lossy` allows. A seed is not missed: no vendor promises anything about it; nor are
    /// thoughts: they were not said.
    #[must_use]
    pub fn loss(&self, to: Protocol, lossy: Lossy) -> Option<Fault> {
        if to == self.extra.protocol() {
            return None;
        }
        let text = self.lost_kind(to);
        if text.is_some() {
            return text;
        }
        let media = self.lost_media(to);
        if media.is_some() || lossy == Lossy::WhatHasNoForm {
            return media;
        }
        self.extra
            .refusal(&self.prompt)
            .or_else(|| self.lost_call())
            .or_else(|| self.lost_option(to))
    }

    /// A text to be continued, where the protocol has conversations alone.
    fn lost_kind(&self, to: Protocol) -> Option<Fault> {
        let is_text = matches!(self.prompt.kind, PromptKind::Text { .. });
        (is_text && to != Protocol::OpenAiChat).then(|| {
            let (found, _) = no_form("a text to be continued", to);
            let rule = "ask in a conversation, or ask for a tier that continues texts";
            Fault::new(FaultKind::Unsupported, "prompt", found, rule)
        })
    }

    /// The first picture, sound or document that can't be told in this protocol.
    fn lost_media(&self, to: Protocol) -> Option<Fault> {
        self.parts().find_map(|(path, part)| {
            let (found, rule) = match &part.content {
                Content::Image(media) | Content::Audio(media) | Content::File(media)
                    if matches!(media.source, Source::Upload(_)) =>
                {
                    let found = "the file was uploaded to another vendor".to_owned();
                    (found, "send its bytes, or ask for a tier of that vendor")
                }
                Content::Audio(_) if !takes_audio(to) => no_form("audio", to),
                Content::File(media) if !takes_file(media, to) => {
                    no_form("a file at an address", to)
                }
                _ => return None,
            };
            Some(Fault::new(FaultKind::Unsupported, path, found, rule))
        })
    }

    /// The fault to answer with where calls of tools must have an object for their arguments: it
    /// names the first one that has none.
    #[must_use]
    pub fn lost_call(&self) -> Option<Fault> {
        self.parts().find_map(|(path, part)| {
            let Content::ToolCall(call) = &part.content else {
                return None;
            };
            (!has_object(call)).then(|| {
                let found = "the arguments of the tool call are no JSON object";
                let rule = "send an object, or an empty string";
                Fault::new(FaultKind::Invalid, path, found, rule)
            })
        })
    }

    fn lost_option(&self, to: Protocol) -> Option<Fault> {
        let options = &self.generation.options;
        let too_warm = self.generation.temperature.is_some_and(|it| it > 1.0);
        let name = match to {
            Protocol::Anthropic if too_warm => Some("temperature"),
            Protocol::OpenAiResponses if !self.generation.stop.is_empty() => Some("stop"),
            _ => lost_option(options, to),
        }?;
        let (found, rule) = no_form("it", to);
        Some(Fault::new(FaultKind::Unsupported, name, found, rule))
    }

    /// The parts of the conversation, each with its path.
    fn parts(&self) -> impl Iterator<Item = (String, &Part)> {
        let messages = self.prompt.messages.iter().enumerate();
        messages.flat_map(|(message, said)| {
            let parts = said.parts.iter().enumerate();
            parts.map(move |(part, it)| (format!("messages[{message}].content[{part}]"), it))
        })
    }
}

fn no_form(what: &str, to: Protocol) -> (String, &'static str) {
    let found =
        format!("the tier that answers speaks the {to} protocol, which has no form for {what}");
    (found, "leave it out, or ask for a tier that takes it")
}

fn takes_audio(to: Protocol) -> bool {
    match to {
        Protocol::OpenAiChat | Protocol::Google => true,
        Protocol::Anthropic | Protocol::OpenAiResponses => false,
    }
}

/// OpenAI's chat takes files by their bytes alone.
fn takes_file(media: &Media, to: Protocol) -> bool {
    to != Protocol::OpenAiChat || !matches!(media.source, Source::Url(_))
}

fn has_object(call: &ToolCall) -> bool {
    let text = call.arguments.trim();
    let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    text.is_empty() || parsed.is_ok()
}

/// The first option that makes a difference and that the protocol has no field for, in OpenAI's
/// words.
fn lost_option(options: &GenerationOptions, to: Protocol) -> Option<&'static str> {
    let other_than = |value: Option<f32>, neutral: f32| value.is_some_and(|it| it != neutral);
    let json = options.response_format == ResponseFormat::JsonObject;
    let (chat, responses) = (to == Protocol::OpenAiChat, to == Protocol::OpenAiResponses);
    let (anthropic, google) = (to == Protocol::Anthropic, to == Protocol::Google);
    let lost = [
        ("top_k", options.top_k.is_some() && responses),
        ("min_p", other_than(options.min_p, 0.0) && !chat),
        (
            "frequency_penalty",
            other_than(options.frequency_penalty, 0.0) && (anthropic || responses),
        ),
        (
            "presence_penalty",
            other_than(options.presence_penalty, 0.0) && (anthropic || responses),
        ),
        ("logit_bias", !options.logit_bias.is_empty() && !chat),
        ("logprobs", options.logprobs.is_some() && anthropic),
        ("response_format", json && anthropic),
        (
            "parallel_tool_calls",
            options.parallel_tool_calls == Some(false) && google,
        ),
    ];
    let first = lost.iter().find(|(_, is_lost)| *is_lost);
    first.map(|(name, _)| *name)
}

/// Whether thoughts say anything to a client or vendor of this protocol: in words, or under its
/// own vendor's seal.
pub(crate) fn says_something(reasoning: &Reasoning, to: Protocol) -> bool {
    let seal = reasoning.signature.as_ref();
    !reasoning.text.is_empty() || seal.is_some_and(|seal| seal.protocol == to)
}
