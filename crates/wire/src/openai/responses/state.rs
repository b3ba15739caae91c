//! Responses that are kept: what a request asks of keeping, the items that a later one goes on
//! from, and how they are listed.

use serde_json::{Map, Value, json};

use crate::chat::ChatRequest;
use crate::fault::{Fault, FaultKind};

/// What a request asks of keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Whether its response shall be kept, where it says so.
    pub store: Option<bool>,
    /// The response that it goes on from.
    pub previous: Option<String>,
}

impl Keeping {
    /// Takes it out of a request: no vendor is to keep what is kept here.
    ///
    /// # Errors
    /// When it asks for a conversation of the vendor's or for work in the background.
    pub fn take(request: &mut ChatRequest) -> Result<Self, Fault> {
        let field = |name: &str| request.extra.field(name).filter(|it| !it.is_null());
        if field("conversation").is_some() {
            let rule = "go on from a response by previous_response_id, or send all as input";
            return Err(unsupported("conversation", "none is kept here", rule));
        }
        if field("background").is_some_and(|it| it != false) {
            let rule = "leave it out; a batch is worked on in the background";
            return Err(unsupported("background", "it is set", rule));
        }
        let store = match field("store") {
            None => None,
            Some(Value::Bool(store)) => Some(*store),
            Some(_) => return Err(invalid("store", "store is true or false")),
        };
        let previous = match field("previous_response_id") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => {
                let rule = "previous_response_id is the id of a response";
                return Err(invalid("previous_response_id", rule));
            }
        };
        for name in [
            "background",
            "conversation",
            "previous_response_id",
            "store",
        ] {
            let extra = request.extra.clone();
            request.extra = extra.without(name);
        }
        Ok(Self { store, previous })
    }
}

fn invalid(path: &str, rule: &str) -> Fault {
    Fault::new(FaultKind::Invalid, path, "it is something else", rule)
}

fn unsupported(path: &str, found: &str, rule: &str) -> Fault {
    Fault::new(FaultKind::Unsupported, path, found, rule)
}

/// The items of a request's own input, as a list of them shows them: each with an id (where it
/// has none, made of `name` and its place) and with its content in parts.
///
/// # Errors
/// When the body is no JSON object; a body that was read as a request is one.
pub fn input_items(body: &[u8], name: &str) -> Result<Vec<Value>, Fault> {
    let mut body = object(body)?;
    let input = match body.remove("input") {
        Some(Value::Array(items)) => items,
        Some(text) => vec![json!({"role": "user", "content": text})],
        None => Vec::new(),
    };
    let items = input.into_iter().enumerate();
    Ok(items
        .map(|(index, item)| shown(item, &format!("{name}_{index}")))
        .collect())
}

/// The body of the same request with these items before its own input.
///
/// # Errors
/// As [`input_items`].
pub fn going_on(body: &[u8], earlier: &[Value]) -> Result<Vec<u8>, Fault> {
    let mut body = object(body)?;
    let mut input: Vec<Value> = earlier.iter().filter_map(said_again).collect();
    match body.remove("input") {
        Some(Value::Array(items)) => input.extend(items),
        Some(text) => input.push(json!({"role": "user", "content": text})),
        None => {}
    }
    body.insert("input".to_owned(), input.into());
    Ok(Value::Object(body).to_string().into_bytes())
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    let rule = "send a JSON object with a model and an input";
    serde_json::from_slice(body)
        .map_err(|_| Fault::new(FaultKind::Invalid, "", "the body is none", rule))
}

/// An item as a list of items shows it.
fn shown(mut item: Value, name: &str) -> Value {
    let Some(fields) = item.as_object_mut() else {
        return item;
    };
    let kind = fields.entry("type").or_insert_with(|| "message".into());
    let kind = kind.as_str().unwrap_or_default().to_owned();
    if kind == "message" {
        let by_model = fields.get("role").is_some_and(|role| role == "assistant");
        if let Some(Value::String(text)) = fields.get("content") {
            let part = match by_model {
                true => json!({"type": "output_text", "text": text, "annotations": [],
                    "logprobs": []}),
                false => json!({"type": "input_text", "text": text}),
            };
            fields.insert("content".to_owned(), vec![part].into());
        }
    }
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "reasoning" => "rs",
        _ => "item",
    };
    fields.entry("status").or_insert_with(|| "completed".into());
    fields
        .entry("id")
        .or_insert_with(|| format!("{prefix}_{name}").into());
    item
}

/// An earlier item as it is told again: without the names and states that only its own response
/// knew. Thoughts that no vendor has sealed are not told again: they were not said.
fn said_again(item: &Value) -> Option<Value> {
    let only = |names: &[&str]| {
        let fields = item.as_object()?.iter();
        let fields = fields.filter(|(name, it)| names.contains(&name.as_str()) && !it.is_null());
        let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
        Some(fields.collect::<Map<String, Value>>())
    };
    let kind = item.get("type").and_then(Value::as_str);
    let fields = match kind.unwrap_or("message") {
        "message" => {
            let mut message = only(&["type", "role", "content"])?;
            let parts = message.get_mut("content").and_then(Value::as_array_mut);
            for part in parts.into_iter().flatten() {
                if let Some(fields) = part.as_object_mut() {
                    fields.retain(|name, _| name != "annotations" && name != "logprobs");
                }
            }
            message
        }
        "function_call" => only(&["type", "call_id", "name", "arguments"])?,
        "function_call_output" => only(&["type", "call_id", "output"])?,
        "reasoning" => {
            let thought = only(&["type", "summary", "content", "encrypted_content"])?;
            thought
                .contains_key("encrypted_content")
                .then_some(thought)?
        }
        _ => return Some(item.clone()),
    };
    Some(Value::Object(fields))
}

/// The items that a response has put out.
#[must_use]
pub fn output_items(response: &Value) -> Vec<Value> {
    let items = response.get("output").and_then(Value::as_array);
    items.cloned().unwrap_or_default()
}

/// What a client gets that has had a response deleted.
#[must_use]
pub fn encode_deleted(id: &str) -> String {
    json!({"id": id, "object": "response", "deleted": true}).to_string()
}
