//! Inward: the messages of a client's request.

use domain::{Content, Media, Message, Opaque, Part, Protocol, Role, Source, ToolCall, ToolResult};
use serde_json::{Map, Value};

use super::answer::read_seal;
use crate::fault::{Fault, FaultKind};
use crate::object::short;
use crate::object::{Object, Rule, invalid, shown};

const PROTOCOL: Protocol = Protocol::OpenAiChat;

const MESSAGE: Rule = Rule {
    says: "a message is an object with a role and a content",
    example: r#"{"role": "user", "content": "Hello"}"#,
};
const ROLE: Rule = Rule {
    says: "a role is one of system, developer, user, assistant and tool",
    example: r#""user""#,
};
const CONTENT: Rule = Rule {
    says: "a content is a string or an array of parts",
    example: r#""Hello""#,
};
const PART: Rule = Rule {
    says: "a part is an object with a type and what that type demands",
    example: r#"{"type": "text", "text": "Hello"}"#,
};
const IMAGE: Rule = Rule {
    says: "an image has an address, which may be a data URL",
    example: r#"{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}"#,
};
const AUDIO: Rule = Rule {
    says: "audio has its bytes in base64 and their format",
    example: r#"{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}"#,
};
const FILE: Rule = Rule {
    says: "a file has its bytes as a data URL in file_data, or the file_id of an upload",
    example: r#"{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}"#,
};
const TOOL_CALL: Rule = Rule {
    says: "a tool call has an id, the type function, and a function with a name and arguments",
    example: r#"{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}"#,
};
const TOOL_CALLS: Rule = Rule {
    says: "the tool calls are an array",
    example: "[]",
};
const TOOL_CALL_ID: Rule = Rule {
    says: "a tool's message has the id of the call that it answers",
    example: r#""call_1""#,
};
const REFUSAL: Rule = Rule {
    says: "a refusal is a string",
    example: r#""I can't help with that.""#,
};

/// One message.
pub(super) fn read_message(path: String, value: Value) -> Result<Message, Fault> {
    let mut object = Object::from_value(path, value, MESSAGE)?;
    let path = object.path_of("role");
    let name = object.take_text("role", ROLE)?;
    let role = match name.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => return read_assistant(object),
        "tool" => return read_tool(object),
        "function" => {
            let rule = "functions are not offered; use tools, whose results have the role tool";
            let found = "the role is function";
            return Err(Fault::new(FaultKind::Unsupported, path, found, rule));
        }
        _ => return Err(invalid(path, &Value::String(name), ROLE)),
    };
    let parts = read_content(&mut object)?;
    let beside = object.into_beside(PROTOCOL);
    Ok(Message {
        beside,
        ..Message::of_parts(role, parts)
    })
}

fn read_assistant(mut object: Object) -> Result<Message, Fault> {
    for name in ["function_call", "audio"] {
        if let Some(value) = object.take(name) {
            let rule = "it is not offered; use tool_calls, or put what was said into the content";
            let (path, found) = (object.path_of(name), shown(&value));
            return Err(Fault::new(FaultKind::Unsupported, path, found, rule));
        }
    }
    let refusal = object.take_any_text("refusal", REFUSAL)?;
    let calls = object.take_any_list("tool_calls", TOOL_CALLS)?;
    let mut parts = match (&refusal, calls.is_empty(), object.get("content")) {
        (Some(_), _, None) | (_, false, None) => Vec::new(),
        _ => read_content(&mut object)?,
    };
    parts.extend(refusal.map(|text| Part::new(Content::Refusal(text))));
    let path = object.path_of("tool_calls");
    for (index, call) in calls.into_iter().enumerate() {
        parts.push(read_tool_call(format!("{path}[{index}]"), call)?);
    }
    let mut rest = object.into_rest();
    // Clients send an assistant's message back as they got it, with empty lists in it.
    rest.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    Ok(Message {
        beside: crate::object::opaque(PROTOCOL, &rest),
        ..Message::of_parts(Role::Assistant, parts)
    })
}

fn read_tool_call(path: String, value: Value) -> Result<Part, Fault> {
    let mut object = Object::from_value(path, value, TOOL_CALL)?;
    let kind = object.take_any_text("type", TOOL_CALL)?;
    if kind.as_deref().is_some_and(|kind| kind != "function") {
        let found = "the tool call is of another type than function";
        let path = object.path_of("type");
        let rule = "calls of functions are what is offered";
        return Err(Fault::new(FaultKind::Unsupported, path, found, rule));
    }
    let id = object.take_text("id", TOOL_CALL)?;
    let function = object.take_required("function", TOOL_CALL)?;
    let mut function = Object::from_value(object.path_of("function"), function, TOOL_CALL)?;
    let call = ToolCall {
        id,
        name: function.take_text("name", TOOL_CALL)?,
        arguments: function
            .take_any_text("arguments", TOOL_CALL)?
            .unwrap_or_default(),
        signature: object.take("extra_content").as_ref().and_then(read_seal),
    };
    Ok(Part {
        content: Content::ToolCall(call),
        beside: object.into_beside(PROTOCOL),
    })
}

