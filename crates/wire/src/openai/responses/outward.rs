//! Outward: the request as a vendor gets it.

use domain::{
    Content, GenerationOptions, Media, Message, Part, ResponseFormat, Role, Source, Tool,
    ToolChoice, ToolKind, ToolResult,
};
use serde_json::{Map, Value};

use super::PROTOCOL;
use super::item::{call_item, reasoning_item};
use super::request::LOGPROBS;
use crate::chat::{Delivery, OutwardRequest, Sampling};
use crate::json::{Fields, Json, has_beside, list, raw_object};
use crate::openai::chat::{address, answer_schema, effort};

/// The body of a request as JSON. The vendor is asked to keep nothing, unless the client's
/// request of this protocol says otherwise.
#[must_use]
pub fn encode_request(request: &OutwardRequest<'_>) -> String {
    let generation = request.generation;
    let options = &generation.options;
    let extra = request.extra.and_then(|extra| extra.fields(PROTOCOL));
    let (instructions, messages) = match request.prompt.messages.split_first() {
        Some((first, rest)) if is_instruction(first) && !rest.is_empty() => (Some(first), rest),
        _ => (None, request.prompt.messages.as_slice()),
    };
    let mut body = Fields::new()
        .with("model", request.model)
        .with_some("instructions", instructions.map(Message::text))
        .with("input", input(messages))
        .with("max_output_tokens", generation.max_completion_tokens.0)
        .with("store", false);
    if request.dialect.sampling == Sampling::Sent {
        body = body
            .with("temperature", generation.temperature)
            .with_some("top_p", options.top_p);
    }
    let text = text(options).with_owned(nested(extra, "text."));
    let reasoning = options.reasoning.and_then(effort);
    let reasoning = reasoning.map(|effort| Fields::new().with("effort", effort));
    body = tools(body, request)
        .with_some("text", (!text.is_empty()).then_some(text))
        .with_some("reasoning", reasoning);
    if let Some(top) = options.logprobs {
        body = body
            .with("top_logprobs", top)
            .with("include", list([LOGPROBS]));
    }
    if request.delivery == Delivery::Streamed {
        body = body.with("stream", true);
    }
    let top = extra.into_iter().flatten();
    let top = top.filter(|(name, _)| !name.contains('.'));
    let top: Map<String, Value> = top.map(|(name, it)| (name.clone(), it.clone())).collect();
    body.with_owned(top).encode()
}

fn nested(extra: Option<&Map<String, Value>>, place: &str) -> Map<String, Value> {
    let fields = extra.into_iter().flatten();
    let here = fields
        .filter_map(|(path, value)| Some((path.strip_prefix(place)?.to_owned(), value.clone())));
    here.collect()
}

/// Whether a message can stand as the instructions, which are text alone.
fn is_instruction(message: &Message) -> bool {
    let plain = |part: &Part| matches!(part.content, Content::Text(_)) && part.beside.is_none();
    message.role == Role::System && message.beside.is_none() && message.parts.iter().all(plain)
}

/// The items of an input; a string where it is one text of the user.
fn input(messages: &[Message]) -> Json<'_> {
    match messages {
        [only] if only.role == Role::User && only.beside.is_none() => match only.parts.as_slice() {
            [part] if !has_beside(part, PROTOCOL) => match &part.content {
                Content::Text(text) => text.into(),
                _ => Json::List(items(only)),
            },
            _ => Json::List(items(only)),
        },
        messages => Json::List(messages.iter().flat_map(items).collect()),
    }
}

/// The items of a message: what is said in a row is one, and so is each call, result and thought.
fn items(message: &Message) -> Vec<Json<'_>> {
    let mut items = Vec::new();
    let mut said: Vec<&Part> = Vec::new();
    for part in &message.parts {
        let item = match &part.content {
            Content::ToolCall(call) => Some(call_item(call)),
            Content::ToolResult(result) => Some(output_item(result)),
            Content::Opaque(opaque) if message.role == Role::Assistant => {
                Some(Fields::new().with_beside(Some(opaque), PROTOCOL))
            }
            Content::Reasoning(reasoning) => {
                let sealed = reasoning.signature.as_ref().map(|seal| seal.protocol);
                let kept = part.beside.as_ref().map(|beside| beside.protocol);
                // Thoughts that the vendor can't check are worth nothing to it.
                if sealed != Some(PROTOCOL) && kept != Some(PROTOCOL) {
                    continue;
                }
                Some(reasoning_item(reasoning))
            }
            _ => None,
        };
        match item {
            None => said.push(part),
            Some(item) => {
                items.extend(message_item(message, &std::mem::take(&mut said)));
                let item = item.with_beside(part.beside.as_ref(), PROTOCOL);
                items.extend((!item.is_empty()).then(|| Json::from(item)));
            }
        }
    }
    items.extend(message_item(message, &said));
    items
}

