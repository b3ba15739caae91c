//! Inward: a client's request.

use domain::{CompletionTokens, Generation, Message, Prompt, Role};
use serde_json::{Map, Value};

use super::extra::Extra;
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule, invalid, shown};

/// Most stop texts that the protocol allows.
const STOP_TEXTS_MAX: usize = 4;

const BODY: Rule = Rule {
    says: "send a JSON object with a model and messages",
    example: r#"{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}"#,
};
const MODEL: Rule = Rule {
    says: "the model is a name",
    example: r#""auto""#,
};
const MESSAGES: Rule = Rule {
    says: "the messages are an array of at least one message",
    example: r#"[{"role": "user", "content": "Hello"}]"#,
};
const MESSAGE: Rule = Rule {
    says: "a message is an object with a role and a content",
    example: r#"{"role": "user", "content": "Hello"}"#,
};
const ROLE: Rule = Rule {
    says: "a role is one of system, developer, user and assistant",
    example: r#""user""#,
};
const CONTENT: Rule = Rule {
    says: "a content is a string or an array of text parts",
    example: r#""Hello""#,
};
const PART: Rule = Rule {
    says: "a text part is an object with a type and a text",
    example: r#"{"type": "text", "text": "Hello"}"#,
};
const MAX_TOKENS: Rule = Rule {
    says: "the limit of completion tokens is a whole number of at least 1",
    example: "256",
};
const TEMPERATURE: Rule = Rule {
    says: "the temperature is a number from 0 to 2",
    example: "0.7",
};
const SEED: Rule = Rule {
    says: "the seed is a whole number",
    example: "1",
};
const STOP: Rule = Rule {
    says: "stop is a string or an array of at most 4 strings, none of them empty",
    example: r#"["\n\n"]"#,
};
const N: Rule = Rule {
    says: "one completion a request is offered; leave n out or set it to 1",
    example: "1",
};
const STREAM: Rule = Rule {
    says: "stream is true or false",
    example: "true",
};
const STREAM_OPTIONS: Rule = Rule {
    says: "the stream options are an object",
    example: r#"{"include_usage": true}"#,
};
const INCLUDE_USAGE: Rule = Rule {
    says: "include_usage is true or false",
    example: "true",
};

/// Fields that would change what an answer is made of, with what to do instead.
const NOT_OFFERED: [(&str, &str); 8] = [
    ("tools", "tools are not offered; leave them out"),
    ("tool_choice", "tools are not offered; leave it out"),
    ("functions", "functions are not offered; leave them out"),
    ("function_call", "functions are not offered; leave it out"),
    (
        "logprobs",
        "log-probabilities are not offered; leave it out",
    ),
    (
        "top_logprobs",
        "log-probabilities are not offered; leave it out",
    ),
    ("audio", "spoken answers are not offered; leave it out"),
    (
        "web_search_options",
        "searching the web is not offered; leave it out",
    ),
];

/// A client's request, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// What the client asks to be answered by.
    pub model: String,
    /// The conversation.
    pub prompt: Prompt,
    /// How to write, as far as the client says.
    pub generation: RequestedGeneration,
    /// Whether the answer is streamed.
    pub delivery: Delivery,
    /// Whether a stream ends with the usage.
    pub stream_usage: StreamUsage,
    /// What only a tier of this protocol can make something of.
    pub extra: Extra,
}

/// How the answer shall come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As a stream of events.
    Streamed,
}

/// Whether the client asked for the usage at the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamUsage {
    /// It asked.
    Asked,
    /// It did not ask.
    NotAsked,
}

/// The part of a [`Generation`] that a client laid down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestedGeneration {
    /// The most tokens to write; at least 1.
    pub max_completion_tokens: Option<CompletionTokens>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f32>,
    /// Seed of the sampling; a negative one stands as its two's complement.
    pub seed: Option<u64>,
    /// Texts at which writing stops.
    pub stop: Vec<String>,
}

impl RequestedGeneration {
    /// The generation with what the client left open taken from `defaults`.
    #[must_use]
    pub fn or(&self, defaults: &Generation) -> Generation {
        let stop = if self.stop.is_empty() {
            &defaults.stop
        } else {
            &self.stop
        };
        Generation {
            max_completion_tokens: self
                .max_completion_tokens
                .unwrap_or(defaults.max_completion_tokens),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            seed: self.seed.unwrap_or(defaults.seed),
            stop: stop.clone(),
        }
    }
}

/// The request that a body holds.
///
/// Role `developer` is read as `system`. Text parts of one content are joined by a line break.
/// Fields that are not understood are kept in [`ChatRequest::extra`].
///
/// # Errors
/// The first fault of the body, if it is no request or asks for what is not offered (tools, more
/// than one completion, log-probabilities, other content than text).
pub fn parse_request(body: &[u8]) -> Result<ChatRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let mut prompt = Prompt {
        messages: Vec::new(),
    };
    let mut message_rests = Vec::new();
    let list = object.take_list("messages", MESSAGES)?;
    for (index, value) in list.into_iter().enumerate() {
        let (message, rest) = read_message(format!("messages[{index}]"), value)?;
        prompt.messages.push(message);
        message_rests.push(rest);
    }
    let generation = read_generation(&mut object)?;
    let streamed = object.take_with("stream", STREAM, Value::as_bool)?;
    let stream_usage = read_stream_usage(&mut object)?;
    refuse_not_offered(&mut object)?;
    Ok(ChatRequest {
        model,
        prompt,
        generation,
        delivery: match streamed {
            Some(true) => Delivery::Streamed,
            Some(false) | None => Delivery::Whole,
        },
        stream_usage,
        extra: Extra::new(object.into_rest(), message_rests),
    })
}

