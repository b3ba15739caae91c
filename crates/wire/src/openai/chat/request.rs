//! Inward: a client's request.

use domain::{CompletionTokens, GenerationOptions, Message, Prompt, Protocol};
use serde_json::{Map, Value};

use super::message::read_message;
use super::options::read_options;
use super::tools::{read_tools, refuse_functions};
use crate::chat::rules::{MAX_TOKENS, MESSAGES, MODEL, SEED, STREAM, TEMPERATURE};
use crate::chat::{
    COMPLETIONS_MAX, ChatRequest, Delivery, Extra, RequestedGeneration, StreamUsage,
};
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule};

/// Most stop texts that the protocol allows.
const STOP_TEXTS_MAX: usize = 4;

const BODY: Rule = Rule {
    says: "send a JSON object with a model and messages",
    example: r#"{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}"#,
};
const STOP: Rule = Rule {
    says: "stop is a string or an array of at most 4 strings, none of them empty",
    example: r#"["\n\n"]"#,
};
const N: Rule = Rule {
    says: "n is a whole number from 1 to 16",
    example: "2",
};
const STREAM_OPTIONS: Rule = Rule {
    says: "the stream options are an object",
    example: r#"{"include_usage": true}"#,
};
const INCLUDE_USAGE: Rule = Rule {
    says: "include_usage is true or false",
    example: "true",
};

/// The request that a body holds.
///
/// Role `developer` is read as `system`. Fields that are not understood are kept beside the
/// message, part or tool that has them, or in [`ChatRequest::extra`].
///
/// # Errors
/// The first fault of the body, if it is no request or asks for what is not offered (spoken
/// answers, the functions that tools have replaced).
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let list = object.take_list("messages", MESSAGES)?.into_iter();
    let messages: Result<Vec<Message>, Fault> = list
        .enumerate()
        .map(|(index, value)| read_message(format!("messages[{index}]"), value))
        .collect();
    refuse_functions(&mut object)?;
    let prompt = Prompt {
        messages: messages?,
        tools: read_tools(&mut object)?,
        ..Prompt::default()
    };
    let generation = read_generation(&mut object)?;
    let streamed = object.take_bool("stream", STREAM)?;
    Ok(ChatRequest {
        model,
        prompt,
        generation,
        delivery: match streamed {
            Some(true) => Delivery::Streamed,
            Some(false) | None => Delivery::Whole,
        },
        stream_usage: read_stream_usage(&mut object)?,
        extra: Extra::new(Protocol::OpenAiChat, beside(object), &[]),
    })
}

/// The fields that only this protocol's tiers understand. No vendor is asked to keep anything, but it
/// may be told not to.
fn beside(object: Object) -> Map<String, Value> {
    let mut fields = object.into_rest();
    if fields.get("store").is_some_and(|store| *store != false) {
        fields.shift_remove("store");
    }
    fields
}

pub(crate) fn read_generation(object: &mut Object) -> Result<RequestedGeneration, Fault> {
    let newer = object.take_count("max_completion_tokens", 1, MAX_TOKENS)?;
    let older = object.take_count("max_tokens", 1, MAX_TOKENS)?;
    if let (Some(newer), Some(older)) = (newer, older)
        && newer != older
    {
        return Err(Fault::new(
            FaultKind::Invalid,
            object.path_of("max_tokens"),
            format!("{older} differs from max_completion_tokens, which is {newer}"),
            "give one of the two",
        ));
    }
    let temperature = object.take_single("temperature", 0.0..=2.0, TEMPERATURE)?;
    let seed = object.take_with("seed", SEED, |value| {
        let signed = || value.as_i64().map(i64::cast_unsigned);
        value.as_u64().or_else(signed)
    })?;
    let completions = object.take_with("n", N, |value| {
        let count = value
            .as_u64()
            .filter(|n| (1..=COMPLETIONS_MAX).contains(n))?;
        u32::try_from(count).ok()
    })?;
    let stop = object.take_with("stop", STOP, read_stop)?;
    Ok(RequestedGeneration {
        max_completion_tokens: newer.or(older).map(CompletionTokens),
        temperature,
        seed,
        stop: stop.unwrap_or_default(),
        options: GenerationOptions {
            completions: completions.filter(|count| *count > 1),
            ..read_options(object)?
        },
    })
}

fn read_stop(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty());
    match value {
        Value::Array(list) if list.len() <= STOP_TEXTS_MAX => list.iter().map(text).collect(),
        other => Some(vec![text(other)?]),
    }
}

pub(crate) fn read_stream_usage(object: &mut Object) -> Result<StreamUsage, Fault> {
    let Some(mut options) = object.take_object("stream_options", STREAM_OPTIONS)? else {
        return Ok(StreamUsage::NotAsked);
    };
    // Other options are about the bytes of a vendor's stream; ours is written anew.
    let asked = options.take_bool("include_usage", INCLUDE_USAGE)?;
    Ok(match asked {
        Some(true) => StreamUsage::Asked,
        Some(false) | None => StreamUsage::NotAsked,
    })
}
