//! Inward: the messages of a client's request.

use domain::{
    Content, Media, Message, Part, Reasoning, Role, Signature, Source, ToolCall, ToolResult,
};
use serde_json::{Map, Value};

use super::PROTOCOL;
use crate::fault::Fault;
use crate::object::short;
use crate::object::{Object, Rule, invalid};

const MESSAGE: Rule = Rule {
    says: "a message is an object with a role and a content",
    example: r#"{"role": "user", "content": "Hello"}"#,
};
const ROLE: Rule = Rule {
    says: "a role is user or assistant; the system prompt stands in `system`",
    example: r#""user""#,
};
const CONTENT: Rule = Rule {
    says: "a content is a string or an array of blocks",
    example: r#""Hello""#,
};
const BLOCK: Rule = Rule {
    says: "a block is an object with a type and what that type demands",
    example: r#"{"type": "text", "text": "Hello"}"#,
};
const TOOL_USE: Rule = Rule {
    says: "a tool use has an id, a name and an object as input",
    example: r#"{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}"#,
};
const TOOL_RESULT: Rule = Rule {
    says: "a tool result has the id of the tool use that it answers, and a content",
    example: r#"{"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}"#,
};
const THINKING: Rule = Rule {
    says: "a thinking block is handed back as it came, with its signature",
    example: r#"{"type": "thinking", "thinking": "…", "signature": "…"}"#,
};

/// The system prompt, a string or blocks.
pub(super) fn read_system(path: String, system: Value) -> Result<Message, Fault> {
    let parts = read_blocks(&path, system)?;
    Ok(Message::of_parts(Role::System, parts))
}

/// One message.
pub(super) fn read_message(path: String, value: Value) -> Result<Message, Fault> {
    let mut object = Object::from_value(path, value, MESSAGE)?;
    let path = object.path_of("role");
    let name = object.take_text("role", ROLE)?;
    let role = match name.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(invalid(path, &Value::String(name), ROLE)),
    };
    let path = object.path_of("content");
    let parts = read_blocks(&path, object.take_required("content", CONTENT)?)?;
    Ok(Message {
        beside: object.into_beside(PROTOCOL),
        ..Message::of_parts(role, parts)
    })
}

fn read_blocks(path: &str, content: Value) -> Result<Vec<Part>, Fault> {
    match content {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(blocks) => blocks
            .into_iter()
            .enumerate()
            .map(|(index, block)| read_block(format!("{path}[{index}]"), block))
            .collect(),
        other => Err(invalid(path.to_owned(), &other, CONTENT)),
    }
}

