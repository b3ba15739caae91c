//! Inward: a client's request.

use domain::{CompletionTokens, GenerationOptions, Message, Prompt, Role};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::message::{Calls, read_content};
use super::options::read_options;
use super::tools::{read_tool_choice, read_tools};
use crate::chat::rules::{MAX_TOKENS, SEED, STOP, TEMPERATURE};
use crate::chat::{
    COMPLETIONS_MAX, ChatRequest, Delivery, Extra, RequestedGeneration, StreamUsage,
};
use crate::fault::Fault;
use crate::google::path::{Method, Target};
use crate::google::renamed;
use crate::object::{Object, Rule};

const BODY: Rule = Rule {
    says: "send a JSON object with contents",
    example: r#"{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}"#,
};
const CONTENTS: Rule = Rule {
    says: "the contents are an array of at least one content",
    example: r#"[{"role": "user", "parts": [{"text": "Hello"}]}]"#,
};
const CONFIG: Rule = Rule {
    says: "the config is an object",
    example: r#"{"temperature": 0.7}"#,
};
const CANDIDATES: Rule = Rule {
    says: "candidateCount is a whole number from 1 to 16",
    example: "2",
};

/// Fields that were read into domain values and are kept as well, because what they say is more
/// than the domain keeps of it.
const UNDERSTOOD: [&str; 1] = ["generationConfig.thinkingConfig"];

/// The request that a body holds; the model and whether a stream is asked for stand in the
/// address.
///
/// The system instruction becomes the first message. Fields that are not understood are kept
/// beside the part or tool that has them, or in [`ChatRequest::extra`].
///
/// # Errors
/// The first fault of the body, if it is no request or asks for several candidates.
pub fn parse_request(target: &Target, body: &[u8]) -> Result<ChatRequest, Fault> {
    let object = Object::from_body(body, BODY)?;
    read_request(target, object.map_fields(renamed))
}

pub(super) fn read_request(target: &Target, mut object: Object) -> Result<ChatRequest, Fault> {
    let mut calls = Calls::default();
    let mut messages: Vec<Message> = Vec::new();
    if let Some(system) = object.take("systemInstruction") {
        let path = "systemInstruction".to_owned();
        let said = read_content(path, system, &mut calls)?;
        messages.push(Message {
            role: Role::System,
            ..said
        });
    }
    let contents = object.take_list("contents", CONTENTS)?;
    for (index, value) in contents.into_iter().enumerate() {
        messages.push(read_content(
            format!("contents[{index}]"),
            value,
            &mut calls,
        )?);
    }
    let prompt = Prompt {
        messages,
        tools: read_tools(&mut object)?,
        ..Prompt::default()
    };
    // The model of a request within another names the address that it would have gone to.
    object.take("model");
    let mut rest = Map::new();
    let mut generation = read_generation(&mut object, &mut rest)?;
    generation.options.tool_choice = read_tool_choice(&mut object, &mut rest)?;
    rest.extend(object.into_rest());
    Ok(ChatRequest {
        model: target.model.clone(),
        prompt,
        generation,
        delivery: match target.method {
            Method::StreamGenerateContent => Delivery::Streamed,
            _ => Delivery::Whole,
        },
        // A stream of this protocol always has it.
        stream_usage: StreamUsage::Asked,
        extra: Extra::new(PROTOCOL, rest, &UNDERSTOOD),
    })
}

fn read_generation(
    object: &mut Object,
    rest: &mut Map<String, Value>,
) -> Result<RequestedGeneration, Fault> {
    let Some(config) = object.take_object("generationConfig", CONFIG)? else {
        return Ok(RequestedGeneration::default());
    };
    let mut config = config.map_fields(renamed);
    let most = config.take_count("maxOutputTokens", 1, MAX_TOKENS)?;
    let stop = config.take_with("stopSequences", STOP, |value| {
        let texts = value.as_array()?.iter();
        texts
            .map(|text| Some(text.as_str().filter(|text| !text.is_empty())?.to_owned()))
            .collect()
    })?;
    let completions = config.take_with("candidateCount", CANDIDATES, |value| {
        let count = value.as_u64();
        let count = count.filter(|count| (1..=COMPLETIONS_MAX).contains(count))?;
        u32::try_from(count).ok()
    })?;
    let generation = RequestedGeneration {
        max_completion_tokens: most.map(CompletionTokens),
        temperature: config.take_single("temperature", 0.0..=2.0, TEMPERATURE)?,
        seed: config.take_with("seed", SEED, |value| Some(value.as_i64()?.cast_unsigned()))?,
        stop: stop.unwrap_or_default(),
        options: GenerationOptions {
            completions: completions.filter(|count| *count > 1),
            ..read_options(&mut config)?
        },
    };
    rest.extend(config.into_rest_under("generationConfig"));
    Ok(generation)
}
