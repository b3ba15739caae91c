//! Arguments that come in pieces, each with its place as a JSON path.

use serde_json::{Map, Value};

use crate::map;

/// The arguments of a call under way.
#[derive(Debug, Default)]
pub(super) struct Arguments(Value);

impl Arguments {
    /// Those that were given at once.
    pub(super) fn new(args: Map<String, Value>) -> Self {
        Self(Value::Object(args))
    }

    /// Takes a piece in: a text grows what stands at its place, any other value replaces it.
    pub(super) fn take(&mut self, piece: &mut Map<String, Value>) {
        let path = map::take_text(piece, "jsonPath");
        let place = place(&mut self.0, &path);
        if let Some(Value::String(more)) = piece.get("stringValue") {
            match place {
                Value::String(text) => text.push_str(more),
                other => *other = Value::String(more.clone()),
            }
        } else if let Some(number) = piece.get("numberValue") {
            *place = number.clone();
        } else if let Some(truth) = piece.get("boolValue") {
            *place = truth.clone();
        } else {
            *place = Value::Null;
        }
    }

    /// The arguments as JSON text.
    pub(super) fn text(&self) -> String {
        match &self.0 {
            Value::Null => "{}".to_owned(),
            arguments => crate::json::text(arguments),
        }
    }
}

/// Most elements that a list is made longer by at once: the vendor counts up, one at a time.
const GROWTH_MAX: usize = 1024;

/// What stands at a path such as `$.items[1].name`, made where it is not there yet.
fn place<'a>(root: &'a mut Value, path: &str) -> &'a mut Value {
    let mut here = root;
    for step in path.trim_start_matches('$').split(['.', '[']) {
        let step = step.trim_end_matches(']').trim_matches(['\'', '"']);
        if step.is_empty() {
            continue;
        }
        here = match step.parse::<usize>() {
            Ok(index) if !here.is_object() => {
                if !here.is_array() {
                    *here = Value::Array(Vec::new());
                }
                element(here, index)
            }
            _ => {
                if !here.is_object() {
                    *here = Value::Object(Map::new());
                }
                &mut here[step]
            }
        };
    }
    here
}

fn element(list: &mut Value, index: usize) -> &mut Value {
    if let Value::Array(list) = list {
        let index = index.min(list.len() + GROWTH_MAX);
        if list.len() <= index {
            list.resize(index + 1, Value::Null);
        }
    }
    let last = list.as_array().map_or(0, Vec::len).saturating_sub(1);
    &mut list[index.min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_find_their_places() {
        let mut arguments = Arguments::default();
        let pieces = [
            r#"{"jsonPath": "$.place.name", "stringValue": "Bos"}"#,
            r#"{"jsonPath": "$.place.name", "stringValue": "ton"}"#,
            r#"{"jsonPath": "$.items[1].price", "numberValue": 0.3}"#,
            r#"{"jsonPath": "$.items[0]", "boolValue": true}"#,
            r#"{"jsonPath": "$['a b']", "nullValue": "NULL_VALUE"}"#,
            r#"{"jsonPath": "$.far[18446744073709551615]", "numberValue": 1}"#,
        ];
        for piece in &pieces[..5] {
            arguments.take(&mut serde_json::from_str(piece).unwrap());
        }
        let expected = r#"{"place":{"name":"Boston"},"items":[true,{"price":0.3}],"a b":null}"#;
        assert_eq!(arguments.text(), expected);
        arguments.take(&mut serde_json::from_str(pieces[5]).unwrap());
        assert_eq!(Arguments::default().text(), "{}");
    }
}
