//! Reading the fields of a JSON object one by one, with the path of each at hand.

use domain::{Opaque, Protocol};
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultKind};

/// What a field may hold, for the message when it holds something else.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// What may stand there, as a sentence.
    pub(crate) says: &'static str,
    /// A right value as JSON.
    pub(crate) example: &'static str,
}

/// A JSON object whose fields are taken out as they are understood; what remains is unknown.
pub(crate) struct Object {
    path: String,
    fields: Map<String, Value>,
}

impl Object {
    /// The object that a request body holds.
    pub(crate) fn from_body(body: &[u8], rule: Rule) -> Result<Self, Fault> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            // The message of the parser may quote the body, so only the place is told.
            let found = format!(
                "the body is no JSON at line {}, column {}",
                error.line(),
                error.column()
            );
            Fault::new(FaultKind::Malformed, "", found, rule.says).with_example(rule.example)
        })?;
        match value {
            Value::Object(fields) => Ok(Self {
                path: String::new(),
                fields,
            }),
            other => {
                let found = format!("the body is {}", shown(&other));
                let fault = Fault::new(FaultKind::Malformed, "", found, rule.says);
                Err(fault.with_example(rule.example))
            }
        }
    }

    /// The object that stands at a path.
    pub(crate) fn from_value(path: String, value: Value, rule: Rule) -> Result<Self, Fault> {
        match value {
            Value::Object(fields) => Ok(Self { path, fields }),
            other => Err(invalid(path, &other, rule)),
        }
    }

    /// The path of one of the object's fields.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Takes a field out. A null counts as absent, as it does with every vendor.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    /// Takes a field out that must be there.
    pub(crate) fn take_required(&mut self, name: &str, rule: Rule) -> Result<Value, Fault> {
        self.take(name).ok_or_else(|| {
            Fault::new(
                FaultKind::Missing,
                self.path_of(name),
                "is missing",
                rule.says,
            )
            .with_example(rule.example)
        })
    }

    /// Takes out a text that must be there and not be empty.
    pub(crate) fn take_text(&mut self, name: &str, rule: Rule) -> Result<String, Fault> {
        match self.take_required(name, rule)? {
            Value::String(text) if !text.is_empty() => Ok(text),
            other => Err(invalid(self.path_of(name), &other, rule)),
        }
    }

    /// Takes out a list that must be there and not be empty.
    pub(crate) fn take_list(&mut self, name: &str, rule: Rule) -> Result<Vec<Value>, Fault> {
        match self.take_required(name, rule)? {
            Value::Array(list) if !list.is_empty() => Ok(list),
            other => Err(invalid(self.path_of(name), &other, rule)),
        }
    }

    /// Takes out a field that a reader makes something of, if it is there.
    pub(crate) fn take_with<T>(
        &mut self,
        name: &str,
        rule: Rule,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match read(&value) {
                Some(read) => Ok(Some(read)),
                None => Err(invalid(self.path_of(name), &value, rule)),
            },
        }
    }

    /// Takes out a number within a range, if it is there.
    pub(crate) fn take_single(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
        rule: Rule,
    ) -> Result<Option<f32>, Fault> {
        self.take_with(name, rule, |value| {
            let number = value.as_f64().filter(|number| range.contains(number))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "seven digits of a setting are enough"
            )]
            Some(number as f32)
        })
    }

    /// Takes out a whole number of at least `least`, if it is there.
    pub(crate) fn take_count(
        &mut self,
        name: &str,
        least: u64,
        rule: Rule,
    ) -> Result<Option<u64>, Fault> {
        self.take_with(name, rule, |value| {
            value.as_u64().filter(|&count| count >= least)
        })
    }

    /// Takes out a text that may be empty, if it is there.
    pub(crate) fn take_any_text(
        &mut self,
        name: &str,
        rule: Rule,
    ) -> Result<Option<String>, Fault> {
        self.take_with(name, rule, |value| Some(value.as_str()?.to_owned()))
    }

    /// Takes out a truth value, if it is there.
    pub(crate) fn take_bool(&mut self, name: &str, rule: Rule) -> Result<Option<bool>, Fault> {
        self.take_with(name, rule, Value::as_bool)
    }

    /// Takes out an object, if it is there.
    pub(crate) fn take_object(&mut self, name: &str, rule: Rule) -> Result<Option<Self>, Fault> {
        let path = self.path_of(name);
        let value = self.take(name);
        value
            .map(|value| Self::from_value(path, value, rule))
            .transpose()
    }

    /// Takes out a list that may be empty or absent.
    pub(crate) fn take_any_list(&mut self, name: &str, rule: Rule) -> Result<Vec<Value>, Fault> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(invalid(self.path_of(name), &other, rule)),
        }
    }

    /// A field as it stands there.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Where the object stands.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same object with its fields named otherwise.
    pub(crate) fn map_fields(
        self,
        rename: impl FnOnce(Map<String, Value>) -> Map<String, Value>,
    ) -> Self {
        Self {
            path: self.path,
            fields: rename(self.fields),
        }
    }

    /// The fields that nobody took out, under paths that begin with this place.
    pub(crate) fn into_rest_under(self, place: &str) -> impl Iterator<Item = (String, Value)> {
        let rest = self.into_rest().into_iter();
        rest.map(move |(name, value)| (format!("{place}.{name}"), value))
    }

    /// Ends the reading of an object in which nothing unknown may stand.
    ///
    /// # Errors
    /// The first field that nobody took out, with what was `found`.
    pub(crate) fn refuse_rest(self, found: &str) -> Result<(), Fault> {
        let mut left = self.fields.iter().filter(|(_, value)| !value.is_null());
        match left.next() {
            Some((name, _)) => {
                let path = self.path_of(&short(name));
                let kind = FaultKind::Unsupported;
                Err(Fault::new(kind, path, found, "leave it out"))
            }
            None => Ok(()),
        }
    }

    /// The fields that nobody took out, as something that only this protocol understands.
    pub(crate) fn into_beside(self, protocol: Protocol) -> Option<Opaque> {
        opaque(protocol, &self.into_rest())
    }

    /// The fields that nobody took out, without nulls.
    pub(crate) fn into_rest(mut self) -> Map<String, Value> {
        self.fields.retain(|_, value| !value.is_null());
        self.fields
    }
}

/// The fault of a value that breaks a rule.
pub(crate) fn invalid(path: String, value: &Value, rule: Rule) -> Fault {
    Fault::new(FaultKind::Invalid, path, shown(value), rule.says).with_example(rule.example)
}

/// A value as it may be shown: numbers and truth values themselves, of everything else the kind
/// alone, because it may be text of a prompt.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(list) if list.is_empty() => "an empty array".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What only this protocol understands; `None` when there is nothing.
pub(crate) fn opaque(protocol: Protocol, fields: &Map<String, Value>) -> Option<Opaque> {
    (!fields.is_empty()).then(|| Opaque {
        protocol,
        json: crate::json::text(fields),
    })
}

/// The beginning of a field's name: names come from clients and may be of any length.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
