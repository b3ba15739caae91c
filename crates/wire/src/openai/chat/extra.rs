//! Fields that a request may carry and the domain knows nothing of.

use std::fmt;

use serde_json::{Map, Value};

use super::request::short;
use crate::fault::{Fault, FaultKind};

/// Fields that say something about the request and change nothing in its answer. A tier that does
/// not know them may leave them out.
const ANNOTATIONS: [&str; 7] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "user",
];

/// What a request carries that only a tier of the same protocol can make something of. It is
/// forwarded to such a tier untouched. Its `Debug` shows names only.
#[derive(Clone, Default, PartialEq)]
pub struct Extra {
    fields: Map<String, Value>,
    /// One for each message of the request, in order.
    messages: Vec<Map<String, Value>>,
}

impl Extra {
    pub(super) fn new(fields: Map<String, Value>, messages: Vec<Map<String, Value>>) -> Self {
        Self { fields, messages }
    }

    /// The same beside a prompt that has one message more, before those of the request.
    #[must_use]
    pub fn behind_first_message(mut self) -> Self {
        self.messages.insert(0, Map::new());
        self
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.has_plain_messages()
    }

    /// The fault to answer with when a tier of another protocol is to complete the request:
    /// names the first field that would be lost and would have changed the answer. `None` when
    /// all that would be lost is an annotation or has its neutral value (`top_p` 1 and the like).
    #[must_use]
    pub fn refusal(&self) -> Option<Fault> {
        let matters = |(name, value): &(&String, &Value)| {
            !ANNOTATIONS.contains(&name.as_str()) && !is_neutral(name, value)
        };
        let top = self.fields.iter().find(matters);
        let path = match top {
            Some((name, _)) => short(name),
            None => self.message_path()?,
        };
        Some(Fault::new(
            FaultKind::Unsupported,
            path,
            "the tier that answers knows no such field",
            "leave it out, or ask for a tier that speaks the OpenAI protocol",
        ))
    }

    /// The number of bytes that it adds to a request: an upper bound of the prompt tokens that it
    /// can cause, where a vendor reads it at all.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let maps = std::iter::once(&self.fields).chain(&self.messages);
        maps.filter(|fields| !fields.is_empty())
            .map(|fields| crate::openai::json(fields).len())
            .sum()
    }

    /// The fields beside those that are understood.
    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The fields of the message at this index of the request.
    pub(super) fn of_message(&self, index: usize) -> Option<&Map<String, Value>> {
        self.messages.get(index)
    }

    /// Whether no message has a field beyond its role and content.
    pub(super) fn has_plain_messages(&self) -> bool {
        self.messages.iter().all(Map::is_empty)
    }

    /// How many messages the request had.
    pub(super) fn message_count(&self) -> usize {
        self.messages.len()
    }

    fn message_path(&self) -> Option<String> {
        let first = |fields: &Map<String, Value>| fields.keys().next().map(|name| short(name));
        let mut named = self.messages.iter().enumerate();
        named.find_map(|(index, fields)| Some(format!("messages[{index}].{}", first(fields)?)))
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.keys();
        let of_messages = self.messages.iter().flat_map(Map::keys);
        f.debug_set().entries(names.chain(of_messages)).finish()
    }
}

/// Whether a field has the value that it would have if it were left out.
fn is_neutral(name: &str, value: &Value) -> bool {
    match name {
        "top_p" => value.as_f64() == Some(1.0),
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "modalities" => value.as_array().is_some_and(|list| list == &["text"]),
        "response_format" => value.get("type").is_some_and(|kind| kind == "text"),
        "service_tier" => value == "auto",
        _ => false,
    }
}
