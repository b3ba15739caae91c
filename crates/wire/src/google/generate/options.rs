//! Inward: what a client asks of its completion beyond length, temperature, seed and stop texts.

use domain::{AnswerSchema, CompletionTokens, GenerationOptions, ReasoningDepth, ResponseFormat};
use serde_json::Value;

use super::tools::json_schema;
use crate::chat::rules::PENALTY;
use crate::fault::Fault;
use crate::object::{Object, Rule, invalid};

const TOP_P: Rule = Rule {
    says: "topP is a number from 0 to 1",
    example: "0.9",
};
const TOP_K: Rule = Rule {
    says: "topK is a whole number",
    example: "40",
};
const LOGPROBS: Rule = Rule {
    says: "responseLogprobs is true or false, and logprobs a whole number",
    example: "true",
};
const MIME_TYPE: Rule = Rule {
    says: "responseMimeType is text/plain or application/json",
    example: r#""application/json""#,
};
const THINKING: Rule = Rule {
    says: "thinkingConfig has a thinkingBudget, a whole number, or a thinkingLevel, which is MINIMAL, LOW, MEDIUM or HIGH",
    example: r#"{"thinkingBudget": 1024}"#,
};

pub(super) fn read_options(config: &mut Object) -> Result<GenerationOptions, Fault> {
    let whole =
        |number: f64| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    // Google's own clients write topK as a number with a point.
    let top_k = config.take_with("topK", TOP_K, |value| {
        value.as_f64().filter(|&number| whole(number))
    })?;
    let asked = config.take_bool("responseLogprobs", LOGPROBS)?;
    let top = config.take_count("logprobs", 0, LOGPROBS)?.unwrap_or(0);
    let logprobs = (asked == Some(true)).then(|| u32::try_from(top).unwrap_or(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number was checked to be whole and to fit"
    )]
    Ok(GenerationOptions {
        top_p: config.take_single("topP", 0.0..=1.0, TOP_P)?,
        top_k: top_k.map(|number| number as u32),
        frequency_penalty: config.take_single("frequencyPenalty", -2.0..=2.0, PENALTY)?,
        presence_penalty: config.take_single("presencePenalty", -2.0..=2.0, PENALTY)?,
        logprobs,
        response_format: read_format(config)?,
        reasoning: read_thinking(config)?,
        ..GenerationOptions::default()
    })
}

fn read_format(config: &mut Object) -> Result<ResponseFormat, Fault> {
    let is_json = config.take_with("responseMimeType", MIME_TYPE, |kind| match kind.as_str() {
        Some("application/json") => Some(true),
        Some("text/plain") => Some(false),
        _ => None,
    })?;
    let schema = config.take("responseJsonSchema");
    let older = config.take("responseSchema").map(json_schema);
    Ok(match schema.or(older) {
        Some(schema) => ResponseFormat::JsonSchema(AnswerSchema {
            name: None,
            description: None,
            schema: crate::json::text(&schema),
            strict: Some(true),
        }),
        None if is_json == Some(true) => ResponseFormat::JsonObject,
        None => ResponseFormat::Text,
    })
}

/// How much to think; the field stays where it is, because it also says what is shown of it.
fn read_thinking(config: &Object) -> Result<Option<ReasoningDepth>, Fault> {
    let Some(thinking) = config.get("thinkingConfig") else {
        return Ok(None);
    };
    let either = |camel: &str, snake: &str| thinking.get(camel).or_else(|| thinking.get(snake));
    let wrong = || invalid(config.path_of("thinkingConfig"), thinking, THINKING);
    if let Some(budget) = either("thinkingBudget", "thinking_budget") {
        return match budget.as_i64() {
            Some(0) => Ok(Some(ReasoningDepth::Off)),
            Some(-1) => Ok(Some(ReasoningDepth::Auto)),
            Some(tokens) if tokens > 0 => {
                let tokens = CompletionTokens(tokens.unsigned_abs());
                Ok(Some(ReasoningDepth::Budget(tokens)))
            }
            _ => Err(wrong()),
        };
    }
    let level = either("thinkingLevel", "thinking_level").and_then(Value::as_str);
    match level.map(str::to_ascii_uppercase).as_deref() {
        None | Some("THINKING_LEVEL_UNSPECIFIED") => Ok(None),
        Some("MINIMAL") => Ok(Some(ReasoningDepth::Minimal)),
        Some("LOW") => Ok(Some(ReasoningDepth::Low)),
        Some("MEDIUM") => Ok(Some(ReasoningDepth::Medium)),
        Some("HIGH") => Ok(Some(ReasoningDepth::High)),
        Some(_) => Err(wrong()),
    }
}
