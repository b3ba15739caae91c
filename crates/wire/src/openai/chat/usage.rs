//! The count of tokens in answers.

use domain::{CompletionTokens, PromptTokens, Usage};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json::Fields;
use crate::map;

#[derive(Deserialize)]
struct VendorUsage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// Where DeepSeek tells what its cache supplied.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    #[serde(alias = "cache_creation_tokens")]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// The usage that a vendor reports; `None` when it is not of the protocol's form, which must not
/// lose an answer that has been paid for.
///
/// Some vendors (xAI) leave reasoning out of `completion_tokens` and count it in `total_tokens`
/// alone, and bill it; what the total has beyond the prompt is therefore taken as written.
pub(crate) fn read_usage(usage: Value) -> Option<Usage> {
    let usage: VendorUsage = serde_json::from_value(usage).ok()?;
    let prompt = usage.prompt_tokens;
    let details = usage.prompt_tokens_details;
    let cached = details.as_ref().and_then(|details| details.cached_tokens);
    let cached = cached
        .or(usage.prompt_cache_hit_tokens)
        .unwrap_or(0)
        .min(prompt);
    let written = details.and_then(|details| details.cache_write_tokens);
    let beyond_prompt = usage.total_tokens.unwrap_or(0).saturating_sub(prompt);
    let completion = usage.completion_tokens.max(beyond_prompt);
    let details = usage.completion_tokens_details;
    let reasoning = details.and_then(|details| details.reasoning_tokens);
    Some(Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(cached),
        cache_write_prompt: PromptTokens(written.unwrap_or(0).min(prompt - cached)),
        completion: CompletionTokens(completion),
        reasoning: CompletionTokens(reasoning.unwrap_or(0).min(completion)),
        ..Usage::default()
    })
}

/// The usage that a vendor reports, and what it tells beyond the counts that the domain knows.
pub(crate) fn read_all_usage(reported: Option<Value>) -> (Option<Usage>, Map<String, Value>) {
    let Some(Value::Object(fields)) = reported else {
        return (None, Map::new());
    };
    let usage = read_usage(Value::Object(fields.clone()));
    let beyond = usage.map(|usage| map::beyond(fields, &usage_body(&usage)));
    (usage, beyond.unwrap_or_default())
}

/// Usage as our clients are told it.
pub(crate) fn usage_body(usage: &Usage) -> Fields<'static> {
    let prompt_details = Fields::new()
        .with("cached_tokens", usage.cached_prompt.0)
        .with("cache_write_tokens", usage.cache_write_prompt.0)
        .with("audio_tokens", 0_u32);
    let completion_details = Fields::new()
        .with("reasoning_tokens", usage.reasoning.0)
        .with("audio_tokens", 0_u32)
        .with("accepted_prediction_tokens", 0_u32)
        .with("rejected_prediction_tokens", 0_u32);
    Fields::new()
        .with("prompt_tokens", usage.prompt.0)
        .with("completion_tokens", usage.completion.0)
        .with(
            "total_tokens",
            usage.prompt.0.saturating_add(usage.completion.0),
        )
        .with("prompt_tokens_details", prompt_details)
        .with("completion_tokens_details", completion_details)
}