fn read_block(path: String, block: Value) -> Result<Part, Fault> {
    let kind = block.get("type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default().to_owned();
    let known = match kind.as_str() {
        "image" | "document" => read_source(&block).is_some(),
        other => KNOWN.contains(&other),
    };
    if !known && let (Value::Object(fields), false) = (&block, kind.is_empty()) {
        let opaque = crate::map::whole(PROTOCOL, fields);
        return Ok(Part::new(Content::Opaque(opaque)));
    }
    let source = read_source(&block);
    let mut object = Object::from_value(path, block, BLOCK)?;
    object.take_text("type", BLOCK)?;
    let content = match (kind.as_str(), source) {
        ("text", _) => Content::Text(text(&mut object, "text", BLOCK)?),
        ("image", Some(media)) => {
            object.take("source");
            Content::Image(media)
        }
        ("document", Some(media)) => {
            object.take("source");
            let name = object.take_any_text("title", BLOCK)?;
            Content::File(Media { name, ..media })
        }
        ("tool_use", _) => Content::ToolCall(read_tool_use(&mut object)?),
        ("tool_result", _) => Content::ToolResult(read_tool_result(&mut object)?),
        ("thinking", _) => Content::Reasoning(read_thinking(&mut object)?),
        ("redacted_thinking", _) => {
            let data = object.take_text("data", THINKING)?;
            Content::Reasoning(redacted(data))
        }
        _ => {
            return Err(invalid(
                object.path_of("type"),
                &Value::String(short(&kind)),
                BLOCK,
            ));
        }
    };
    Ok(Part {
        content,
        beside: object.into_beside(PROTOCOL),
    })
}

/// Blocks that are read whatever is in them.
const KNOWN: [&str; 5] = [
    "text",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
];

fn text(object: &mut Object, name: &str, rule: Rule) -> Result<String, Fault> {
    let path = object.path_of(name);
    match object.take_required(name, rule)? {
        Value::String(text) => Ok(text),
        other => Err(invalid(path, &other, rule)),
    }
}

/// Where the bytes of a picture or document are; `None` for a kind of source that only this
/// protocol knows, such as blocks of text that are to be cited.
fn read_source(block: &Value) -> Option<Media> {
    let source = block.get("source")?;
    let text = |name: &str| Some(source.get(name)?.as_str()?.to_owned());
    let (kind, media_type) = (text("type")?, text("media_type"));
    let source = match kind.as_str() {
        "base64" => Source::Base64(text("data")?),
        "url" => Source::Url(text("url")?),
        "file" => Source::Upload(text("file_id")?),
        _ => return None,
    };
    Some(Media {
        source,
        media_type,
        name: None,
    })
}

fn read_tool_use(object: &mut Object) -> Result<ToolCall, Fault> {
    let input = object.take_with("input", TOOL_USE, |input| {
        input.is_object().then(|| crate::json::text(input))
    })?;
    Ok(ToolCall {
        id: object.take_text("id", TOOL_USE)?,
        name: object.take_text("name", TOOL_USE)?,
        arguments: input.unwrap_or_else(|| "{}".to_owned()),
        signature: None,
    })
}

fn read_tool_result(object: &mut Object) -> Result<ToolResult, Fault> {
    let path = object.path_of("content");
    let call_id = object.take_text("tool_use_id", TOOL_RESULT)?;
    let is_error = object.take_bool("is_error", TOOL_RESULT)?;
    let parts = match object.take("content") {
        None => Vec::new(),
        Some(content) => read_blocks(&path, content)?,
    };
    Ok(ToolResult {
        call_id,
        name: None,
        parts,
        is_error: is_error == Some(true),
    })
}

fn read_thinking(object: &mut Object) -> Result<Reasoning, Fault> {
    let signature = object.take_any_text("signature", THINKING)?;
    Ok(Reasoning {
        text: text(object, "thinking", THINKING)?,
        signature: signature.filter(|text| !text.is_empty()).map(seal),
        is_redacted: false,
    })
}

/// Thoughts that are kept back.
pub(super) fn redacted(data: String) -> Reasoning {
    Reasoning {
        text: String::new(),
        signature: Some(seal(data)),
        is_redacted: true,
    }
}

/// A seal of this protocol's vendor.
pub(super) fn seal(text: String) -> Signature {
    Signature {
        protocol: PROTOCOL,
        text,
    }
}

/// The part that a block of an answer is.
pub(super) fn answered(mut fields: Map<String, Value>) -> Part {
    use crate::map::{take_object, take_text};
    let kind = crate::map::text(&fields, "type").to_owned();
    let content = match kind.as_str() {
        "text" => Content::Text(take_text(&mut fields, "text")),
        "tool_use" => Content::ToolCall(ToolCall {
            id: take_text(&mut fields, "id"),
            name: take_text(&mut fields, "name"),
            arguments: crate::json::text(&take_object(&mut fields, "input")),
            signature: None,
        }),
        "thinking" => Content::Reasoning(Reasoning {
            text: take_text(&mut fields, "thinking"),
            signature: crate::map::take_some_text(&mut fields, "signature").map(seal),
            is_redacted: false,
        }),
        "redacted_thinking" => Content::Reasoning(redacted(take_text(&mut fields, "data"))),
        _ => return Part::new(Content::Opaque(crate::map::whole(PROTOCOL, &fields))),
    };
    fields.shift_remove("type");
    Part {
        content,
        beside: crate::map::rest(PROTOCOL, fields),
    }
}
