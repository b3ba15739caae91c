//! Why an answer ends.

use domain::FinishReason;

/// The finish reason of this name. One that is not known, or that says that the answer is
/// unusable (`MALFORMED_FUNCTION_CALL`, `OTHER`), is refused.
pub(super) fn finish_reason(name: &str) -> Option<FinishReason> {
    match name {
        "STOP" => Some(FinishReason::Stop),
        "MAX_TOKENS" => Some(FinishReason::Length),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Some(FinishReason::ContentFilter),
        _ => None,
    }
}

/// The finish reason's name.
pub(super) fn name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Pause => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter | FinishReason::Refusal => "SAFETY",
    }
}

/// The reason with which an answer ends that asks for tools: this protocol has no name for it.
pub(super) fn ended(named: FinishReason, calls: bool) -> FinishReason {
    match named {
        FinishReason::Stop if calls => FinishReason::ToolCalls,
        _ => named,
    }
}
