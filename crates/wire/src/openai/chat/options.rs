//! Inward: what a client asks of its completion beyond length, temperature, seed and stop texts.

use domain::{AnswerSchema, GenerationOptions, ReasoningDepth, ResponseFormat};
use serde_json::Value;

use super::tools::read_tool_choice;
use crate::chat::rules::{PARALLEL, PENALTY, TOP_K, TOP_P};
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule};

/// Most likely tokens at each place that log-probabilities are told of.
const TOP_LOGPROBS_MAX: u64 = 20;

const MIN_P: Rule = Rule {
    says: "min_p is a number from 0 to 1",
    example: "0.05",
};
const LOGIT_BIAS: Rule = Rule {
    says: "the logit bias is an object from numbers of tokens to numbers from -100 to 100",
    example: r#"{"50256": -100}"#,
};
const LOGPROBS: Rule = Rule {
    says: "logprobs is true or false",
    example: "true",
};
const TOP_LOGPROBS: Rule = Rule {
    says: "top_logprobs is a whole number from 0 to 20, and logprobs must be true with it",
    example: "5",
};
const RESPONSE_FORMAT: Rule = Rule {
    says: "the response format is an object of type text, json_object or json_schema",
    example: r#"{"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}"#,
};
const EFFORT: Rule = Rule {
    says: "the reasoning effort is none, minimal, low, medium, high or xhigh",
    example: r#""low""#,
};

pub(super) fn read_options(object: &mut Object) -> Result<GenerationOptions, Fault> {
    let top_k = object.take_count("top_k", 0, TOP_K)?;
    let bias = object.take_with("logit_bias", LOGIT_BIAS, read_logit_bias)?;
    let format = object.take_object("response_format", RESPONSE_FORMAT)?;
    Ok(GenerationOptions {
        top_p: object.take_single("top_p", 0.0..=1.0, TOP_P)?,
        top_k: top_k.and_then(|top_k| u32::try_from(top_k).ok()),
        min_p: object.take_single("min_p", 0.0..=1.0, MIN_P)?,
        frequency_penalty: object.take_single("frequency_penalty", -2.0..=2.0, PENALTY)?,
        presence_penalty: object.take_single("presence_penalty", -2.0..=2.0, PENALTY)?,
        logit_bias: bias.unwrap_or_default(),
        logprobs: read_logprobs(object)?,
        completions: None,
        tool_choice: read_tool_choice(object),
        parallel_tool_calls: object.take_bool("parallel_tool_calls", PARALLEL)?,
        response_format: match format {
            Some(format) => read_response_format(format)?,
            None => ResponseFormat::Text,
        },
        reasoning: object.take_with("reasoning_effort", EFFORT, read_effort)?,
    })
}

fn read_logit_bias(value: &Value) -> Option<Vec<(u32, f32)>> {
    let entries = value.as_object()?.iter();
    let read = |(token, bias): (&String, &Value)| {
        let bias = bias.as_f64().filter(|bias| bias.abs() <= 100.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "seven digits of a bias are enough"
        )]
        Some((token.parse().ok()?, bias as f32))
    };
    entries.map(read).collect()
}

fn read_logprobs(object: &mut Object) -> Result<Option<u32>, Fault> {
    let asked = object.take_bool("logprobs", LOGPROBS)?;
    let top = object
        .take_count("top_logprobs", 0, TOP_LOGPROBS)?
        .unwrap_or(0);
    if top > TOP_LOGPROBS_MAX || (top > 0 && asked != Some(true)) {
        let path = object.path_of("top_logprobs");
        return Err(
            Fault::new(FaultKind::Invalid, path, top.to_string(), TOP_LOGPROBS.says)
                .with_example(TOP_LOGPROBS.example),
        );
    }
    Ok((asked == Some(true)).then(|| u32::try_from(top).unwrap_or_default()))
}

fn read_response_format(mut object: Object) -> Result<ResponseFormat, Fault> {
    match object.take_text("type", RESPONSE_FORMAT)?.as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let schema = object.take_required("json_schema", RESPONSE_FORMAT)?;
            let path = object.path_of("json_schema");
            let schema = Object::from_value(path, schema, RESPONSE_FORMAT)?;
            Ok(ResponseFormat::JsonSchema(read_answer_schema(schema)?))
        }
        _ => {
            let (path, found) = (object.path_of("type"), "another type");
            Err(
                Fault::new(FaultKind::Invalid, path, found, RESPONSE_FORMAT.says)
                    .with_example(RESPONSE_FORMAT.example),
            )
        }
    }
}

/// The schema of an answer as both of OpenAI's protocols have it.
pub(crate) fn read_answer_schema(mut object: Object) -> Result<AnswerSchema, Fault> {
    let schema = object.take_with("schema", RESPONSE_FORMAT, |schema| {
        schema.is_object().then(|| crate::json::text(schema))
    })?;
    Ok(AnswerSchema {
        name: Some(object.take_text("name", RESPONSE_FORMAT)?),
        description: object.take_any_text("description", RESPONSE_FORMAT)?,
        schema: schema.unwrap_or_else(|| "{}".to_owned()),
        strict: object.take_bool("strict", RESPONSE_FORMAT)?,
    })
}

/// How much to think, by OpenAI's words.
pub(crate) fn read_effort(value: &Value) -> Option<ReasoningDepth> {
    Some(match value.as_str()? {
        "none" => ReasoningDepth::Off,
        "minimal" => ReasoningDepth::Minimal,
        "low" => ReasoningDepth::Low,
        "medium" => ReasoningDepth::Medium,
        "high" => ReasoningDepth::High,
        "xhigh" | "max" => ReasoningDepth::Max,
        _ => return None,
    })
}