fn read_tool(mut object: Object) -> Result<Message, Fault> {
    let result = ToolResult {
        call_id: object.take_text("tool_call_id", TOOL_CALL_ID)?,
        name: None,
        parts: read_content(&mut object)?,
        is_error: false,
    };
    let part = Part {
        content: Content::ToolResult(result),
        beside: object.into_beside(PROTOCOL),
    };
    Ok(Message::of_parts(Role::User, vec![part]))
}

fn read_content(object: &mut Object) -> Result<Vec<Part>, Fault> {
    let path = object.path_of("content");
    match object.take_required("content", CONTENT)? {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) if !parts.is_empty() => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(format!("{path}[{index}]"), part))
            .collect(),
        other => Err(invalid(path, &other, CONTENT)),
    }
}

fn read_part(path: String, part: Value) -> Result<Part, Fault> {
    let mut object = Object::from_value(path, part, PART)?;
    let kind = object.take_text("type", PART)?;
    let content = match kind.as_str() {
        "text" => Content::Text(required_text(&mut object, "text", PART)?),
        "refusal" => Content::Refusal(required_text(&mut object, "refusal", REFUSAL)?),
        "image_url" => return read_image(object),
        "input_audio" => Content::Audio(read_audio(&mut object)?),
        "file" => Content::File(read_file(&mut object)?),
        _ => return Ok(Part::new(Content::Opaque(unknown(&kind, object)))),
    };
    Ok(Part {
        content,
        beside: object.into_beside(PROTOCOL),
    })
}

/// A whole part of a type that is not known.
fn unknown(kind: &str, object: Object) -> Opaque {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), Value::String(short(kind)));
    fields.extend(object.into_rest());
    Opaque {
        protocol: PROTOCOL,
        json: crate::json::text(&fields),
    }
}

fn required_text(object: &mut Object, name: &str, rule: Rule) -> Result<String, Fault> {
    let path = object.path_of(name);
    match object.take_required(name, rule)? {
        Value::String(text) => Ok(text),
        other => Err(invalid(path, &other, rule)),
    }
}

fn read_image(mut object: Object) -> Result<Part, Fault> {
    let image = object.take_required("image_url", IMAGE)?;
    let mut image = Object::from_value(object.path_of("image_url"), image, IMAGE)?;
    let media = media_at(image.take_text("url", IMAGE)?);
    Ok(Part {
        content: Content::Image(media),
        beside: image.into_beside(PROTOCOL),
    })
}

/// What lies at an address; the bytes themselves, where it is a data URL in base64.
pub(crate) fn media_at(url: String) -> Media {
    let data = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((media_type, data)) => Media {
            source: Source::Base64(data.to_owned()),
            media_type: (!media_type.is_empty()).then(|| media_type.to_owned()),
            name: None,
        },
        None => Media {
            source: Source::Url(url),
            media_type: None,
            name: None,
        },
    }
}

fn read_audio(object: &mut Object) -> Result<Media, Fault> {
    let audio = object.take_required("input_audio", AUDIO)?;
    let mut audio = Object::from_value(object.path_of("input_audio"), audio, AUDIO)?;
    let data = audio.take_text("data", AUDIO)?;
    let format = match audio.take_text("format", AUDIO)?.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{}", short(other)),
    };
    Ok(Media {
        source: Source::Base64(data),
        media_type: Some(format),
        name: None,
    })
}

fn read_file(object: &mut Object) -> Result<Media, Fault> {
    let file = object.take_required("file", FILE)?;
    let mut file = Object::from_value(object.path_of("file"), file, FILE)?;
    let name = file.take_any_text("filename", FILE)?;
    let media = match (file.take("file_data"), file.take("file_id")) {
        (Some(Value::String(data)), None) => media_at(data),
        (None, Some(Value::String(id))) => Media {
            source: Source::Upload(id),
            media_type: None,
            name: None,
        },
        _ => {
            let found = "it has not exactly one of file_data and file_id";
            let path = file.path().to_owned();
            return Err(
                Fault::new(FaultKind::Invalid, path, found, FILE.says).with_example(FILE.example)
            );
        }
    };
    Ok(Media { name, ..media })
}
