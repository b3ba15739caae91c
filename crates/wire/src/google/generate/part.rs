//! Parts as both requests and answers have them.

use std::borrow::Cow;

use domain::{Content, Media, Part, Reasoning, Signature, Source, ToolCall, ToolResult};
use serde_json::{Map, Value};

use super::message::media;
use super::{NAMELESS, PROTOCOL};
use crate::google::renamed;
use crate::json::{Fields, Json, list, raw, raw_object};
use crate::map;

/// The part that these fields are; one of a kind that is not known is this protocol's own.
/// `nameless` gives a name to a call that has none.
pub(super) fn read_known(
    mut fields: Map<String, Value>,
    nameless: impl FnOnce() -> String,
) -> Part {
    let seal = fields.get("thoughtSignature").and_then(Value::as_str);
    let seal = seal.map(|text| Signature {
        protocol: PROTOCOL,
        text: text.to_owned(),
    });
    let content = if fields.contains_key("text") {
        let is_thought = fields.get("thought") == Some(&Value::Bool(true));
        let text = map::take_text(&mut fields, "text");
        if is_thought {
            fields.shift_remove("thought");
            fields.shift_remove("thoughtSignature");
            Content::Reasoning(Reasoning {
                text,
                signature: seal,
                is_redacted: false,
            })
        } else {
            Content::Text(text)
        }
    } else if fields.contains_key("functionCall") {
        fields.shift_remove("thoughtSignature");
        let mut call = map::take_object(&mut fields, "functionCall");
        Content::ToolCall(ToolCall {
            id: map::take_some_text(&mut call, "id").unwrap_or_else(nameless),
            name: map::take_text(&mut call, "name"),
            arguments: crate::json::text(&map::take_object(&mut call, "args")),
            signature: seal,
        })
    } else if fields.contains_key("inlineData") {
        let mut data = renamed(map::take_object(&mut fields, "inlineData"));
        let bytes = Source::Base64(map::take_text(&mut data, "data"));
        let name = map::take_some_text(&mut data, "displayName");
        media(bytes, map::take_some_text(&mut data, "mimeType"), name)
    } else if fields.contains_key("fileData") {
        let mut data = renamed(map::take_object(&mut fields, "fileData"));
        let address = Source::Url(map::take_text(&mut data, "fileUri"));
        let name = map::take_some_text(&mut data, "displayName");
        media(address, map::take_some_text(&mut data, "mimeType"), name)
    } else {
        return Part::new(Content::Opaque(map::whole(PROTOCOL, &fields)));
    };
    Part {
        content,
        beside: map::rest(PROTOCOL, fields),
    }
}

/// What of a part's name a request may tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// The names of calls are told: they are this protocol's own.
    Told,
    /// They are not: Vertex takes none.
    Left,
}

impl Ids {
    fn of(self, id: &str) -> Option<&str> {
        (self == Self::Told && !id.starts_with(NAMELESS)).then_some(id)
    }
}

/// The part of a request or an answer; `None` where this protocol has none for it.
/// `name_of` finds the name of the function that a result is from.
pub(super) fn part<'a>(
    part: &'a Part,
    ids: Ids,
    name_of: &dyn Fn(&'a ToolResult) -> &'a str,
) -> Option<Fields<'a>> {
    let fields = match &part.content {
        Content::Text(text) | Content::Refusal(text) => Fields::new().with("text", text),
        Content::Image(media) => at(media, "image/png", ids),
        Content::Audio(media) => at(media, "audio/wav", ids),
        Content::File(media) => at(media, "application/pdf", ids),
        Content::ToolCall(call) => tool_call(call, ids),
        Content::ToolResult(result) => {
            let name = name_of(result);
            Fields::new().with("functionResponse", response(result, name, ids))
        }
        Content::Reasoning(reasoning) => Fields::new()
            .with("text", &reasoning.text)
            .with("thought", true)
            .with_some("thoughtSignature", own_seal(reasoning.signature.as_ref())),
        Content::Opaque(opaque) => Fields::new().with_beside(Some(opaque), PROTOCOL),
    };
    let fields = fields.with_beside(part.beside.as_ref(), PROTOCOL);
    (!fields.is_empty()).then_some(fields)
}

fn own_seal(signature: Option<&Signature>) -> Option<&String> {
    let own = signature.filter(|signature| signature.protocol == PROTOCOL);
    own.map(|signature| &signature.text)
}

fn tool_call(call: &ToolCall, ids: Ids) -> Fields<'_> {
    let function = Fields::new()
        .with_some("id", ids.of(&call.id))
        .with("name", &call.name)
        .with("args", raw_object(&call.arguments));
    Fields::new()
        .with("functionCall", function)
        .with_some("thoughtSignature", own_seal(call.signature.as_ref()))
}

fn at<'a>(media: &'a Media, otherwise: &'a str, ids: Ids) -> Fields<'a> {
    let media_type = media.media_type.as_deref();
    // AI Studio takes no names.
    let name = media.name.as_ref().filter(|_| ids == Ids::Told);
    match &media.source {
        Source::Base64(data) => {
            let data = Fields::new()
                .with("mimeType", media_type.unwrap_or(otherwise))
                .with("data", data)
                .with_some("displayName", name);
            Fields::new().with("inlineData", data)
        }
        Source::Url(url) | Source::Upload(url) => {
            let data = Fields::new()
                .with_some("mimeType", media_type)
                .with("fileUri", url)
                .with_some("displayName", name);
            Fields::new().with("fileData", data)
        }
    }
}

/// What a function gave back, which this protocol wants to be an object: one that is another
/// thing becomes the object's `result`, or its `error`.
fn response<'a>(result: &'a ToolResult, name: &'a str, ids: Ids) -> Fields<'a> {
    let is_text = |part: &&Part| matches!(part.content, Content::Text(_) | Content::Refusal(_));
    let texts = result
        .parts
        .iter()
        .filter(is_text)
        .map(|part| match &part.content {
            Content::Text(text) | Content::Refusal(text) => text.as_str(),
            _ => "",
        });
    let texts: Vec<&str> = texts.collect();
    let response = match texts.as_slice() {
        [] => Json::Object(Fields::new()),
        [only] if only.trim_start().starts_with('{') && raw(only).is_some() => raw_object(only),
        [only] => as_result(Cow::Borrowed(only), result.is_error),
        texts => as_result(Cow::Owned(texts.join("\n")), result.is_error),
    };
    let media = result.parts.iter().filter(|part| !is_text(part));
    let media: Vec<Json<'_>> = media
        .filter_map(|media| part(media, ids, &|_| ""))
        .map(Json::from)
        .collect();
    Fields::new()
        .with_some("id", ids.of(&result.call_id))
        .with("name", name)
        .with("response", response)
        .with_some("parts", (!media.is_empty()).then(|| list(media)))
}

fn as_result(text: Cow<'_, str>, is_error: bool) -> Json<'_> {
    let name = if is_error { "error" } else { "result" };
    Fields::new().with(name, text).into()
}
