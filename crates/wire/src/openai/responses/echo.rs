//! What an answer says again of what was asked.

use std::sync::LazyLock;

use domain::{GenerationOptions, Tool};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::outward::{text, tool_choice, tool_list};
use crate::chat::ChatRequest;
use crate::json::{Fields, Json};
use crate::openai::chat::effort;

/// What an answer says again of what was asked, as this protocol's clients expect. Its `Debug`
/// shows names only.
#[derive(Clone, Default, PartialEq)]
pub struct Echo(Map<String, Value>);

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Echo {
    /// What is to be said again of this request.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Self {
        let generation = &request.generation;
        let options = &generation.options;
        let most = generation.max_completion_tokens.map(|most| most.0);
        let effort = options.reasoning.and_then(effort);
        let said = neutral()
            .with_some_replaced("max_output_tokens", most)
            .with_some_replaced("temperature", generation.temperature)
            .with_some_replaced("top_p", options.top_p)
            .with_some_replaced("parallel_tool_calls", options.parallel_tool_calls)
            .with_some_replaced("tool_choice", options.tool_choice.as_ref().map(tool_choice))
            .with_some_replaced("text", format(options))
            .with_some_replaced("tools", tools(&request.prompt.tools))
            .with_some_replaced("top_logprobs", options.logprobs)
            .with_some_replaced("reasoning", effort.map(reasoning));
        let mut fields = as_map(&said);
        for name in ["metadata", "previous_response_id", "truncation", "user"] {
            if let Some(value) = request.extra.field(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        Self(fields)
    }

    /// The same, of a response that is kept.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.0.insert("store".to_owned(), true.into());
        self
    }

    /// The fields of an answer to it.
    pub(super) fn fields(&self) -> &Map<String, Value> {
        static NEUTRAL: LazyLock<Map<String, Value>> = LazyLock::new(|| as_map(&neutral()));
        match self.0.is_empty() {
            true => &NEUTRAL,
            false => &self.0,
        }
    }
}

fn as_map(fields: &Fields<'_>) -> Map<String, Value> {
    serde_json::from_str(&fields.encode()).unwrap_or_default()
}

/// What is said of a request that asks for nothing beside an answer.
fn neutral() -> Fields<'static> {
    let none = Fields::new()
        .with("effort", Json::Null)
        .with("summary", Json::Null);
    let text = Fields::new().with("format", Fields::new().with("type", "text"));
    Fields::new()
        .with("instructions", Json::Null)
        .with("max_output_tokens", Json::Null)
        .with("metadata", Fields::new())
        .with("parallel_tool_calls", true)
        .with("previous_response_id", Json::Null)
        .with("reasoning", none)
        // Whoever keeps it says so.
        .with("store", false)
        .with("temperature", 1.0_f64)
        .with("text", text)
        .with("tool_choice", "auto")
        .with("tools", Vec::new())
        .with("top_logprobs", 0_u32)
        .with("top_p", 1.0_f64)
        .with("truncation", "disabled")
}

fn reasoning(effort: &'static str) -> Fields<'static> {
    Fields::new()
        .with("effort", effort)
        .with("summary", Json::Null)
}

fn format(options: &GenerationOptions) -> Option<Fields<'_>> {
    let text = text(options);
    (!text.is_empty()).then_some(text)
}

/// The client's own tools, as it gave them.
fn tools(tools: &[Tool]) -> Option<Json<'_>> {
    let own = |tool: &Tool| match &tool.beside {
        Some(beside) => beside.protocol == PROTOCOL,
        None => true,
    };
    (!tools.is_empty() && tools.iter().all(own)).then(|| tool_list(tools))
}
