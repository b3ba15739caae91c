//! Inward: the items of a client's request.

use domain::{Content, Media, Message, Part, Role, Source, ToolCall, ToolResult};
use serde_json::Value;

use super::PROTOCOL;
use super::item::read_reasoning;
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule, invalid};
use crate::openai::chat::media_at;

const ITEM: Rule = Rule {
    says: "an item is a message, or an object with a type and what that type demands",
    example: r#"{"role": "user", "content": "Hello"}"#,
};
const ROLE: Rule = Rule {
    says: "a role is one of system, developer, user and assistant",
    example: r#""user""#,
};
const CONTENT: Rule = Rule {
    says: "a content is a string or an array of parts",
    example: r#"[{"type": "input_text", "text": "Hello"}]"#,
};
const IMAGE: Rule = Rule {
    says: "an image has an image_url or a file_id",
    example: r#"{"type": "input_image", "image_url": "https://example.org/a.png"}"#,
};
const FILE: Rule = Rule {
    says: "a file has one of file_data, file_url and file_id",
    example: r#"{"type": "input_file", "file_url": "https://example.org/a.pdf"}"#,
};
const CALL: Rule = Rule {
    says: "a function call has a call_id, a name and arguments",
    example: r#"{"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}"#,
};
const OUTPUT: Rule = Rule {
    says: "the output of a function call has its call_id and an output",
    example: r#"{"type": "function_call_output", "call_id": "call_1", "output": "42"}"#,
};

/// The messages of an input: one of the user, or one for each item.
pub(super) fn read_input(path: &str, input: Value, rule: Rule) -> Result<Vec<Message>, Fault> {
    match input {
        Value::String(text) => Ok(vec![Message::new(Role::User, text)]),
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| read_item(format!("{path}[{index}]"), item))
            .collect(),
        other => Err(invalid(path.to_owned(), &other, rule)),
    }
}

fn read_item(path: String, item: Value) -> Result<Message, Fault> {
    let kind = item
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("message");
    let kind = kind.to_owned();
    let mut object = Object::from_value(path, item, ITEM)?;
    let (role, content) = match kind.as_str() {
        "message" => return read_message(object),
        "function_call" => (Role::Assistant, Content::ToolCall(read_call(&mut object)?)),
        "function_call_output" => (Role::User, Content::ToolResult(read_output(&mut object)?)),
        "reasoning" => {
            let part = read_reasoning(object.into_rest());
            return Ok(Message::of_parts(Role::Assistant, vec![part]));
        }
        _ => {
            let opaque = crate::map::whole(PROTOCOL, &object.into_rest());
            let part = Part::new(Content::Opaque(opaque));
            return Ok(Message::of_parts(Role::Assistant, vec![part]));
        }
    };
    object.take("type");
    let part = Part {
        content,
        beside: object.into_beside(PROTOCOL),
    };
    Ok(Message::of_parts(role, vec![part]))
}

fn read_message(mut object: Object) -> Result<Message, Fault> {
    object.take("type");
    let path = object.path_of("role");
    let name = object.take_text("role", ROLE)?;
    let role = match name.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(invalid(path, &Value::String(name), ROLE)),
    };
    let parts = read_content(&mut object, "content")?;
    Ok(Message {
        beside: object.into_beside(PROTOCOL),
        ..Message::of_parts(role, parts)
    })
}

fn read_content(object: &mut Object, name: &str) -> Result<Vec<Part>, Fault> {
    let path = object.path_of(name);
    match object.take_required(name, CONTENT)? {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(format!("{path}[{index}]"), part))
            .collect(),
        other => Err(invalid(path, &other, CONTENT)),
    }
}

fn read_part(path: String, part: Value) -> Result<Part, Fault> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let kind = kind.to_owned();
    let mut object = Object::from_value(path, part, CONTENT)?;
    let required = |object: &mut Object, name: &str| {
        let path = object.path_of(name);
        match object.take_required(name, CONTENT)? {
            Value::String(text) => Ok(text),
            other => Err(invalid(path, &other, CONTENT)),
        }
    };
    let content = match kind.as_str() {
        "input_text" | "output_text" | "text" => Content::Text(required(&mut object, "text")?),
        "refusal" => Content::Refusal(required(&mut object, "refusal")?),
        "input_image" => Content::Image(read_image(&mut object)?),
        "input_file" => Content::File(read_file(&mut object)?),
        "" => return Err(invalid(object.path_of("type"), &Value::Null, CONTENT)),
        _ => {
            let opaque = crate::map::whole(PROTOCOL, &object.into_rest());
            return Ok(Part::new(Content::Opaque(opaque)));
        }
    };
    object.take("type");
    let mut beside = object.into_rest();
    // Clients send an answer's text back as they got it, with empty lists in it.
    beside.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    Ok(Part {
        content,
        beside: crate::object::opaque(PROTOCOL, &beside),
    })
}

fn read_image(object: &mut Object) -> Result<Media, Fault> {
    match (
        object.take_any_text("image_url", IMAGE)?,
        object.take_any_text("file_id", IMAGE)?,
    ) {
        (Some(url), None) => Ok(media_at(url)),
        (None, Some(id)) => Ok(upload(id)),
        _ => Err(one_of(object, IMAGE)),
    }
}

fn read_file(object: &mut Object) -> Result<Media, Fault> {
    let name = object.take_any_text("filename", FILE)?;
    let media = match (
        object.take_any_text("file_data", FILE)?,
        object.take_any_text("file_url", FILE)?,
        object.take_any_text("file_id", FILE)?,
    ) {
        (Some(data), None, None) => media_at(data),
        (None, Some(url), None) => Media {
            source: Source::Url(url),
            media_type: None,
            name: None,
        },
        (None, None, Some(id)) => upload(id),
        _ => return Err(one_of(object, FILE)),
    };
    Ok(Media { name, ..media })
}

fn upload(id: String) -> Media {
    Media {
        source: Source::Upload(id),
        media_type: None,
        name: None,
    }
}

fn one_of(object: &Object, rule: Rule) -> Fault {
    let path = object.path().to_owned();
    let found = "it has not exactly one of them";
    Fault::new(FaultKind::Invalid, path, found, rule.says).with_example(rule.example)
}

fn read_call(object: &mut Object) -> Result<ToolCall, Fault> {
    Ok(ToolCall {
        id: object.take_text("call_id", CALL)?,
        name: object.take_text("name", CALL)?,
        arguments: object.take_any_text("arguments", CALL)?.unwrap_or_default(),
        signature: None,
    })
}

fn read_output(object: &mut Object) -> Result<ToolResult, Fault> {
    if object.get("output").is_none() {
        object.take_required("output", OUTPUT)?;
    }
    Ok(ToolResult {
        call_id: object.take_text("call_id", OUTPUT)?,
        name: None,
        parts: read_content(object, "output")?,
        is_error: false,
    })
}
