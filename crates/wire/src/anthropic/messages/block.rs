//! Blocks as both requests and answers have them.

use domain::{Content, Media, Part, Reasoning, Source, ToolResult};

use super::PROTOCOL;
use crate::json::{Fields, Json, has_beside, list, raw_object};

/// The block that a part is; `None` where this protocol has none for it, or it would be empty,
/// which this protocol forbids.
pub(super) fn block(part: &Part) -> Option<Fields<'_>> {
    let fields = match &part.content {
        Content::Text(text) | Content::Refusal(text) if text.is_empty() => return None,
        Content::Text(text) | Content::Refusal(text) => {
            Fields::new().with("type", "text").with("text", text)
        }
        Content::Image(media) => Fields::new()
            .with("type", "image")
            .with("source", source(media, "image/png")),
        Content::File(media) => Fields::new()
            .with("type", "document")
            .with("source", source(media, "application/pdf"))
            .with_some("title", media.name.as_ref()),
        Content::ToolCall(call) => Fields::new()
            .with("type", "tool_use")
            .with("id", &call.id)
            .with("name", &call.name)
            .with("input", raw_object(&call.arguments)),
        Content::ToolResult(result) => tool_result(result),
        Content::Reasoning(reasoning) => return reasoning_block(reasoning),
        Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
        Content::Audio(_) => return None,
    };
    let fields = fields.with_beside(part.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

/// Thoughts are worth something to this protocol's vendor only under its own seal.
fn reasoning_block(reasoning: &Reasoning) -> Option<Fields<'_>> {
    let seal = reasoning.signature.as_ref();
    let seal = seal.filter(|seal| seal.protocol == PROTOCOL);
    match (seal, reasoning.is_redacted) {
        (Some(seal), true) => Some(
            Fields::new()
                .with("type", "redacted_thinking")
                .with("data", &seal.text),
        ),
        (Some(seal), false) => Some(
            Fields::new()
                .with("type", "thinking")
                .with("thinking", &reasoning.text)
                .with("signature", &seal.text),
        ),
        (None, _) => None,
    }
}

fn source<'a>(media: &'a Media, otherwise: &'a str) -> Fields<'a> {
    match &media.source {
        Source::Base64(data) => Fields::new()
            .with("type", "base64")
            .with(
                "media_type",
                media.media_type.as_deref().unwrap_or(otherwise),
            )
            .with("data", data),
        Source::Url(url) => Fields::new().with("type", "url").with("url", url),
        Source::Upload(id) => Fields::new().with("type", "file").with("file_id", id),
    }
}

fn tool_result(result: &ToolResult) -> Fields<'_> {
    let fields = Fields::new()
        .with("type", "tool_result")
        .with("tool_use_id", &result.call_id)
        .with("content", content(&result.parts));
    match result.is_error {
        true => fields.with("is_error", true),
        false => fields,
    }
}

/// A content: a string where it is one text with nothing beside it, and blocks otherwise.
pub(super) fn content(parts: &[Part]) -> Json<'_> {
    match parts {
        [only] if !has_beside(only, PROTOCOL) => match &only.content {
            Content::Text(text) => text.into(),
            _ => list(block(only)),
        },
        parts => list(parts.iter().filter_map(block)),
    }
}
