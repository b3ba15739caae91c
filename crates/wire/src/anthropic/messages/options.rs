//! Inward: what a client asks of its completion beyond length, temperature and stop texts.

use domain::{
    AnswerSchema, CompletionTokens, GenerationOptions, ReasoningDepth, ResponseFormat, ToolChoice,
};
use serde_json::Value;

use crate::chat::rules::{TOP_K, TOP_P};
use crate::fault::Fault;
use crate::object::{Object, Rule, invalid};

const TOOL_CHOICE: Rule = Rule {
    says: "the tool choice is an object of type auto, any, none or tool, which has a name",
    example: r#"{"type": "tool", "name": "look_up"}"#,
};
const THINKING: Rule = Rule {
    says: "thinking is an object of type enabled with budget_tokens, adaptive or disabled",
    example: r#"{"type": "enabled", "budget_tokens": 1024}"#,
};
const EFFORT: Rule = Rule {
    says: "the effort is low, medium, high, xhigh or max",
    example: r#""low""#,
};

pub(super) fn read_options(object: &mut Object) -> Result<GenerationOptions, Fault> {
    let top_k = object.take_count("top_k", 0, TOP_K)?;
    let (tool_choice, parallel_tool_calls) = read_tool_choice(object)?;
    Ok(GenerationOptions {
        top_p: object.take_single("top_p", 0.0..=1.0, TOP_P)?,
        top_k: top_k.and_then(|top_k| u32::try_from(top_k).ok()),
        tool_choice,
        parallel_tool_calls,
        response_format: read_format(object),
        reasoning: read_reasoning(object)?,
        ..GenerationOptions::default()
    })
}

fn read_tool_choice(object: &mut Object) -> Result<(Option<ToolChoice>, Option<bool>), Fault> {
    let Some(mut choice) = object.take_object("tool_choice", TOOL_CHOICE)? else {
        return Ok((None, None));
    };
    let path = choice.path_of("type");
    let kind = choice.take_text("type", TOOL_CHOICE)?;
    let tool_choice = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.take_text("name", TOOL_CHOICE)?),
        _ => return Err(invalid(path, &Value::String(kind), TOOL_CHOICE)),
    };
    let one = choice.take_bool("disable_parallel_tool_use", TOOL_CHOICE)?;
    Ok((Some(tool_choice), one.map(|one| !one)))
}

/// The form of the answer; the fields stay where they are.
fn read_format(object: &Object) -> ResponseFormat {
    let of_config = object.get("output_config").and_then(|it| it.get("format"));
    let format = of_config.or_else(|| object.get("output_format"));
    let schema = format.filter(|format| format.get("type").is_some_and(|it| it == "json_schema"));
    match schema.and_then(|format| format.get("schema")) {
        Some(schema) => ResponseFormat::JsonSchema(AnswerSchema {
            name: None,
            description: None,
            schema: crate::json::text(schema),
            strict: Some(true),
        }),
        None => ResponseFormat::Text,
    }
}

/// How much to think; the fields stay where they are.
fn read_reasoning(object: &Object) -> Result<Option<ReasoningDepth>, Fault> {
    let effort = object.get("output_config").and_then(|it| it.get("effort"));
    let effort = match effort.filter(|effort| !effort.is_null()) {
        None => None,
        Some(word) => match word.as_str() {
            Some("low") => Some(ReasoningDepth::Low),
            Some("medium") => Some(ReasoningDepth::Medium),
            Some("high") => Some(ReasoningDepth::High),
            Some("xhigh" | "max") => Some(ReasoningDepth::Max),
            _ => {
                return Err(invalid(
                    object.path_of("output_config.effort"),
                    word,
                    EFFORT,
                ));
            }
        },
    };
    let Some(thinking) = object.get("thinking") else {
        return Ok(effort);
    };
    let budget = || Some(CompletionTokens(thinking.get("budget_tokens")?.as_u64()?));
    match thinking.get("type").and_then(Value::as_str) {
        Some("disabled") => Ok(Some(ReasoningDepth::Off)),
        Some("adaptive") => Ok(effort.or(Some(ReasoningDepth::Auto))),
        Some("enabled") => match budget() {
            Some(budget) => Ok(Some(ReasoningDepth::Budget(budget))),
            None => Err(invalid(object.path_of("thinking"), thinking, THINKING)),
        },
        _ => Err(invalid(object.path_of("thinking"), thinking, THINKING)),
    }
}