fn message_item<'a>(message: &'a Message, parts: &[&'a Part]) -> Option<Json<'a>> {
    let content = match parts {
        [] => return None,
        [only] if !has_beside(only, PROTOCOL) => match &only.content {
            Content::Text(text) => text.into(),
            _ => list(content_part(only, message.role)),
        },
        parts => list(
            parts
                .iter()
                .filter_map(|part| content_part(part, message.role)),
        ),
    };
    // Nothing is left of what only another protocol could tell.
    if matches!(&content, Json::List(parts) if parts.is_empty()) {
        return None;
    }
    let fields = Fields::new()
        .with("role", message.role.as_str())
        .with("content", content)
        .with_beside(message.beside.as_ref(), PROTOCOL);
    Some(fields.into())
}

fn content_part(part: &Part, role: Role) -> Option<Fields<'_>> {
    let fields = match &part.content {
        Content::Text(text) if role == Role::Assistant => Fields::new()
            .with("type", "output_text")
            .with("text", text)
            .with("annotations", Vec::new()),
        Content::Text(text) => Fields::new().with("type", "input_text").with("text", text),
        Content::Refusal(text) => Fields::new().with("type", "refusal").with("refusal", text),
        Content::Image(media) => image(media),
        Content::File(media) => file(media),
        Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
        _ => return None,
    };
    let fields = fields.with_beside(part.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

fn image(media: &Media) -> Fields<'_> {
    let fields = Fields::new().with("type", "input_image");
    match &media.source {
        Source::Upload(id) => fields.with("file_id", id),
        _ => fields.with("image_url", address(media, "image/png")),
    }
}

fn file(media: &Media) -> Fields<'_> {
    let fields = Fields::new()
        .with("type", "input_file")
        .with_some("filename", media.name.as_ref());
    match &media.source {
        Source::Upload(id) => fields.with("file_id", id),
        Source::Url(url) => fields.with("file_url", url),
        Source::Base64(_) => fields.with("file_data", address(media, "application/pdf")),
    }
}

fn output_item(result: &ToolResult) -> Fields<'_> {
    let output = match result.parts.as_slice() {
        [] => "".into(),
        [
            Part {
                content: Content::Text(text),
                beside: None,
            },
        ] => text.into(),
        parts => list(
            parts
                .iter()
                .filter_map(|part| content_part(part, Role::User)),
        ),
    };
    Fields::new()
        .with("type", "function_call_output")
        .with("call_id", &result.call_id)
        .with("output", output)
}

fn tools<'a>(body: Fields<'a>, request: &OutwardRequest<'a>) -> Fields<'a> {
    let options = &request.generation.options;
    let tools = &request.prompt.tools;
    body.with_some("tools", (!tools.is_empty()).then(|| tool_list(tools)))
        .with_some("tool_choice", options.tool_choice.as_ref().map(tool_choice))
        .with_some("parallel_tool_calls", options.parallel_tool_calls)
}

/// The tools.
pub(super) fn tool_list(tools: &[Tool]) -> Json<'_> {
    list(tools.iter().filter_map(tool))
}

fn tool(tool: &Tool) -> Option<Fields<'_>> {
    let fields = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            schema,
            strict,
        } => Fields::new()
            .with("type", "function")
            .with("name", name)
            .with_some("description", description.as_ref())
            .with(
                "parameters",
                raw_object(schema.as_deref().unwrap_or(NO_ARGUMENTS)),
            )
            // Left out it would mean that the schema is to be matched exactly.
            .with("strict", strict.unwrap_or(false)),
        ToolKind::Vendor(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
    };
    let fields = fields.with_beside(tool.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

/// The schema of a function without arguments; this protocol demands one.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Whether tools are called.
pub(super) fn tool_choice(choice: &ToolChoice) -> Json<'_> {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => Fields::new()
            .with("type", "function")
            .with("name", name)
            .into(),
    }
}

/// The form of the answer.
pub(super) fn text(options: &GenerationOptions) -> Fields<'_> {
    let format = match &options.response_format {
        ResponseFormat::Text => return Fields::new(),
        ResponseFormat::JsonObject => Fields::new().with("type", "json_object"),
        ResponseFormat::JsonSchema(schema) => Fields::new()
            .with("type", "json_schema")
            .followed_by(answer_schema(schema)),
    };
    Fields::new().with("format", format)
}
