//! The count of tokens in answers.

use domain::{CompletionTokens, PromptTokens, Usage};
use serde_json::{Map, Value};

use crate::json::Fields;
use crate::map::{beyond, count};

/// The usage that a vendor reports; `None` when it counts nothing. This protocol's count of
/// tokens written leaves out those of thought, which the domain's includes.
pub(super) fn read_usage(usage: &Map<String, Value>) -> Option<Usage> {
    let of = |name: &str| count(usage, name).unwrap_or(0);
    // What tools that the vendor ran had to say is read like the rest of the prompt.
    let prompt = count(usage, "promptTokenCount")?.saturating_add(of("toolUsePromptTokenCount"));
    let thoughts = of("thoughtsTokenCount");
    let written = of("candidatesTokenCount").saturating_add(thoughts);
    let completion = written.max(of("totalTokenCount").saturating_sub(prompt));
    Some(Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(of("cachedContentTokenCount").min(prompt)),
        cache_write_prompt: PromptTokens(0),
        completion: CompletionTokens(completion),
        reasoning: CompletionTokens(thoughts),
        ..Usage::default()
    })
}

/// The usage that a vendor reports, and what it tells beyond the counts that the domain knows.
pub(super) fn read_all_usage(
    mut reported: Map<String, Value>,
) -> (Option<Usage>, Map<String, Value>) {
    let usage = read_usage(&reported);
    // It stands in our count of the prompt already.
    reported.shift_remove("toolUsePromptTokenCount");
    let beyond = usage.map(|usage| beyond(reported, &usage_body(&usage)));
    (usage, beyond.unwrap_or_default())
}

/// Usage as our clients are told it.
pub(super) fn usage_body(usage: &Usage) -> Fields<'static> {
    let some = |tokens: u64| Some(tokens).filter(|&tokens| tokens > 0);
    let written = usage.completion.0.saturating_sub(usage.reasoning.0);
    Fields::new()
        .with("promptTokenCount", usage.prompt.0)
        .with_some("cachedContentTokenCount", some(usage.cached_prompt.0))
        .with("candidatesTokenCount", written)
        .with_some("thoughtsTokenCount", some(usage.reasoning.0))
        .with(
            "totalTokenCount",
            usage.prompt.0.saturating_add(usage.completion.0),
        )
}
