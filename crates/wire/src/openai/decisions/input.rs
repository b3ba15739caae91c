//! What the questions are about.

use domain::{Message, Role};
use serde_json::Value;

use super::unsupported;
use crate::fault::Fault;
use crate::object::{Object, Rule, invalid};

pub(super) const INPUT: Rule = Rule {
    says: "the input is a text or an array of at least one message",
    example: r#"[{"role": "user", "content": "It broke."}]"#,
};
const ROLE: Rule = Rule {
    says: "the role is user, developer, system or assistant",
    example: r#""user""#,
};
pub(super) const TEXT: Rule = Rule {
    says: "this is a text, or an array of at least one part",
    example: r#"[{"type": "input_text", "text": "It broke."}]"#,
};
const PART_TEXT: Rule = Rule {
    says: "the text of a part is a string",
    example: r#""It broke.""#,
};
const DATA: Rule = Rule {
    says: "data is an object or an array of objects",
    example: r#"{"broken": true}"#,
};
const BY_TEXT: &str = "the embedded engine reads text and JSON alone; leave it out";

/// The messages of an input.
pub(super) fn parse(input: Value) -> Result<Vec<Message>, Fault> {
    let list = match input {
        Value::String(text) if !text.trim().is_empty() => {
            return Ok(vec![Message::new(Role::User, text)]);
        }
        Value::Array(list) if !list.is_empty() => list,
        other => return Err(invalid("input".to_owned(), &other, INPUT)),
    };
    let message = |(index, value)| message(format!("input[{index}]"), value);
    list.into_iter().enumerate().map(message).collect()
}

fn message(path: String, value: Value) -> Result<Message, Fault> {
    let mut object = Object::from_value(path, value, INPUT)?;
    if let Some(kind) = object.take("type")
        && kind != "message"
    {
        let path = object.path_of("type");
        let found = "calls of tools and their outputs are not offered";
        let rule = "write what they say into a message of role user";
        return Err(unsupported(path, found, rule));
    }
    let role = object.take_required("role", ROLE)?;
    let role = match role.as_str() {
        Some("user") => Role::User,
        Some("developer" | "system") => Role::System,
        Some("assistant") => Role::Assistant,
        _ => return Err(invalid(object.path_of("role"), &role, ROLE)),
    };
    let content = object.take_required("content", TEXT)?;
    let text = text(object.path_of("content"), content)?;
    object.take("phase");
    object.refuse_rest("no such field is known")?;
    Ok(Message::new(role, text))
}

/// A text, or parts of which each is a text or JSON; their texts with an empty line between.
pub(super) fn text(path: String, value: Value) -> Result<String, Fault> {
    let parts = match value {
        Value::String(text) if !text.trim().is_empty() => return Ok(text),
        Value::Array(parts) if !parts.is_empty() => parts,
        other => return Err(invalid(path, &other, TEXT)),
    };
    let part = |(index, value)| part(format!("{path}[{index}]"), value);
    let texts: Result<Vec<String>, Fault> = parts.into_iter().enumerate().map(part).collect();
    Ok(texts?.join("\n\n"))
}

fn part(path: String, value: Value) -> Result<String, Fault> {
    let mut object = Object::from_value(path, value, TEXT)?;
    let kind = object.take("type");
    match kind.as_ref().and_then(Value::as_str) {
        Some("input_text" | "output_text") => object.take_text("text", PART_TEXT),
        Some("refusal") => object.take_text("refusal", PART_TEXT),
        Some("input_json") => match object.take_required("data", DATA)? {
            data @ (Value::Object(_) | Value::Array(_)) => Ok(crate::json::text(&data)),
            other => Err(invalid(object.path_of("data"), &other, DATA)),
        },
        Some("input_image") => {
            let found = "pictures can't be read here";
            Err(unsupported(object.path().to_owned(), found, BY_TEXT))
        }
        _ => {
            let found = "no such kind of part is known";
            Err(unsupported(object.path_of("type"), found, BY_TEXT))
        }
    }
}
