//! Outward: the request as a vendor gets it.

use std::borrow::Cow;

use domain::{
    AnswerSchema, Content, GenerationOptions, Media, Message, Opaque, Part, Protocol,
    ReasoningDepth, ResponseFormat, Role, Source, Tool, ToolChoice, ToolKind, ToolResult,
};

use super::encode::tool_call;
use crate::chat::{Delivery, Extra, MaxTokensField, OutwardRequest, Sampling};
use crate::json::{Fields, Json, has_beside, list, raw_object};

const PROTOCOL: Protocol = Protocol::OpenAiChat;

/// The body of a request as JSON.
#[must_use]
pub fn encode_request(request: &OutwardRequest<'_>) -> String {
    let generation = request.generation;
    let options = &generation.options;
    let max_tokens = generation.max_completion_tokens.0;
    let limit = match request.dialect.max_tokens {
        MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        MaxTokensField::MaxTokens => "max_tokens",
    };
    let come_from = request.extra.map(Extra::protocol);
    let mut body = Fields::new()
        .with("model", request.model)
        .with("messages", messages(&request.prompt.messages, come_from))
        .with(limit, max_tokens);
    if request.dialect.sampling == Sampling::Sent {
        body = sampling(body.with("temperature", generation.temperature), options)
            // OpenAI's seed is a signed number of 64 bits.
            .with("seed", generation.seed.cast_signed());
    }
    if !generation.stop.is_empty() {
        body = body.with("stop", list(&generation.stop));
    }
    let tools = &request.prompt.tools;
    body = body
        .with_some("logprobs", options.logprobs.map(|_| true))
        .with_some("top_logprobs", options.logprobs.filter(|&top| top > 0))
        .with_some(
            "tools",
            (!tools.is_empty()).then(|| list(tools.iter().filter_map(tool))),
        )
        .with_some("tool_choice", options.tool_choice.as_ref().map(tool_choice))
        .with_some("parallel_tool_calls", options.parallel_tool_calls)
        .with_some("response_format", response_format(&options.response_format))
        .with_some("reasoning_effort", options.reasoning.and_then(effort));
    if request.delivery == Delivery::Streamed {
        let stream_options = Fields::new().with("include_usage", true);
        body = body
            .with("stream", true)
            .with("stream_options", stream_options);
    }
    body.with_map(request.extra.and_then(|extra| extra.fields(PROTOCOL)))
        .encode()
}

/// The body with the rules of sampling.
pub(crate) fn sampling<'a>(body: Fields<'a>, options: &GenerationOptions) -> Fields<'a> {
    let bias = (!options.logit_bias.is_empty()).then(|| {
        let entries = options.logit_bias.iter();
        entries.fold(serde_json::Map::new(), |mut all, (token, bias)| {
            all.insert(token.to_string(), (*bias).into());
            all
        })
    });
    body.with_some("top_p", options.top_p)
        // Not OpenAI's own, but those of vLLM, SGLang and llama-server.
        .with_some("top_k", options.top_k)
        .with_some("min_p", options.min_p)
        .with_some("frequency_penalty", options.frequency_penalty)
        .with_some("presence_penalty", options.presence_penalty)
        .with_some("logit_bias", bias.map(serde_json::Value::Object))
}

/// The messages. What the model says in a row is one, unless it is known to come from this
/// protocol: in others each call of a tool may be a message of its own, and here all must stand in
/// one, with their results behind it.
fn messages<'a>(messages: &'a [Message], come_from: Option<Protocol>) -> Json<'a> {
    let joins = come_from != Some(PROTOCOL);
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for message in messages {
        let parts = message.parts.iter();
        match turns.last_mut() {
            Some(last) if joins && (last.role, message.role) == ASSISTANTS => {
                last.parts.extend(parts);
            }
            _ => turns.push(Turn {
                role: message.role,
                parts: parts.collect(),
                beside: message.beside.as_ref(),
            }),
        }
    }
    Json::List(turns.iter().flat_map(turn).collect())
}

const ASSISTANTS: (Role, Role) = (Role::Assistant, Role::Assistant);

/// What one speaker says.
struct Turn<'a> {
    role: Role,
    parts: Vec<&'a Part>,
    beside: Option<&'a Opaque>,
}