fn read_message(path: String, value: Value) -> Result<(Message, Map<String, Value>), Fault> {
    let mut object = Object::from_value(path, value, MESSAGE)?;
    let role = read_role(&mut object)?;
    refuse_tool_use(&mut object)?;
    let content = object.take_required("content", CONTENT)?;
    let content = read_content(&object.path_of("content"), content)?;
    let mut rest = object.into_rest();
    // Clients send an assistant's message back as they got it, with empty lists in it.
    rest.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    Ok((Message { role, content }, rest))
}

fn read_role(object: &mut Object) -> Result<Role, Fault> {
    let path = object.path_of("role");
    let role = object.take_text("role", ROLE)?;
    match role.as_str() {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Err(Fault::new(
            FaultKind::Unsupported,
            path,
            format!("the role is {role}"),
            "tools are not offered; put the tool's result into a message of role user",
        )),
        _ => Err(invalid(path, &Value::String(role), ROLE)),
    }
}

fn refuse_tool_use(object: &mut Object) -> Result<(), Fault> {
    for name in ["tool_calls", "function_call", "audio"] {
        let used = object.take(name).filter(|value| !is_empty_list(value));
        if let Some(value) = used {
            let rule = "only text is offered; put what it says into the content";
            let path = object.path_of(name);
            return Err(Fault::new(
                FaultKind::Unsupported,
                path,
                shown(&value),
                rule,
            ));
        }
    }
    Ok(())
}

fn read_content(path: &str, content: Value) -> Result<String, Fault> {
    match content {
        Value::String(text) => Ok(text),
        Value::Array(parts) if !parts.is_empty() => {
            let texts: Result<Vec<String>, Fault> = parts
                .into_iter()
                .enumerate()
                .map(|(index, part)| read_part(format!("{path}[{index}]"), part))
                .collect();
            Ok(texts?.join("\n"))
        }
        other => Err(invalid(path.to_owned(), &other, CONTENT)),
    }
}

fn read_part(path: String, part: Value) -> Result<String, Fault> {
    let mut object = Object::from_value(path, part, PART)?;
    let kind = object.take_text("type", PART)?;
    if kind != "text" {
        return Err(Fault::new(
            FaultKind::Unsupported,
            object.path_of("type"),
            "the part is no text",
            "only text parts are offered",
        )
        .with_example(PART.example));
    }
    let path = object.path_of("text");
    let text = match object.take_required("text", PART)? {
        Value::String(text) => text,
        other => return Err(invalid(path, &other, PART)),
    };
    match object.into_rest().keys().next() {
        None => Ok(text),
        Some(name) => Err(Fault::new(
            FaultKind::Unsupported,
            path,
            format!("beside it stands the field `{}`", short(name)),
            "a text part has a type and a text and nothing else",
        )),
    }
}

fn read_generation(object: &mut Object) -> Result<RequestedGeneration, Fault> {
    let at_least_one = |value: &Value| value.as_u64().filter(|&count| count >= 1);
    let newer = object.take_with("max_completion_tokens", MAX_TOKENS, at_least_one)?;
    let older = object.take_with("max_tokens", MAX_TOKENS, at_least_one)?;
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
    let temperature = object.take_with("temperature", TEMPERATURE, |value| {
        let number = value.as_f64().filter(|n| (0.0..=2.0).contains(n))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "0 to 2 fits, and seven digits of a temperature are enough"
        )]
        Some(number as f32)
    })?;
    let seed = object.take_with("seed", SEED, |value| {
        value
            .as_u64()
            .or_else(|| value.as_i64().map(i64::cast_unsigned))
    })?;
    object.take_with("n", N, |value| (value.as_u64() == Some(1)).then_some(()))?;
    Ok(RequestedGeneration {
        max_completion_tokens: newer.or(older).map(CompletionTokens),
        temperature,
        seed,
        stop: object
            .take_with("stop", STOP, read_stop)?
            .unwrap_or_default(),
    })
}

fn read_stop(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty());
    match value {
        Value::Array(list) if list.len() <= STOP_TEXTS_MAX => list.iter().map(text).collect(),
        other => Some(vec![text(other)?]),
    }
}

fn read_stream_usage(object: &mut Object) -> Result<StreamUsage, Fault> {
    let Some(options) = object.take("stream_options") else {
        return Ok(StreamUsage::NotAsked);
    };
    let path = object.path_of("stream_options");
    let mut options = Object::from_value(path, options, STREAM_OPTIONS)?;
    // Other options are about the bytes of a vendor's stream; ours is written anew.
    let asked = options.take_with("include_usage", INCLUDE_USAGE, Value::as_bool)?;
    Ok(match asked {
        Some(true) => StreamUsage::Asked,
        Some(false) | None => StreamUsage::NotAsked,
    })
}

fn refuse_not_offered(object: &mut Object) -> Result<(), Fault> {
    for (name, instead) in NOT_OFFERED {
        let without_effect = |value: &Value| match value {
            Value::Bool(false) => true,
            Value::String(choice) => choice == "none",
            Value::Number(count) => count.as_u64() == Some(0),
            other => is_empty_list(other),
        };
        if let Some(value) = object.take(name).filter(|value| !without_effect(value)) {
            let path = object.path_of(name);
            let found = shown(&value);
            return Err(Fault::new(FaultKind::Unsupported, path, found, instead));
        }
    }
    Ok(())
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// The beginning of a field's name: names come from clients and may be of any length.
pub(super) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
