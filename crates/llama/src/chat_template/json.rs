//! `tojson` as Hugging Face's library has it: Python's `json.dumps` with `ensure_ascii=False`,
//! which puts a space after each comma and colon and escapes nothing for HTML.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;
use std::sync::atomic::{AtomicU64, Ordering};

/// The filter, for one rendering that may write so many bytes of JSON: what a filter does costs
/// no fuel.
pub(super) fn filter(
    bytes: u64,
) -> impl Fn(Value, Option<Value>, Kwargs) -> Result<Value, Error> + Send + Sync {
    let left = AtomicU64::new(bytes);
    move |value, indent, options: Kwargs| {
        let indent = match indent {
            Some(indent) => Some(indent),
            None => options.get::<Option<Value>>("indent")?,
        };
        let indent = indent.and_then(|indent| usize::try_from(indent).ok());
        let json = serde_json::to_value(&value)
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "a value is no JSON"))?;
        let text = dumped(&json, indent.map(|n| n.min(16)));
        let size = text.len() as u64 + 1;
        let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(size)
        });
        match spent {
            Ok(_) => Ok(Value::from_safe_string(text)),
            Err(_) => Err(Error::from(ErrorKind::OutOfFuel)),
        }
    }
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
pub(super) fn dumped(value: &Json, indent: Option<usize>) -> String {
    let mut text = String::new();
    dump(value, (indent, 1), &mut text);
    text
}

fn dump(value: &Json, (indent, depth): (Option<usize>, usize), text: &mut String) {
    let line = |text: &mut String, depth: usize| {
        if let Some(indent) = indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    let (open, close) = match value {
        Json::Array(items) if !items.is_empty() => ('[', ']'),
        Json::Object(fields) if !fields.is_empty() => ('{', '}'),
        scalar => {
            text.push_str(&scalar.to_string());
            return;
        }
    };
    let fields: Vec<(Option<&String>, &Json)> = match value {
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| (Some(key), value))
            .collect(),
        Json::Array(items) => items.iter().map(|item| (None, item)).collect(),
        _ => Vec::new(),
    };
    text.push(open);
    for (index, (key, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            text.push_str(comma);
        }
        line(text, depth);
        if let Some(key) = key {
            text.push_str(&Json::from(key.as_str()).to_string());
            text.push_str(": ");
        }
        dump(value, (indent, depth + 1), text);
    }
    line(text, depth - 1);
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_python_writes() {
        let value: Json = serde_json::from_str(
            r#"{"b": [1, 2.5, true, null], "a": {"text": "é <b> \"q\"\n"}, "none": {}, "no": []}"#,
        )
        .unwrap();
        assert_eq!(
            dumped(&value, None),
            r#"{"b": [1, 2.5, true, null], "a": {"text": "é <b> \"q\"\n"}, "none": {}, "no": []}"#
        );
        assert_eq!(
            dumped(&serde_json::json!({"a": [1, {"b": 2}]}), Some(4)),
            "{\n    \"a\": [\n        1,\n        {\n            \"b\": 2\n        }\n    ]\n}"
        );
    }
}