/// A turn as a message, with the results of tools before it as messages of their own. Those are
/// text alone in this protocol: the pictures and files among them are shown by the user after
/// them.
fn turn<'a>(turn: &Turn<'a>) -> Vec<Json<'a>> {
    let mut all = Vec::new();
    let mut said: Vec<&'a Part> = Vec::new();
    for part in &turn.parts {
        if let Content::ToolResult(result) = &part.content {
            all.push(tool_message(part, result));
            said.extend(result.parts.iter().filter(|part| is_media(part)));
        }
    }
    let tellable = |part: &&Part| match &part.content {
        Content::ToolResult(_) | Content::Reasoning(_) => false,
        Content::Opaque(opaque) => opaque.protocol == PROTOCOL,
        _ => true,
    };
    said.extend(turn.parts.iter().copied().filter(|part| tellable(part)));
    // Nothing is left of a message that only another protocol could tell.
    if said.is_empty() && !turn.parts.is_empty() {
        return all;
    }
    let calls = said.iter().filter_map(|part| match &part.content {
        Content::ToolCall(call) => {
            let call = tool_call(call).with_beside(part.beside.as_ref(), PROTOCOL);
            Some(Json::from(call))
        }
        _ => None,
    });
    let calls: Vec<Json<'_>> = calls.collect();
    let has_calls = !calls.is_empty();
    let refusal = refusal(turn.role, &said);
    let fields = Fields::new()
        .with("role", turn.role.as_str())
        .with("content", content(&said, has_calls || refusal.is_some()))
        .with_some("refusal", refusal)
        .with_some("tool_calls", has_calls.then_some(calls))
        .with_beside(turn.beside, PROTOCOL);
    all.push(fields.into());
    all
}

fn is_media(part: &Part) -> bool {
    matches!(
        part.content,
        Content::Image(_) | Content::Audio(_) | Content::File(_)
    )
}

fn refusal<'a>(role: Role, parts: &[&'a Part]) -> Option<&'a String> {
    let mut parts = parts.iter().filter(|_| role == Role::Assistant);
    parts.find_map(|part| match &part.content {
        Content::Refusal(text) => Some(text),
        _ => None,
    })
}

/// A content: a string where it is one text with nothing beside it, which every server
/// understands, and a list of parts otherwise.
fn content<'a>(parts: &[&'a Part], has_more: bool) -> Json<'a> {
    let plain = |part: &&&Part| {
        !matches!(
            part.content,
            Content::ToolCall(_) | Content::Reasoning(_) | Content::Refusal(_)
        )
    };
    let parts: Vec<&&Part> = parts.iter().filter(plain).collect();
    match parts.as_slice() {
        [] if has_more => Json::Null,
        [] => "".into(),
        [part] if !has_beside(part, PROTOCOL) => match &part.content {
            Content::Text(text) => text.into(),
            _ => list(content_part(part)),
        },
        parts => list(parts.iter().filter_map(|part| content_part(part))),
    }
}

fn content_part(part: &Part) -> Option<Fields<'_>> {
    let fields = match &part.content {
        Content::Text(text) => Fields::new().with("type", "text").with("text", text),
        Content::Image(media) => {
            let url = Fields::new().with("url", address(media, "image/png"));
            Fields::new()
                .with("type", "image_url")
                .with("image_url", url)
        }
        Content::Audio(media) => Fields::new()
            .with("type", "input_audio")
            .with("input_audio", audio(media)),
        Content::File(media) => Fields::new().with("type", "file").with("file", file(media)),
        Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
        Content::Refusal(_)
        | Content::ToolCall(_)
        | Content::ToolResult(_)
        | Content::Reasoning(_) => return None,
    };
    let fields = match (&part.content, &part.beside) {
        // The options of an image stand within it, as `detail` does.
        (Content::Image(media), Some(beside)) => {
            let url = Fields::new()
                .with("url", address(media, "image/png"))
                .with_beside(Some(beside), PROTOCOL);
            Fields::new()
                .with("type", "image_url")
                .with("image_url", url)
        }
        (_, beside) => fields.with_beside(beside.as_ref(), PROTOCOL),
    };
    (!fields.is_empty()).then_some(fields)
}

