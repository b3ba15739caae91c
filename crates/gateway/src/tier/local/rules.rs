//! What the engine may write.

use domain::{GenerationOptions, ResponseFormat, ToolChoice};
use llama::{Grammar, Sampling, Tool};

use super::super::{Fault, TierFailure};
use crate::engine::CallsAtOnce;

/// Which tokens the engine may choose.
///
/// # Errors
/// When a tool must be called that there is not.
pub(super) fn rules(
    options: &GenerationOptions,
    tools: &[Tool],
    calls: CallsAtOnce,
) -> Result<Sampling, TierFailure> {
    let neutral = Sampling::default();
    let wide = |share: Option<f32>, or: f64| share.map_or(or, f64::from);
    Ok(Sampling {
        top_k: options.top_k.map_or(0, |top_k| top_k as usize),
        top_p: wide(options.top_p, neutral.top_p),
        min_p: wide(options.min_p, neutral.min_p),
        frequency_penalty: options.frequency_penalty.unwrap_or_default(),
        presence_penalty: options.presence_penalty.unwrap_or_default(),
        logit_bias: options.logit_bias.clone(),
        alternatives: options.logprobs.map_or(0, |top| top as usize),
        grammar: grammar(options, tools, calls)?,
        ..neutral
    })
}

/// How many tools the answer may call.
pub(super) fn calls_max(options: &GenerationOptions, calls: CallsAtOnce) -> usize {
    match calls {
        CallsAtOnce::Several if options.parallel_tool_calls != Some(false) => usize::MAX,
        _ => 1,
    }
}

fn grammar(
    options: &GenerationOptions,
    tools: &[Tool],
    calls: CallsAtOnce,
) -> Result<Option<Grammar>, TierFailure> {
    let called = match &options.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::None) => {
            return Ok(match &options.response_format {
                ResponseFormat::Text => None,
                ResponseFormat::JsonObject => Some(Grammar::JsonObject),
                ResponseFormat::JsonSchema(answer) => {
                    Some(Grammar::JsonSchema(answer.schema.clone()))
                }
            });
        }
        Some(ToolChoice::Required) if calls_max(options, calls) > 1 => Tool::calls_grammar(tools),
        Some(ToolChoice::Required) => Tool::call_grammar(tools),
        Some(ToolChoice::Named(name)) => {
            let named = tools.iter().find(|tool| tool.name == *name);
            Tool::call_grammar(named.map(std::slice::from_ref).unwrap_or_default())
        }
    };
    called.map(Some).ok_or_else(|| TierFailure {
        reason: "tool_choice asks for the call of a tool that is not among the request's tools"
            .to_owned(),
        retryable: false,
        fault: Fault::Request,
    })
}
