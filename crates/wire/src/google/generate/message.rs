//! Inward: the contents of a client's request.

use domain::{Content, Media, Message, Part, Role, Source, ToolResult};
use serde_json::Value;

use super::part::read_known;
use super::{NAMELESS, PROTOCOL};
use crate::fault::Fault;
use crate::google::renamed;
use crate::object::{Object, Rule, invalid};

const CONTENT: Rule = Rule {
    says: "a content is an object with a role and parts",
    example: r#"{"role": "user", "parts": [{"text": "Hello"}]}"#,
};
const ROLE: Rule = Rule {
    says: "a role is user or model",
    example: r#""user""#,
};
const PARTS: Rule = Rule {
    says: "the parts are an array of objects",
    example: r#"[{"text": "Hello"}]"#,
};
const RESPONSE: Rule = Rule {
    says: "a functionResponse has the name of the function and an object as response",
    example: r#"{"functionResponse": {"name": "look_up", "response": {"result": 42}}}"#,
};

/// The calls of a conversation that have no name of their own, by which a response finds its own.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The function's name and the name that the call was given; the answered ones are gone.
    open: Vec<(String, String)>,
    count: usize,
}

impl Calls {
    /// A name for the next call that has none.
    pub(super) fn name(&mut self) -> String {
        self.count += 1;
        format!("{NAMELESS}{}", self.count)
    }

    fn begin(&mut self, function: &str, id: &str) {
        self.open.push((function.to_owned(), id.to_owned()));
    }

    /// The oldest call of this function that has no answer yet.
    fn answered(&mut self, function: &str) -> Option<String> {
        let place = self.open.iter().position(|(name, _)| name == function)?;
        Some(self.open.remove(place).1)
    }
}

/// One content.
pub(super) fn read_content(
    path: String,
    value: Value,
    calls: &mut Calls,
) -> Result<Message, Fault> {
    if let Value::String(text) = value {
        return Ok(Message::new(Role::User, text));
    }
    let mut object = Object::from_value(path, value, CONTENT)?;
    let role = object.take_with("role", ROLE, |role| match role.as_str()? {
        "user" | "function" | "system" => Some(Role::User),
        "model" => Some(Role::Assistant),
        _ => None,
    })?;
    let path = object.path_of("parts");
    let list = match object.take_required("parts", PARTS)? {
        Value::Array(list) => list,
        one @ Value::Object(_) => vec![one],
        other => return Err(invalid(path, &other, PARTS)),
    };
    let mut parts = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        parts.push(read_part(format!("{path}[{index}]"), value, calls)?);
    }
    Ok(Message {
        beside: object.into_beside(PROTOCOL),
        ..Message::of_parts(role.unwrap_or(Role::User), parts)
    })
}

fn read_part(path: String, value: Value, calls: &mut Calls) -> Result<Part, Fault> {
    let object = Object::from_value(path, value, PARTS)?;
    let mut object = object.map_fields(renamed);
    if let Some(response) = object.take_object("functionResponse", RESPONSE)? {
        let result = read_response(response, calls)?;
        return Ok(Part {
            content: Content::ToolResult(result),
            beside: object.into_beside(PROTOCOL),
        });
    }
    let part = read_known(object.into_rest(), || calls.name());
    if let Content::ToolCall(call) = &part.content {
        calls.begin(&call.name, &call.id);
    }
    Ok(part)
}

/// What a function gave back. Its response is kept as the JSON text that it is.
fn read_response(mut object: Object, calls: &mut Calls) -> Result<ToolResult, Fault> {
    let name = object.take_text("name", RESPONSE)?;
    let answered = calls.answered(&name);
    let id = object.take_any_text("id", RESPONSE)?;
    let response = object.take_with("response", RESPONSE, |response| {
        response.is_object().then(|| response.clone())
    })?;
    let is_error = response
        .as_ref()
        .is_some_and(|it| it.get("error").is_some());
    let text = response.map_or_else(|| "{}".to_owned(), |it| crate::json::text(&it));
    let mut parts = vec![Part::text(text)];
    for value in object.take_any_list("parts", PARTS)? {
        if let Value::Object(fields) = value {
            parts.push(read_known(renamed(fields), String::new));
        }
    }
    Ok(ToolResult {
        call_id: id
            .or(answered)
            .unwrap_or_else(|| format!("{NAMELESS}{name}")),
        name: Some(name),
        parts,
        is_error,
    })
}

/// Something that is no text, at an address or here.
pub(super) fn media(source: Source, media_type: Option<String>, name: Option<String>) -> Content {
    let media = Media {
        source,
        name,
        media_type,
    };
    match media
        .media_type
        .as_deref()
        .and_then(|it| it.split_once('/'))
    {
        Some(("image", _)) => Content::Image(media),
        Some(("audio", _)) => Content::Audio(media),
        _ => Content::File(media),
    }
}