/// An address, which bytes have too: that of their own text.
pub(crate) fn address<'a>(media: &'a Media, otherwise: &str) -> Cow<'a, str> {
    match &media.source {
        Source::Url(url) => url.into(),
        Source::Upload(id) => id.into(),
        Source::Base64(data) => {
            let media_type = media.media_type.as_deref().unwrap_or(otherwise);
            format!("data:{media_type};base64,{data}").into()
        }
    }
}

fn audio(media: &Media) -> Fields<'_> {
    let data = match &media.source {
        Source::Base64(text) | Source::Url(text) | Source::Upload(text) => text,
    };
    let subtype = media
        .media_type
        .as_deref()
        .and_then(|it| it.split_once('/'));
    let format = match subtype {
        Some((_, "mpeg" | "mp3")) => "mp3",
        Some((_, other)) => other.trim_start_matches("x-"),
        None => "wav",
    };
    Fields::new().with("data", data).with("format", format)
}

fn file(media: &Media) -> Fields<'_> {
    let fields = Fields::new().with_some("filename", media.name.as_ref());
    match &media.source {
        Source::Upload(id) => fields.with("file_id", id),
        Source::Base64(_) | Source::Url(_) => {
            fields.with("file_data", address(media, "application/pdf"))
        }
    }
}

fn tool_message<'a>(part: &'a Part, result: &'a ToolResult) -> Json<'a> {
    let texts: Vec<&Part> = result.parts.iter().filter(|part| !is_media(part)).collect();
    let content = match texts.as_slice() {
        [] => "".into(),
        [
            Part {
                content: Content::Text(text),
                beside: None,
            },
        ] => text.into(),
        parts => list(parts.iter().filter_map(|part| content_part(part))),
    };
    Fields::new()
        .with("role", "tool")
        .with("tool_call_id", &result.call_id)
        .with("content", content)
        .with_beside(part.beside.as_ref(), PROTOCOL)
        .into()
}

fn tool(tool: &Tool) -> Option<Fields<'_>> {
    let fields = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            schema,
            strict,
        } => {
            let function = Fields::new()
                .with("name", name)
                .with_some("description", description.as_ref())
                .with_some("parameters", schema.as_deref().map(raw_object))
                .with_some("strict", *strict);
            Fields::new()
                .with("type", "function")
                .with("function", function)
        }
        ToolKind::Vendor(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
    };
    let fields = fields.with_beside(tool.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

fn tool_choice(choice: &ToolChoice) -> Json<'_> {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => Fields::new()
            .with("type", "function")
            .with("function", Fields::new().with("name", name))
            .into(),
    }
}

fn response_format(format: &ResponseFormat) -> Option<Fields<'_>> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(Fields::new().with("type", "json_object")),
        ResponseFormat::JsonSchema(schema) => Some(
            Fields::new()
                .with("type", "json_schema")
                .with("json_schema", answer_schema(schema)),
        ),
    }
}

/// A schema of answers as both of OpenAI's protocols have it. It must have a name.
pub(crate) fn answer_schema(schema: &AnswerSchema) -> Fields<'_> {
    Fields::new()
        .with("name", schema.name.as_deref().unwrap_or("answer"))
        .with_some("description", schema.description.as_ref())
        .with("schema", raw_object(&schema.schema))
        .with_some("strict", schema.strict)
}

/// The word for how much to think; `None` leaves it to the model.
pub(crate) fn effort(depth: ReasoningDepth) -> Option<&'static str> {
    Some(match depth {
        ReasoningDepth::Auto => return None,
        ReasoningDepth::Off => "none",
        ReasoningDepth::Minimal => "minimal",
        ReasoningDepth::Low => "low",
        ReasoningDepth::Medium => "medium",
        ReasoningDepth::High => "high",
        ReasoningDepth::Max => "xhigh",
        // The words mean shares of a budget; these are the bounds at which clients of both
        // protocols usually part them.
        ReasoningDepth::Budget(tokens) => match tokens.0 {
            0 => "none",
            1..=2_047 => "low",
            2_048..=8_191 => "medium",
            _ => "high",
        },
    })
}
