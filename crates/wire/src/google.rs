//! The protocol of Google, of AI Studio and of Vertex.

pub mod account;
pub mod embed;
pub mod generate;
pub mod path;

use serde_json::{Map, Value};

/// The fields under the names that the protocol's JSON has: `mimeType`, where a client wrote
/// `mime_type`, which Google takes too.
fn renamed(fields: Map<String, Value>) -> Map<String, Value> {
    if !fields.keys().any(|name| name.contains('_')) {
        return fields;
    }
    let fields = fields.into_iter();
    fields.map(|(name, value)| (camel(&name), value)).collect()
}

fn camel(name: &str) -> String {
    let mut after_line = false;
    let mut camel = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => after_line = true,
            _ if std::mem::take(&mut after_line) => camel.push(letter.to_ascii_uppercase()),
            _ => camel.push(letter),
        }
    }
    camel
}
