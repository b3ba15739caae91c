//! The request, inward and outward.

use std::fmt;

use domain::{Generation, Message, Prompt, Role};
use serde_json::Value;

use crate::chat::rules::{MODEL, STREAM};
use crate::chat::{Delivery, Extra, RequestedGeneration, StreamUsage};
use crate::fault::{Fault, FaultKind};
use crate::json::{Fields, list};
use crate::object::{Object, Rule, invalid};
use crate::openai::chat::{read_generation, read_stream_usage};
use domain::Protocol;

const BODY: Rule = Rule {
    says: "send a JSON object with a model and a prompt",
    example: r#"{"model": "auto", "prompt": "Once upon"}"#,
};
const PROMPT: Rule = Rule {
    says: "the prompt is one string; numbers of tokens and several prompts are not offered",
    example: r#""Once upon""#,
};
const SUFFIX: Rule = Rule {
    says: "the suffix is a string",
    example: r#""}""#,
};
const LOGPROBS: Rule = Rule {
    says: "logprobs is a whole number from 0 to 5",
    example: "0",
};

/// A client's request. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct CompletionRequest {
    /// What the client asks to be answered by.
    pub model: String,
    /// The text that is to go on.
    pub prompt: String,
    /// What stands behind the gap to be filled; `None` where the text has no end yet.
    pub suffix: Option<String>,
    /// How to write, as far as the client says.
    pub generation: RequestedGeneration,
    /// Whether the answer is streamed.
    pub delivery: Delivery,
    /// Whether a stream ends with the usage.
    pub stream_usage: StreamUsage,
    /// What only a tier of this protocol can make something of.
    pub extra: Extra,
}

impl CompletionRequest {
    /// The same as a conversation of one turn, for tiers that know nothing else.
    #[must_use]
    pub fn as_prompt(&self) -> Prompt {
        Prompt::new(vec![Message::new(Role::User, self.prompt.as_str())])
    }
}

impl fmt::Debug for CompletionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionRequest")
            .field("model", &self.model)
            .field("prompt_bytes", &self.prompt.len())
            .field("suffix_bytes", &self.suffix.as_ref().map(String::len))
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// The request that a body holds.
///
/// # Errors
/// The first fault of the body, if it is no request or asks for what is not offered: several
/// prompts or completions, numbers of tokens, the prompt said again (`echo`).
pub fn parse_request(body: &[u8]) -> Result<CompletionRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let prompt = read_prompt(object.take_required("prompt", PROMPT)?)?;
    for (name, neutral) in [("echo", Value::Bool(false)), ("best_of", Value::from(1))] {
        if object.take(name).is_some_and(|value| value != neutral) {
            let (path, found) = (object.path_of(name), "it is set");
            return Err(Fault::new(
                FaultKind::Unsupported,
                path,
                found,
                "leave it out",
            ));
        }
    }
    let logprobs = object.take_with("logprobs", LOGPROBS, |value| {
        value.as_u64().filter(|&top| top <= 5)
    })?;
    let mut generation = read_generation(&mut object)?;
    generation.options.logprobs = logprobs.and_then(|top| u32::try_from(top).ok());
    let streamed = object.take_bool("stream", STREAM)?;
    Ok(CompletionRequest {
        model,
        prompt,
        suffix: object
            .take_any_text("suffix", SUFFIX)?
            .filter(|it| !it.is_empty()),
        generation,
        delivery: match streamed {
            Some(true) => Delivery::Streamed,
            Some(false) | None => Delivery::Whole,
        },
        stream_usage: read_stream_usage(&mut object)?,
        extra: Extra::new(Protocol::OpenAiChat, object.into_rest(), &[]),
    })
}

fn read_prompt(prompt: Value) -> Result<String, Fault> {
    match prompt {
        Value::String(text) => Ok(text),
        Value::Array(list) => match <[Value; 1]>::try_from(list) {
            Ok([Value::String(text)]) => Ok(text),
            Ok([other]) => Err(invalid("prompt[0]".to_owned(), &other, PROMPT)),
            Err(list) => Err(invalid("prompt".to_owned(), &Value::Array(list), PROMPT)),
        },
        other => Err(invalid("prompt".to_owned(), &other, PROMPT)),
    }
}

/// The body of a request to a vendor as JSON. A stream is always asked for its usage.
#[must_use]
pub fn encode_request(model: &str, request: &CompletionRequest, generation: &Generation) -> String {
    let options = &generation.options;
    let mut body = Fields::new()
        .with("model", model)
        .with("prompt", &request.prompt)
        .with_some("suffix", request.suffix.as_ref())
        .with("max_tokens", generation.max_completion_tokens.0)
        .with("temperature", generation.temperature)
        .with("seed", generation.seed.cast_signed())
        .with_some("top_p", options.top_p)
        .with_some("top_k", options.top_k)
        .with_some("min_p", options.min_p)
        .with_some("frequency_penalty", options.frequency_penalty)
        .with_some("presence_penalty", options.presence_penalty)
        .with_some("logprobs", options.logprobs);
    if !generation.stop.is_empty() {
        body = body.with("stop", list(&generation.stop));
    }
    if request.delivery == Delivery::Streamed {
        let stream_options = Fields::new().with("include_usage", true);
        body = body
            .with("stream", true)
            .with("stream_options", stream_options);
    }
    body.with_map(request.extra.fields(Protocol::OpenAiChat))
        .encode()
}
