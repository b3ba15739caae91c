//! What a tier would lose of a request: it is refused by name, and never left out in silence.

use domain::{Content, Prompt, Protocol, ResponseFormat, TierName};
use wire::chat::ChatRequest;
use wire::fault::{Fault, FaultKind};

use super::Tier;

/// The first thing in a request that this tier could not make anything of; `None` where it takes
/// everything.
pub(crate) fn of(name: &TierName, tier: &Tier, asked: &ChatRequest) -> Option<Fault> {
    match tier {
        Tier::Remote(remote) if remote.protocol() == asked.extra.protocol() => None,
        Tier::Remote(remote) => by_protocol(name, remote.protocol(), asked),
        Tier::Student | Tier::Local(_) => {
            by_text_alone(&format!("tier {name}, which may answer,"), asked)
        }
        // Nothing is told to a person in a protocol.
        Tier::Person => None,
    }
}

/// The first thing in a request that is lost on somebody who reads text and nothing else.
pub(crate) fn by_text_alone(who: &str, asked: &ChatRequest) -> Option<Fault> {
    if let Some(refusal) = asked.extra.refusal(&asked.prompt) {
        return Some(refusal);
    }
    if let Some((kind, path)) = asked.prompt.beyond_text() {
        let found = format!("there is {kind}, and {who} reads text alone");
        return Some(unsupported(path, found));
    }
    let option = asked.generation.options.beyond_plain()?;
    let found = format!("{who} does not offer it");
    Some(unsupported(option.to_owned(), found))
}

/// What a tier of another protocol than the client's would lose.
fn by_protocol(name: &TierName, protocol: Protocol, asked: &ChatRequest) -> Option<Fault> {
    if let Some(refusal) = asked.extra.refusal(&asked.prompt) {
        return Some(refusal);
    }
    let speaks = || format!("tier {name}, which may answer, speaks the {protocol} protocol");
    if let Some((kind, path)) = lost_part(protocol, &asked.prompt) {
        let found = format!("there is {kind}, and {}, which has none", speaks());
        return Some(unsupported(path, found));
    }
    let option = lost_option(protocol, asked)?;
    let found = format!("{}, which has nothing like it", speaks());
    Some(unsupported(option.to_owned(), found))
}

/// The first part that the protocol has no form for.
fn lost_part(protocol: Protocol, prompt: &Prompt) -> Option<(&'static str, String)> {
    let is_lost = |content: &Content| match protocol {
        Protocol::Anthropic => matches!(content, Content::Audio(_)),
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Google => false,
    };
    let mut messages = prompt.messages.iter().enumerate();
    messages.find_map(|(index, message)| {
        let lost = message.parts.iter().find(|part| is_lost(&part.content))?;
        Some((lost.content.kind(), format!("messages[{index}]")))
    })
}

/// The first option that makes a difference and that the protocol has no field for, in OpenAI's
/// words. A seed is not among them: no vendor promises anything about it.
fn lost_option(protocol: Protocol, asked: &ChatRequest) -> Option<&'static str> {
    let options = &asked.generation.options;
    let other_than = |value: Option<f32>, neutral: f32| value.is_some_and(|it| it != neutral);
    let wants_json = options.response_format == ResponseFormat::JsonObject;
    let (anthropic, google) = (
        protocol == Protocol::Anthropic,
        protocol == Protocol::Google,
    );
    let lost = [
        (
            "frequency_penalty",
            other_than(options.frequency_penalty, 0.0) && anthropic,
        ),
        (
            "presence_penalty",
            other_than(options.presence_penalty, 0.0) && anthropic,
        ),
        (
            "min_p",
            other_than(options.min_p, 0.0) && (anthropic || google),
        ),
        (
            "logit_bias",
            !options.logit_bias.is_empty() && (anthropic || google),
        ),
        ("logprobs", options.logprobs.is_some() && anthropic),
        ("response_format", wants_json && anthropic),
    ];
    let first = lost.iter().find(|(_, is_lost)| *is_lost);
    first.map(|(name, _)| *name)
}

fn unsupported(path: String, found: String) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        path,
        found,
        rule: "leave it out, or ask for a tier that takes it".to_owned(),
        example: None,
    }
}
