//! Inward: a client's request.

use domain::{
    CompletionTokens, GenerationOptions, Message, Prompt, ReasoningDepth, ResponseFormat, Role,
    Tool, ToolChoice,
};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::message::read_input;
use crate::chat::rules::{MAX_TOKENS, MODEL, PARALLEL, STREAM, TEMPERATURE, TOP_P};
use crate::chat::{ChatRequest, Delivery, Extra, RequestedGeneration, StreamUsage, vendor_tool};
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule, invalid};
use crate::openai::chat::{read_answer_schema, read_effort, take_function};

const BODY: Rule = Rule {
    says: "send a JSON object with a model and an input",
    example: r#"{"model": "auto", "input": "Hello"}"#,
};
const INSTRUCTIONS: Rule = Rule {
    says: "the instructions are a string",
    example: r#""Be brief.""#,
};
const INPUT: Rule = Rule {
    says: "the input is a string or an array of items",
    example: r#""Hello""#,
};
const TOP_LOGPROBS: Rule = Rule {
    says: "top_logprobs is a whole number from 0 to 20",
    example: "5",
};
const TOOLS: Rule = Rule {
    says: "the tools are an array of objects with a type",
    example: r#"[{"type": "function", "name": "look_up", "parameters": {"type": "object"}}]"#,
};
const TEXT: Rule = Rule {
    says: "the format of a text is an object of type text, json_object or json_schema",
    example: r#"{"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}}"#,
};
const REASONING: Rule = Rule {
    says: "the effort is none, minimal, low, medium, high or xhigh",
    example: r#"{"effort": "low"}"#,
};

/// Fields that were read into domain values and are kept as well, because what they say is more
/// than the domain keeps of it.
const UNDERSTOOD: [&str; 2] = ["reasoning", "include"];

/// The request that a body holds.
///
/// The instructions become the first message, each item one more. Fields that are not understood
/// are kept beside the item or tool that has them, or in [`ChatRequest::extra`], where
/// `previous_response_id`, `conversation` and `store` are found too.
///
/// # Errors
/// The first fault of the body.
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let instructions = object.take_any_text("instructions", INSTRUCTIONS)?;
    let said = instructions.map(|text| Message::new(Role::System, text));
    let mut messages: Vec<Message> = said.into_iter().collect();
    let input = object.take_required("input", INPUT)?;
    messages.extend(read_input("input", input, INPUT)?);
    let prompt = Prompt {
        messages,
        tools: read_tools(&mut object)?,
        ..Prompt::default()
    };
    let mut rest = Map::new();
    let generation = RequestedGeneration {
        max_completion_tokens: object
            .take_count("max_output_tokens", 1, MAX_TOKENS)?
            .map(CompletionTokens),
        temperature: object.take_single("temperature", 0.0..=2.0, TEMPERATURE)?,
        seed: None,
        stop: Vec::new(),
        options: read_options(&mut object, &mut rest)?,
    };
    let streamed = object.take_bool("stream", STREAM)?;
    rest.extend(object.into_rest());
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
        extra: Extra::new(PROTOCOL, rest, &UNDERSTOOD),
    })
}

fn read_tools(object: &mut Object) -> Result<Vec<Tool>, Fault> {
    let path = object.path_of("tools");
    let tools = object
        .take_any_list("tools", TOOLS)?
        .into_iter()
        .enumerate();
    let read = |(index, value): (usize, Value)| {
        if value.get("type").is_some_and(|kind| kind != "function") {
            return Ok(vendor_tool(PROTOCOL, &value));
        }
        let mut tool = Object::from_value(format!("{path}[{index}]"), value, TOOLS)?;
        tool.take("type");
        let kind = take_function(&mut tool, "parameters")?;
        Ok(Tool {
            kind,
            beside: tool.into_beside(PROTOCOL),
        })
    };
    tools.map(read).collect()
}

fn read_options(
    object: &mut Object,
    rest: &mut Map<String, Value>,
) -> Result<GenerationOptions, Fault> {
    let top = object.take_count("top_logprobs", 0, TOP_LOGPROBS)?;
    let asked = object.get("include").and_then(Value::as_array);
    let asked = asked.is_some_and(|list| list.contains(&LOGPROBS.into()));
    let logprobs = match top.unwrap_or(0) {
        0 if !asked => None,
        top @ 0..=20 => Some(u32::try_from(top).unwrap_or_default()),
        top => {
            let path = object.path_of("top_logprobs");
            return Err(Fault::new(
                FaultKind::Invalid,
                path,
                top.to_string(),
                TOP_LOGPROBS.says,
            ));
        }
    };
    Ok(GenerationOptions {
        top_p: object.take_single("top_p", 0.0..=1.0, TOP_P)?,
        logprobs,
        tool_choice: read_tool_choice(object),
        parallel_tool_calls: object.take_bool("parallel_tool_calls", PARALLEL)?,
        response_format: read_format(object, rest)?,
        reasoning: read_reasoning(object)?,
        ..GenerationOptions::default()
    })
}

/// The word in `include` that asks for log-probabilities.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

/// Whether tools are called. A form that only this protocol knows stays where it is.
fn read_tool_choice(object: &mut Object) -> Option<ToolChoice> {
    let choice = match object.get("tool_choice")? {
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return None,
        },
        named if named.get("type").is_some_and(|kind| kind == "function") => {
            ToolChoice::Named(named.get("name")?.as_str()?.to_owned())
        }
        _ => return None,
    };
    object.take("tool_choice");
    Some(choice)
}

fn read_format(
    object: &mut Object,
    rest: &mut Map<String, Value>,
) -> Result<ResponseFormat, Fault> {
    let Some(mut text) = object.take_object("text", TEXT)? else {
        return Ok(ResponseFormat::Text);
    };
    let format = match text.take_object("format", TEXT)? {
        None => ResponseFormat::Text,
        Some(mut format) => {
            let path = format.path_of("type");
            match format.take_text("type", TEXT)?.as_str() {
                "text" => ResponseFormat::Text,
                "json_object" => ResponseFormat::JsonObject,
                "json_schema" => ResponseFormat::JsonSchema(read_answer_schema(format)?),
                _ => return Err(invalid(path, &"other".into(), TEXT)),
            }
        }
    };
    rest.extend(text.into_rest_under("text"));
    Ok(format)
}

/// How much to think; the field stays where it is, because it also says what is shown of it.
fn read_reasoning(object: &Object) -> Result<Option<ReasoningDepth>, Fault> {
    let effort = object.get("reasoning").and_then(|it| it.get("effort"));
    match effort.filter(|effort| !effort.is_null()) {
        None => Ok(None),
        Some(word) => match read_effort(word) {
            Some(depth) => Ok(Some(depth)),
            None => Err(invalid(object.path_of("reasoning.effort"), word, REASONING)),
        },
    }
}
