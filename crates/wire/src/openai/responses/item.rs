//! Items as both requests and answers have them.

use domain::{Content, Part, Reasoning, Signature, ToolCall};
use serde_json::{Map, Value};

use super::PROTOCOL;
use crate::json::{Fields, Json, list};
use crate::map;

/// What stands between two parts of a summary.
pub(super) const BREAK: &str = "\n\n";

/// The part that an item of reasoning is. Its own name stands beside it, because a vendor that
/// keeps the reasoning to itself finds it again by that.
pub(super) fn read_reasoning(mut item: Map<String, Value>) -> Part {
    item.shift_remove("type");
    let texts = |item: &Map<String, Value>, name: &str| {
        let list = item.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten();
        let texts = texts.filter_map(|part| part.get("text")?.as_str());
        texts.collect::<Vec<_>>().join(BREAK)
    };
    let (summary, content) = (texts(&item, "summary"), texts(&item, "content"));
    let seal = map::take_some_text(&mut item, "encrypted_content");
    // A plain summary is made again from the text; all else is kept as it is.
    let parts = item.get("summary").and_then(Value::as_array);
    if parts.is_none_or(|parts| parts.len() <= 1) {
        item.shift_remove("summary");
    }
    Part {
        content: Content::Reasoning(Reasoning {
            text: if content.is_empty() { summary } else { content },
            signature: seal.map(seal_of),
            is_redacted: false,
        }),
        beside: map::rest(PROTOCOL, item),
    }
}

/// A seal of this protocol's vendor.
pub(super) fn seal_of(text: String) -> Signature {
    Signature {
        protocol: PROTOCOL,
        text,
    }
}

/// An item of reasoning.
pub(super) fn reasoning_item(reasoning: &Reasoning) -> Fields<'_> {
    let part = Fields::new()
        .with("type", "summary_text")
        .with("text", &reasoning.text);
    let summary = (!reasoning.text.is_empty()).then_some(part);
    let seal = reasoning.signature.as_ref();
    let seal = seal.filter(|seal| seal.protocol == PROTOCOL);
    Fields::new()
        .with("type", "reasoning")
        .with("summary", list(summary))
        .with_some("encrypted_content", seal.map(|seal| &seal.text))
}

/// A call of a function.
pub(super) fn call_item(call: &ToolCall) -> Fields<'_> {
    let arguments: Json<'_> = match call.arguments.as_str() {
        // An empty text is no JSON, which this protocol's clients take it for.
        "" => "{}".into(),
        arguments => arguments.into(),
    };
    Fields::new()
        .with("type", "function_call")
        .with("call_id", &call.id)
        .with("name", &call.name)
        .with("arguments", arguments)
}
