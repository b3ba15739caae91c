//! Outward: the request as a vendor gets it.

use domain::{
    Content, GenerationOptions, Message, Part, ReasoningDepth, ResponseFormat, Role, Tool,
    ToolChoice, ToolKind,
};

use super::PROTOCOL;
use super::block::{block, content};
use crate::chat::{Delivery, Naming, OutwardRequest, Sampling};
use crate::json::{Fields, Json, has_beside, list, raw_object};

/// The body of a request as JSON.
#[must_use]
pub fn encode_request(request: &OutwardRequest<'_>) -> String {
    let generation = request.generation;
    let options = &generation.options;
    let mut body = asked(request).with("max_tokens", generation.max_completion_tokens.0);
    let thinks = !matches!(options.reasoning, None | Some(ReasoningDepth::Off));
    // The vendor takes neither beside thinking, and newer models take one of the two alone.
    if request.dialect.sampling == Sampling::Sent && !thinks {
        body = match options.top_p {
            Some(top_p) => body.with("top_p", top_p),
            None => body.with("temperature", generation.temperature.min(1.0)),
        };
        body = body.with_some("top_k", options.top_k);
    }
    if !generation.stop.is_empty() {
        body = body.with("stop_sequences", list(&generation.stop));
    }
    if request.delivery == Delivery::Streamed {
        body = body.with("stream", true);
    }
    body.with_map(request.extra.and_then(|extra| extra.fields(PROTOCOL)))
        .encode()
}

/// What is asked, without how the answer shall be written: all that counting tokens needs.
pub(super) fn asked<'a>(request: &OutwardRequest<'a>) -> Fields<'a> {
    let options = &request.generation.options;
    let tools = &request.prompt.tools;
    let has_tools = !tools.is_empty();
    let named = match request.dialect.naming {
        Naming::InBody => Fields::new().with("model", request.model),
        Naming::InAddress => Fields::new().with("anthropic_version", VERSION_AT_VERTEX),
    };
    named
        .with_some("system", system(&request.prompt.messages))
        .with("messages", messages(&request.prompt.messages))
        .with_some(
            "tools",
            has_tools.then(|| list(tools.iter().filter_map(tool))),
        )
        .with_some("tool_choice", tool_choice(options).filter(|_| has_tools))
        .with_some(
            "thinking",
            options
                .reasoning
                .filter(|&it| may_think(options, it))
                .map(thinking),
        )
        .with_some("output_config", output_config(options))
}

/// The one version of the protocol that Vertex has.
const VERSION_AT_VERTEX: &str = "vertex-2023-10-16";

/// The operator's instructions, wherever they stand: this protocol has one place for them.
fn system(messages: &[Message]) -> Option<Json<'_>> {
    let said = messages
        .iter()
        .filter(|message| message.role == Role::System);
    let parts: Vec<&Part> = said.flat_map(|message| &message.parts).collect();
    match parts.as_slice() {
        [] => None,
        [only] if !has_beside(only, PROTOCOL) => Some(content(std::slice::from_ref(only))),
        parts => Some(list(parts.iter().filter_map(|part| block(part)))),
    }
}

/// The turns: messages of the same speaker in a row are one, so that the results of all tools
/// that were called at once come in one turn, before what the user says.
fn messages(messages: &[Message]) -> Json<'_> {
    let mut turns: Vec<(Role, Vec<&Message>)> = Vec::new();
    for message in messages
        .iter()
        .filter(|message| message.role != Role::System)
    {
        match turns.last_mut() {
            Some((role, turn)) if *role == message.role => turn.push(message),
            _ => turns.push((message.role, vec![message])),
        }
    }
    Json::List(turns.into_iter().filter_map(turn).collect())
}

