//! Outward: the request as a vendor gets it.

use domain::{
    Content, GenerationOptions, Message, ReasoningDepth, ResponseFormat, Role, Tool, ToolChoice,
    ToolKind, ToolResult,
};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::part::{Ids, part};
use crate::chat::{OutwardRequest, Sampling};
use crate::json::{Fields, Json, list, raw_object};

/// The body of a request as JSON. The model and whether a stream is asked for stand in the
/// address.
#[must_use]
pub fn encode_request(request: &OutwardRequest<'_>) -> String {
    let extra = request.extra.and_then(|extra| extra.fields(PROTOCOL));
    let within = |place: &str| nested(extra, place);
    let options = &request.generation.options;
    let config = generation_config(request).with_owned(within("generationConfig"));
    let choice = options
        .tool_choice
        .as_ref()
        .map_or_else(Fields::new, calling);
    let calling = choice.with_owned(within("toolConfig.functionCallingConfig"));
    let calling = (!calling.is_empty()).then_some(calling);
    let tool_config = Fields::new()
        .with_some("functionCallingConfig", calling)
        .with_owned(within("toolConfig"));
    asked(request)
        .with("generationConfig", config)
        .with_some(
            "toolConfig",
            (!tool_config.is_empty()).then_some(tool_config),
        )
        .with_owned(within(""))
        .encode()
}

/// What is asked, without how the answer shall be written: all that counting tokens needs.
pub(super) fn asked<'a>(request: &OutwardRequest<'a>) -> Fields<'a> {
    let own = request
        .extra
        .is_some_and(|extra| extra.protocol() == PROTOCOL);
    let ids = if own { Ids::Told } else { Ids::Left };
    let messages = &request.prompt.messages;
    let tools = &request.prompt.tools;
    let system = messages
        .iter()
        .filter(|message| message.role == Role::System);
    let system: Vec<Json<'_>> = system
        .flat_map(|message| &message.parts)
        .filter_map(|it| part(it, ids, &|_| ""))
        .map(Json::from)
        .collect();
    let system = (!system.is_empty()).then(|| Fields::new().with("parts", system));
    Fields::new()
        .with_some("systemInstruction", system)
        .with(
            "contents",
            contents(messages, ids, is_recent(request.model)),
        )
        .with_some("tools", (!tools.is_empty()).then(|| tool_list(tools)))
}

/// The fields that were kept from this place of a request of this protocol.
fn nested(extra: Option<&Map<String, Value>>, place: &str) -> Map<String, Value> {
    let fields = extra.into_iter().flatten();
    let here = fields.filter_map(|(path, value)| {
        let (of, name) = path.rsplit_once('.').unwrap_or(("", path));
        (of == place).then(|| (name.to_owned(), value.clone()))
    });
    here.collect()
}

/// What stands in place of the seal of a call that another model made, or that a client lost: from
/// the third generation on Google takes a turn's first call only with one, and this one for those
/// cases.
const NO_SEAL: &str = "skip_thought_signature_validator";

/// The turns: messages of the same speaker in a row are one, so that the results of all functions
/// that were called at once come in one turn.
fn contents<'a>(messages: &'a [Message], ids: Ids, is_recent: bool) -> Json<'a> {
    let name_of = |result: &'a ToolResult| function_of(messages, result);
    let mut turns: Vec<(Role, Vec<Json<'_>>)> = Vec::new();
    for message in messages
        .iter()
        .filter(|message| message.role != Role::System)
    {
        // Thoughts under another vendor's seal, or none, are worth nothing to this one.
        let foreign = |content: &Content| match content {
            Content::Reasoning(reasoning) => {
                let seal = reasoning.signature.as_ref();
                ids == Ids::Left && seal.is_none_or(|seal| seal.protocol != PROTOCOL)
            }
            _ => false,
        };
        let parts = message.parts.iter().filter(|part| !foreign(&part.content));
        let mut unsealed = is_recent && ids == Ids::Left;
        let parts = parts.filter_map(|it| {
            let fields = part(it, ids, &name_of)?;
            match &it.content {
                Content::ToolCall(call) if std::mem::take(&mut unsealed) => {
                    let missing = call.signature.is_none().then_some(NO_SEAL);
                    Some(fields.with_some("thoughtSignature", missing))
                }
                _ => Some(fields),
            }
        });
        let parts = parts.map(Json::from);
        match turns.last_mut() {
            Some((role, turn)) if *role == message.role => turn.extend(parts),
            _ => turns.push((message.role, parts.collect())),
        }
    }
    let turns = turns.into_iter().filter(|(_, parts)| !parts.is_empty());
    list(turns.map(|(role, parts)| {
        let role = if role == Role::Assistant {
            "model"
        } else {
            "user"
        };
        Fields::new().with("role", role).with("parts", parts)
    }))
}

/// The name of the function that a result is from.
fn function_of<'a>(messages: &'a [Message], result: &'a ToolResult) -> &'a str {
    if let Some(name) = &result.name {
        return name;
    }
    let parts = messages.iter().flat_map(|message| &message.parts);
    let mut calls = parts.filter_map(|part| match &part.content {
        Content::ToolCall(call) if call.id == result.call_id => Some(call.name.as_str()),
        _ => None,
    });
    calls.next().unwrap_or(&result.call_id)
}

