//! Reading what vendors answer: leniently, because an answer has been paid for.

use domain::{Opaque, Protocol};
use serde_json::{Map, Value};

use crate::json::{Fields, Json};

/// Takes a text out; an empty one where there is none.
pub(crate) fn take_text(fields: &mut Map<String, Value>, name: &str) -> String {
    match fields.shift_remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Takes a text out that is not empty.
pub(crate) fn take_some_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    Some(take_text(fields, name)).filter(|text| !text.is_empty())
}

/// Takes an object out; an empty one where there is none.
pub(crate) fn take_object(fields: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match fields.shift_remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Takes the objects of a list out, and leaves out what is none.
pub(crate) fn take_objects(fields: &mut Map<String, Value>, name: &str) -> Vec<Map<String, Value>> {
    let list = match fields.shift_remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let object = |value| match value {
        Value::Object(object) => Some(object),
        _ => None,
    };
    list.into_iter().filter_map(object).collect()
}

/// A count; `None` where there is none.
pub(crate) fn count(fields: &Map<String, Value>, name: &str) -> Option<u64> {
    fields.get(name)?.as_u64()
}

/// A text as it stands there; an empty one where there is none.
pub(crate) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What is left of an object, for those who understand it.
pub(crate) fn rest(protocol: Protocol, mut fields: Map<String, Value>) -> Option<Opaque> {
    fields.retain(|_, value| !value.is_null());
    crate::object::opaque(protocol, &fields)
}

/// What an object has beyond what we write in its place, also within objects that both have.
pub(crate) fn beyond(mut fields: Map<String, Value>, ours: &Fields<'_>) -> Map<String, Value> {
    fields.retain(|name, value| match (ours.get(name), value) {
        (None, value) => !value.is_null(),
        (Some(Json::Object(ours)), Value::Object(theirs)) => {
            *theirs = beyond(std::mem::take(theirs), ours);
            !theirs.is_empty()
        }
        (Some(_), _) => false,
    });
    fields
}

/// Puts an object among these fields, unless it is empty.
pub(crate) fn put(fields: &mut Map<String, Value>, name: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        fields.insert(name.to_owned(), Value::Object(object));
    }
}

/// The fields of what was kept for this protocol; none where it was kept for another.
pub(crate) fn own(opaque: Option<&Opaque>, protocol: Protocol) -> Map<String, Value> {
    let own = opaque.filter(|opaque| opaque.protocol == protocol);
    let fields = own.and_then(|own| serde_json::from_str(&own.json).ok());
    fields.unwrap_or_default()
}

/// A whole object that only this protocol understands.
pub(crate) fn whole(protocol: Protocol, fields: &Map<String, Value>) -> Opaque {
    Opaque {
        protocol,
        json: crate::json::text(fields),
    }
}
