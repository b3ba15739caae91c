//! The request, inward and outward.

use domain::{Prompt, Protocol};
use serde_json::Value;

use crate::chat::rules::{MODEL, STREAM};
use crate::chat::{ChatRequest, Delivery, Extra, OutwardRequest, Sampling};
use crate::fault::{Fault, FaultKind};
use crate::json::{Fields, list};
use crate::object::{Object, Rule, invalid};
use crate::openai::chat::{read_generation, read_stream_usage, sampling};

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

/// The request that a body holds; its prompt is a text to be continued.
///
/// # Errors
/// The first fault of the body, if it is no request or asks for what is not offered: several
/// prompts or completions, numbers of tokens, the prompt said again (`echo`).
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
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
    let suffix = object.take_any_text("suffix", SUFFIX)?;
    Ok(ChatRequest {
        model,
        prompt: Prompt::of_text(prompt, suffix.filter(|it| !it.is_empty())),
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
pub fn encode_request(request: &OutwardRequest<'_>) -> String {
    let generation = request.generation;
    let options = &generation.options;
    let messages = request.prompt.messages.iter();
    let text: String = messages.map(|message| message.text()).collect();
    let mut body = Fields::new()
        .with("model", request.model)
        .with("prompt", text)
        .with_some("suffix", request.prompt.suffix())
        // Servers of this surface know the limit by its older name alone.
        .with("max_tokens", generation.max_completion_tokens.0);
    if request.dialect.sampling == Sampling::Sent {
        body = sampling(body.with("temperature", generation.temperature), options)
            .with("seed", generation.seed.cast_signed());
    }
    body = body.with_some("logprobs", options.logprobs);
    if !generation.stop.is_empty() {
        body = body.with("stop", list(&generation.stop));
    }
    if request.delivery == Delivery::Streamed {
        let stream_options = Fields::new().with("include_usage", true);
        body = body
            .with("stream", true)
            .with("stream_options", stream_options);
    }
    let extra = request.extra;
    body.with_map(extra.and_then(|extra| extra.fields(Protocol::OpenAiChat)))
        .encode()
}