fn tool_list(tools: &[Tool]) -> Json<'_> {
    let declarations: Vec<Json<'_>> = tools.iter().filter_map(declaration).collect();
    let functions = Fields::new().with("functionDeclarations", declarations);
    let others = tools.iter().filter_map(|tool| match &tool.kind {
        ToolKind::Vendor(opaque) => {
            let fields = Fields::new().with_beside(Some(opaque), PROTOCOL);
            (!fields.is_empty()).then_some(fields)
        }
        ToolKind::Function { .. } => None,
    });
    let has_functions = tools
        .iter()
        .any(|it| matches!(it.kind, ToolKind::Function { .. }));
    list(has_functions.then_some(functions).into_iter().chain(others))
}

/// A function as it is declared: as it came, where it came in this protocol.
fn declaration(tool: &Tool) -> Option<Json<'_>> {
    let ToolKind::Function {
        name,
        description,
        schema,
        ..
    } = &tool.kind
    else {
        return None;
    };
    let own = tool.beside.as_ref().filter(|it| it.protocol == PROTOCOL);
    let own = own.and_then(|own| serde_json::from_str::<Map<String, Value>>(&own.json).ok());
    if let Some(own) = own.and_then(|mut own| own.shift_remove("functionDeclaration")) {
        return Some(own.into());
    }
    let fields = Fields::new()
        .with("name", name)
        .with_some("description", description.as_ref())
        .with_some("parametersJsonSchema", schema.as_deref().map(raw_object));
    Some(fields.into())
}

fn calling(choice: &ToolChoice) -> Fields<'_> {
    match choice {
        ToolChoice::Auto => Fields::new().with("mode", "AUTO"),
        ToolChoice::None => Fields::new().with("mode", "NONE"),
        ToolChoice::Required => Fields::new().with("mode", "ANY"),
        ToolChoice::Named(name) => Fields::new()
            .with("mode", "ANY")
            .with("allowedFunctionNames", list([name])),
    }
}

fn generation_config<'a>(request: &OutwardRequest<'a>) -> Fields<'a> {
    let generation = request.generation;
    let options = &generation.options;
    let mut config = Fields::new().with("maxOutputTokens", generation.max_completion_tokens.0);
    if request.dialect.sampling == Sampling::Sent {
        config = config
            .with("temperature", generation.temperature)
            .with("seed", seed(generation.seed))
            .with_some("topP", options.top_p)
            .with_some("topK", options.top_k)
            .with_some("frequencyPenalty", options.frequency_penalty)
            .with_some("presencePenalty", options.presence_penalty);
    }
    if !generation.stop.is_empty() {
        config = config.with("stopSequences", list(&generation.stop));
    }
    let config = format(config, options)
        .with_some("responseLogprobs", options.logprobs.map(|_| true))
        .with_some("logprobs", options.logprobs.filter(|&top| top > 0));
    let thinking = options
        .reasoning
        .map(|depth| thinking(depth, request.model));
    config.with_some("thinkingConfig", thinking)
}

/// Google's seed is a signed number of 32 bits; a longer one is cut to what fits.
fn seed(seed: u64) -> i64 {
    i64::from(i32::try_from(seed.cast_signed()).unwrap_or((seed & 0x7fff_ffff) as i32))
}

fn format<'a>(config: Fields<'a>, options: &'a GenerationOptions) -> Fields<'a> {
    match &options.response_format {
        ResponseFormat::Text => config,
        ResponseFormat::JsonObject => config.with("responseMimeType", "application/json"),
        ResponseFormat::JsonSchema(schema) => config
            .with("responseMimeType", "application/json")
            .with("responseJsonSchema", raw_object(&schema.schema)),
    }
}

/// Whether the model is of the third generation or later.
fn is_recent(model: &str) -> bool {
    !["gemini-1", "gemini-2", "gemma"]
        .iter()
        .any(|old| model.contains(old))
}

/// How much to think: from the third generation on in levels, before it as a number of tokens.
fn thinking(depth: ReasoningDepth, model: &str) -> Fields<'static> {
    let in_levels = is_recent(model);
    let level = match depth {
        ReasoningDepth::Off | ReasoningDepth::Minimal => Some("MINIMAL"),
        ReasoningDepth::Low => Some("LOW"),
        ReasoningDepth::Medium => Some("MEDIUM"),
        ReasoningDepth::High | ReasoningDepth::Max => Some("HIGH"),
        ReasoningDepth::Auto | ReasoningDepth::Budget(_) => None,
    };
    let tokens = match depth {
        ReasoningDepth::Off => 0,
        ReasoningDepth::Auto => -1,
        ReasoningDepth::Budget(tokens) => i64::try_from(tokens.0).unwrap_or(i64::MAX),
        // What Google's own OpenAI surface makes of the words.
        ReasoningDepth::Minimal | ReasoningDepth::Low => 1_024,
        ReasoningDepth::Medium => 8_192,
        ReasoningDepth::High | ReasoningDepth::Max => 24_576,
    };
    let fields = match level.filter(|_| in_levels) {
        Some(level) => Fields::new().with("thinkingLevel", level),
        None => Fields::new().with("thinkingBudget", tokens),
    };
    fields.with("includeThoughts", depth != ReasoningDepth::Off)
}
