//! JSON as we write it: borrowed where it can be, its fields in the order in which they are given.

use std::borrow::Cow;

use domain::{Opaque, Part, Protocol};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A value to be written.
#[derive(Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// Kept apart, because its shortest decimal form is another than that of the same number as
    /// `f64`.
    Single(f32),
    Text(Cow<'a, str>),
    /// JSON text that was checked to be some.
    Raw(&'a RawValue),
    Borrowed(&'a Value),
    Value(Value),
    List(Vec<Json<'a>>),
    Object(Fields<'a>),
}

/// The fields of an object to be written.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Fields<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With this field at the end.
    pub(crate) fn with(mut self, name: &'a str, value: impl Into<Json<'a>>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// With this field, if there is a value for it.
    pub(crate) fn with_some(self, name: &'a str, value: Option<impl Into<Json<'a>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With all fields of an object that was kept for this protocol. A field that is there
    /// already is replaced: what a client wrote itself is truer than what we made of it.
    pub(crate) fn with_beside(self, beside: Option<&Opaque>, protocol: Protocol) -> Self {
        let own = beside.filter(|beside| beside.protocol == protocol);
        let fields = own.and_then(|beside| serde_json::from_str(&beside.json).ok());
        self.with_owned(fields.unwrap_or_default())
    }

    /// With all fields of a map, replacing those that are there.
    pub(crate) fn with_map(self, fields: Option<&'a Map<String, Value>>) -> Self {
        fields
            .into_iter()
            .flatten()
            .fold(self, |all, (name, value)| {
                all.replaced(name.as_str().into(), Json::Borrowed(value))
            })
    }

    /// With all fields of a map, replacing those that are there.
    pub(crate) fn with_owned(self, fields: Map<String, Value>) -> Self {
        fields.into_iter().fold(self, |all, (name, value)| {
            all.replaced(name.into(), Json::Value(value))
        })
    }

    /// With the fields of a map that are not there yet, also within objects that are.
    pub(crate) fn with_missing(mut self, fields: Map<String, Value>) -> Self {
        for (name, value) in fields {
            let there = self.0.iter_mut().find(|(known, _)| *known == name);
            match (there, value) {
                (Some((_, Json::Object(inner))), Value::Object(more)) => {
                    *inner = std::mem::take(inner).with_missing(more);
                }
                (Some(_), _) => {}
                (None, value) => self.0.push((name.into(), Json::Value(value))),
            }
        }
        self
    }

    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let mut fields = self.0.iter();
        fields.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// With this field in place of the one that is there, if there is a value for it.
    pub(crate) fn with_some_replaced(
        self,
        name: &'a str,
        value: Option<impl Into<Json<'a>>>,
    ) -> Self {
        match value {
            Some(value) => self.replaced(name.into(), value.into()),
            None => self,
        }
    }

    /// These fields and then those.
    pub(crate) fn followed_by(mut self, fields: Self) -> Self {
        self.0.extend(fields.0);
        self
    }

    fn replaced(mut self, name: Cow<'a, str>, value: Json<'a>) -> Self {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as text.
    pub(crate) fn encode(&self) -> String {
        text(self)
    }
}

/// JSON of values that are some: our own, or read before.
pub(crate) fn text(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(text) => text,
        // Writing to memory can't fail, and our types have string keys.
        Err(error) => unreachable!("a value that is no JSON: {error}"),
    }
}

/// JSON text as a value, if it is some.
pub(crate) fn raw(text: &str) -> Option<Json<'_>> {
    serde_json::from_str(text).ok().map(Json::Raw)
}

/// JSON text as a value if it is an object, and an empty object otherwise.
pub(crate) fn raw_object(text: &str) -> Json<'_> {
    let is_object = text.trim_start().starts_with('{');
    let object = raw(text).filter(|_| is_object);
    object.unwrap_or_else(|| Json::Object(Fields::new()))
}

/// Whether fields stand beside a part that belong into a request or answer of this protocol.
pub(crate) fn has_beside(part: &Part, protocol: Protocol) -> bool {
    let beside = part.beside.as_ref();
    beside.is_some_and(|beside| beside.protocol == protocol)
}

/// The list of these values.
pub(crate) fn list<'a, T: Into<Json<'a>>>(values: impl IntoIterator<Item = T>) -> Json<'a> {
    Json::List(values.into_iter().map(Into::into).collect())
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Unsigned(number) => to.serialize_u64(*number),
            Self::Signed(number) => to.serialize_i64(*number),
            Self::Float(number) => to.serialize_f64(*number),
            Self::Single(number) => to.serialize_f32(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::Raw(raw) => raw.serialize(to),
            Self::Borrowed(value) => value.serialize(to),
            Self::Value(value) => value.serialize(to),
            Self::List(list) => {
                let mut items = to.serialize_seq(Some(list.len()))?;
                for item in list {
                    items.serialize_element(item)?;
                }
                items.end()
            }
            Self::Object(fields) => fields.serialize(to),
        }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            fields.serialize_entry(name.as_ref(), value)?;
        }
        fields.end()
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a String> for Json<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text.as_str().into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<u64> for Json<'_> {
    fn from(number: u64) -> Self {
        Self::Unsigned(number)
    }
}

impl From<u32> for Json<'_> {
    fn from(number: u32) -> Self {
        Self::Unsigned(number.into())
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}

impl From<f32> for Json<'_> {
    fn from(number: f32) -> Self {
        Self::Single(number)
    }
}

impl From<f64> for Json<'_> {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Value> for Json<'_> {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl<'a> From<Fields<'a>> for Json<'a> {
    fn from(fields: Fields<'a>) -> Self {
        Self::Object(fields)
    }
}

impl<'a> From<Vec<Json<'a>>> for Json<'a> {
    fn from(list: Vec<Json<'a>>) -> Self {
        Self::List(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_a_kept_field_replaces_ours() {
        let beside = Opaque {
            protocol: Protocol::Anthropic,
            json: r#"{"b": [1.5], "c": null}"#.into(),
        };
        let fields = || Fields::new().with("a", 0.7_f32).with("b", "x");
        let same = fields().with_beside(Some(&beside), Protocol::Anthropic);
        assert_eq!(same.encode(), r#"{"a":0.7,"b":[1.5],"c":null}"#);
        let other = fields().with_beside(Some(&beside), Protocol::Google);
        assert_eq!(other.encode(), r#"{"a":0.7,"b":"x"}"#);
    }

    #[test]
    fn what_is_no_object_is_never_written_as_one() {
        for broken in ["", "{", "[1]", "\"x\"", "{\"a\": }"] {
            assert_eq!(text(&raw_object(broken)), "{}", "{broken}");
        }
        assert_eq!(text(&raw_object(" {\"a\": 1}")), " {\"a\": 1}".trim());
    }
}