fn turn((role, messages): (Role, Vec<&Message>)) -> Option<Json<'_>> {
    let fields = Fields::new().with("role", role.as_str());
    if let [only] = messages.as_slice() {
        let content = match content(&only.parts) {
            Json::List(blocks) => Json::List(results_first(&only.parts, blocks)),
            text => text,
        };
        let is_empty = matches!(&content, Json::List(blocks) if blocks.is_empty());
        let fields = fields.with("content", content);
        return (!is_empty).then(|| fields.with_beside(only.beside.as_ref(), PROTOCOL).into());
    }
    let parts = || messages.iter().flat_map(|message| &message.parts);
    let is_result = |part: &&Part| matches!(part.content, Content::ToolResult(_));
    let results = parts().filter(is_result);
    let others = parts().filter(|part| !is_result(part));
    let blocks: Vec<Json<'_>> = results
        .chain(others)
        .filter_map(block)
        .map(Json::from)
        .collect();
    (!blocks.is_empty()).then(|| fields.with("content", blocks).into())
}

/// The blocks of one message with the results of tools before all else, which the vendor demands.
fn results_first<'a>(parts: &'a [Part], blocks: Vec<Json<'a>>) -> Vec<Json<'a>> {
    let is_result = |part: &&Part| matches!(part.content, Content::ToolResult(_));
    let ordered = parts.iter().is_sorted_by_key(|part| !is_result(&part));
    if ordered || !parts.iter().any(|part| is_result(&part)) {
        return blocks;
    }
    let results = parts.iter().filter(is_result);
    let others = parts.iter().filter(|part| !is_result(part));
    results
        .chain(others)
        .filter_map(block)
        .map(Json::from)
        .collect()
}

fn tool(tool: &Tool) -> Option<Fields<'_>> {
    let fields = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            schema,
            strict,
        } => Fields::new()
            .with("name", name)
            .with_some("description", description.as_ref())
            .with(
                "input_schema",
                raw_object(schema.as_deref().unwrap_or(NO_ARGUMENTS)),
            )
            .with_some("strict", strict.filter(|&strict| strict)),
        ToolKind::Vendor(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
    };
    let fields = fields.with_beside(tool.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

/// The schema of a function without arguments; this protocol demands one.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

fn tool_choice(options: &GenerationOptions) -> Option<Fields<'_>> {
    let one_at_once = options.parallel_tool_calls == Some(false);
    let fields = match &options.tool_choice {
        None if !one_at_once => return None,
        None | Some(ToolChoice::Auto) => Fields::new().with("type", "auto"),
        Some(ToolChoice::None) => return Some(Fields::new().with("type", "none")),
        Some(ToolChoice::Required) => Fields::new().with("type", "any"),
        Some(ToolChoice::Named(name)) => Fields::new().with("type", "tool").with("name", name),
    };
    let parallel = options.parallel_tool_calls;
    Some(fields.with_some(
        "disable_parallel_tool_use",
        parallel.map(|parallel| !parallel),
    ))
}

/// The vendor takes no demand for a tool beside one to think.
fn may_think(options: &GenerationOptions, depth: ReasoningDepth) -> bool {
    let forced = matches!(
        options.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    !forced || depth == ReasoningDepth::Off
}

fn thinking(depth: ReasoningDepth) -> Fields<'static> {
    match depth {
        ReasoningDepth::Off => Fields::new().with("type", "disabled"),
        ReasoningDepth::Budget(tokens) => Fields::new()
            .with("type", "enabled")
            .with("budget_tokens", tokens.0),
        _ => Fields::new().with("type", "adaptive"),
    }
}

fn output_config(options: &GenerationOptions) -> Option<Fields<'_>> {
    let effort = match options.reasoning {
        Some(ReasoningDepth::Minimal | ReasoningDepth::Low) => Some("low"),
        Some(ReasoningDepth::Medium) => Some("medium"),
        Some(ReasoningDepth::High) => Some("high"),
        Some(ReasoningDepth::Max) => Some("max"),
        None | Some(ReasoningDepth::Off | ReasoningDepth::Auto | ReasoningDepth::Budget(_)) => None,
    };
    let format = match &options.response_format {
        ResponseFormat::JsonSchema(schema) => Some(
            Fields::new()
                .with("type", "json_schema")
                .with("schema", raw_object(&schema.schema)),
        ),
        ResponseFormat::Text | ResponseFormat::JsonObject => None,
    };
    let fields = Fields::new()
        .with_some("effort", effort)
        .with_some("format", format);
    (!fields.is_empty()).then_some(fields)
}
