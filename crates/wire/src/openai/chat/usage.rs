//! The count of tokens in answers.

use domain::{CompletionTokens, PromptTokens, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct VendorUsage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<VendorPromptDetails>,
}

#[derive(Deserialize)]
struct VendorPromptDetails {
    cached_tokens: Option<u64>,
}

/// The usage that a vendor reports; `None` when it is not of the protocol's form, which must not
/// lose an answer that has been paid for.
///
/// Some vendors (xAI) leave reasoning out of `completion_tokens` and count it in `total_tokens`
/// alone, and bill it; what the total has beyond the prompt is therefore taken as written.
pub(super) fn read_usage(usage: Value) -> Option<Usage> {
    let usage: VendorUsage = serde_json::from_value(usage).ok()?;
    let details = usage.prompt_tokens_details;
    let cached = details.and_then(|details| details.cached_tokens);
    let beyond_prompt = usage
        .total_tokens
        .unwrap_or(0)
        .saturating_sub(usage.prompt_tokens);
    Some(Usage {
        prompt: PromptTokens(usage.prompt_tokens),
        cached_prompt: PromptTokens(cached.unwrap_or(0).min(usage.prompt_tokens)),
        completion: CompletionTokens(usage.completion_tokens.max(beyond_prompt)),
    })
}

/// Usage as our clients are told it.
#[derive(Serialize)]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetailsBody,
}

#[derive(Serialize)]
struct PromptDetailsBody {
    cached_tokens: u64,
}

impl From<&Usage> for UsageBody {
    fn from(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt.0,
            completion_tokens: usage.completion.0,
            total_tokens: usage.prompt.0.saturating_add(usage.completion.0),
            prompt_tokens_details: PromptDetailsBody {
                cached_tokens: usage.cached_prompt.0,
            },
        }
    }
}
