//! The count of tokens in answers.

use domain::{CompletionTokens, PromptTokens, Usage};
use serde_json::{Map, Value};

use crate::json::Fields;
use crate::map::{beyond, count};

/// The usage that a vendor reports; `None` when it counts nothing.
pub(super) fn read_usage(usage: &Map<String, Value>) -> Option<Usage> {
    let detail = |details: &str, name: &str| {
        let details = usage.get(details).and_then(Value::as_object);
        details
            .and_then(|details| count(details, name))
            .unwrap_or(0)
    };
    let prompt = count(usage, "input_tokens")?;
    let completion = count(usage, "output_tokens").unwrap_or(0);
    let cached = detail("input_tokens_details", "cached_tokens").min(prompt);
    let written = detail("input_tokens_details", "cache_write_tokens");
    let reasoning = detail("output_tokens_details", "reasoning_tokens");
    Some(Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(cached),
        cache_write_prompt: PromptTokens(written.min(prompt - cached)),
        completion: CompletionTokens(completion),
        reasoning: CompletionTokens(reasoning.min(completion)),
        ..Usage::default()
    })
}

/// The usage that a vendor reports, and what it tells beyond the counts that the domain knows.
pub(super) fn read_all_usage(reported: Map<String, Value>) -> (Option<Usage>, Map<String, Value>) {
    let usage = read_usage(&reported);
    let beyond = usage.map(|usage| beyond(reported, &usage_body(&usage)));
    (usage, beyond.unwrap_or_default())
}

/// Usage as our clients are told it.
pub(super) fn usage_body(usage: &Usage) -> Fields<'static> {
    let read = Fields::new()
        .with("cached_tokens", usage.cached_prompt.0)
        .with("cache_write_tokens", usage.cache_write_prompt.0);
    let written = Fields::new().with("reasoning_tokens", usage.reasoning.0);
    Fields::new()
        .with("input_tokens", usage.prompt.0)
        .with("input_tokens_details", read)
        .with("output_tokens", usage.completion.0)
        .with("output_tokens_details", written)
        .with(
            "total_tokens",
            usage.prompt.0.saturating_add(usage.completion.0),
        )
}
