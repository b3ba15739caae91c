//! Inward: a client's request.

use domain::{CompletionTokens, Message, Prompt, Role};

use super::PROTOCOL;
use super::message::{read_message, read_system};
use super::options::read_options;
use super::tools::read_tools;
use crate::chat::rules::{MAX_TOKENS, MESSAGES, MODEL, STOP, STREAM};
use crate::chat::{ChatRequest, Delivery, Extra, RequestedGeneration, StreamUsage};
use crate::fault::Fault;
use crate::object::{Object, Rule};

const BODY: Rule = Rule {
    says: "send a JSON object with a model, max_tokens and messages",
    example: r#"{"model": "auto", "max_tokens": 256, "messages": [{"role": "user", "content": "Hello"}]}"#,
};
const TEMPERATURE: Rule = Rule {
    says: "the temperature is a number from 0 to 1",
    example: "0.7",
};

/// Fields that were read into domain values and are kept as well, because what they say is more
/// than the domain keeps of it.
const UNDERSTOOD: [&str; 3] = ["thinking", "output_config", "output_format"];

/// Whether a request says how long its answer may become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Required,
    Open,
}

/// The request that a body holds.
///
/// The system prompt becomes the first message. Fields that are not understood are kept beside
/// the message, part or tool that has them, or in [`ChatRequest::extra`]; so are whole blocks of
/// types that are not known.
///
/// # Errors
/// The first fault of the body.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    read_request(body, Limit::Required)
}

pub(super) fn read_request(body: &[u8], limit: Limit) -> Result<ChatRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let system = object.take("system");
    let system = system.map(|system| read_system("system".to_owned(), system));
    let mut messages: Vec<Message> = system.transpose()?.into_iter().collect();
    let list = object.take_list("messages", MESSAGES)?;
    for (index, value) in list.into_iter().enumerate() {
        messages.push(read_message(format!("messages[{index}]"), value)?);
    }
    messages.retain(|message| message.role != Role::System || !message.parts.is_empty());
    let prompt = Prompt {
        messages,
        tools: read_tools(&mut object)?,
        ..Prompt::default()
    };
    let generation = read_generation(&mut object, limit)?;
    let streamed = object.take_bool("stream", STREAM)?;
    Ok(ChatRequest {
        model,
        prompt,
        generation,
        delivery: match streamed {
            Some(true) => Delivery::Streamed,
            Some(false) | None => Delivery::Whole,
        },
        // A stream of this protocol always has it.
        stream_usage: StreamUsage::Asked,
        extra: Extra::new(PROTOCOL, object.into_rest(), &UNDERSTOOD),
    })
}

fn read_generation(object: &mut Object, limit: Limit) -> Result<RequestedGeneration, Fault> {
    if limit == Limit::Required && object.get("max_tokens").is_none() {
        object.take_required("max_tokens", MAX_TOKENS)?;
    }
    let most = object.take_count("max_tokens", 1, MAX_TOKENS)?;
    let stop = object.take_with("stop_sequences", STOP, |value| {
        let texts = value.as_array()?.iter();
        texts
            .map(|text| Some(text.as_str().filter(|text| !text.is_empty())?.to_owned()))
            .collect()
    })?;
    Ok(RequestedGeneration {
        max_completion_tokens: most.map(CompletionTokens),
        temperature: object.take_single("temperature", 0.0..=1.0, TEMPERATURE)?,
        seed: None,
        stop: stop.unwrap_or_default(),
        options: read_options(object)?,
    })
}
