//! What messages and completions are made of.

use std::borrow::Cow;
use std::fmt;

use crate::protocol::{Opaque, Protocol};

/// One piece of a message or a completion. Its `Debug` shows lengths only, as do those of all
/// types in it, so that none can reach a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// Fields beside it that only one protocol understands, for example a mark where a vendor's
    /// prompt cache shall end.
    pub beside: Option<Opaque>,
}

/// What a part is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// Text.
    Text(String),
    /// The words in which a model declines to answer.
    Refusal(String),
    /// A picture.
    Image(Media),
    /// Something spoken or played.
    Audio(Media),
    /// A document, such as a PDF.
    File(Media),
    /// The model asks for a tool to be called.
    ToolCall(ToolCall),
    /// What a tool gave back.
    ToolResult(ToolResult),
    /// What the model thought before it answered.
    Reasoning(Reasoning),
    /// A whole part that only one protocol knows.
    Opaque(Opaque),
}

/// A picture, sound or document.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Media {
    /// Where its bytes are.
    pub source: Source,
    /// The type of its bytes, for example `image/png`, where it is known.
    pub media_type: Option<String>,
    /// Its file name or title, where it has one.
    pub name: Option<String>,
}

/// Where the bytes of a [`Media`] are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// At an address that the vendor fetches it from.
    Url(String),
    /// Here, in the base64 of RFC 4648, section 4: the form in which every protocol carries them.
    Base64(String),
    /// At the vendor, under a name that it gave to an upload.
    Upload(String),
}

/// A model's wish that a tool be called.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ToolCall {
    /// The call's name, by which its result refers to it.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model wrote them: meant to be a JSON object, and not checked to be.
    pub arguments: String,
    /// Proof that the call is the vendor's own, to be handed back with it.
    pub signature: Option<Signature>,
}

/// What a tool gave back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToolResult {
    /// The call's name.
    pub call_id: String,
    /// The tool's name, where the protocol tells it.
    pub name: Option<String>,
    /// The result.
    pub parts: Vec<Part>,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// What a model thought before it answered.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reasoning {
    /// The thoughts or a summary of them; empty where the vendor keeps them to itself.
    pub text: String,
    /// Proof that they are the vendor's own, or the thoughts themselves, encrypted.
    pub signature: Option<Signature>,
    /// Whether the vendor keeps the thoughts back because of what they say; the signature is all
    /// there is then.
    pub is_redacted: bool,
}

/// A vendor's seal. It is worth something to that vendor alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The protocol in which it came, and in which alone it may be handed back.
    pub protocol: Protocol,
    /// The seal as text.
    pub text: String,
}

impl Part {
    /// A part with nothing beside it.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self {
            content,
            beside: None,
        }
    }

    /// A part of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }

    /// The bytes of all that a model reads of it: with byte-level tokenizers an upper bound of the
    /// tokens in text. For media it counts what the request carries of them, which bounds
    /// nothing: vendors count pictures by their size and documents by their pages.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.content.size_bytes() + self.beside.as_ref().map_or(0, |beside| beside.json.len())
    }
}

impl Content {
    /// What it is, in a word for messages to people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Refusal(_) => "a refusal",
            Self::Image(_) => "an image",
            Self::Audio(_) => "audio",
            Self::File(_) => "a file",
            Self::ToolCall(_) => "a tool call",
            Self::ToolResult(_) => "a tool result",
            Self::Reasoning(_) => "reasoning",
            Self::Opaque(_) => "a part of one vendor's own",
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Refusal(text) => text.len(),
            Self::Image(media) | Self::Audio(media) | Self::File(media) => {
                media.source.text().len()
            }
            Self::ToolCall(call) => call.size_bytes(),
            Self::ToolResult(result) => {
                let parts: usize = result.parts.iter().map(Part::size_bytes).sum();
                result.call_id.len() + parts
            }
            Self::Reasoning(reasoning) => {
                let signature = reasoning.signature.as_ref().map_or(0, |it| it.text.len());
                reasoning.text.len() + signature
            }
            Self::Opaque(opaque) => opaque.json.len(),
        }
    }
}

impl ToolCall {
    /// The bytes of all its texts.
    pub(crate) fn size_bytes(&self) -> usize {
        let signature = self.signature.as_ref().map_or(0, |it| it.text.len());
        self.id.len() + self.name.len() + self.arguments.len() + signature
    }
}

impl Source {
    fn text(&self) -> &str {
        let (Self::Url(text) | Self::Base64(text) | Self::Upload(text)) = self;
        text
    }
}

/// The text of these parts, refusals included, one after the other with this separator between.
/// Parts that are none are left out.
pub(crate) fn text_of<'a>(parts: &'a [Part], separator: &str) -> Cow<'a, str> {
    let mut texts = parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(only), None) => Cow::Borrowed(only),
        (Some(first), Some(second)) => {
            let rest = texts.flat_map(|text| [separator, text]);
            Cow::Owned([first, separator, second].into_iter().chain(rest).collect())
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.kind(), self.size_bytes())
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({} bytes)", self.source.text().len())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.text().len())
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToolCall({} bytes)", self.arguments.len())
    }
}

impl fmt::Debug for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reasoning({} bytes)", self.text.len())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signature({:?}, {} bytes)",
            self.protocol,
            self.text.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_parts_is_all_their_text_in_order() {
        let call = ToolCall {
            id: "c1".into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: None,
        };
        let parts = [
            Part::text("a"),
            Part::new(Content::ToolCall(call)),
            Part::text("b"),
            Part::new(Content::Refusal("c".into())),
        ];
        assert_eq!(text_of(&parts, ""), "abc");
        assert_eq!(text_of(&parts, "\n"), "a\nb\nc");
        assert!(matches!(text_of(&parts[..2], "\n"), Cow::Borrowed("a")));
        assert_eq!(text_of(&[], "\n"), "");
    }

    #[test]
    fn debug_shows_lengths_only() {
        let secret = || "geheim".to_owned();
        let reasoning = Reasoning {
            text: secret(),
            signature: Some(Signature {
                protocol: Protocol::Anthropic,
                text: secret(),
            }),
            is_redacted: false,
        };
        let media = Media {
            source: Source::Base64(secret()),
            media_type: None,
            name: Some(secret()),
        };
        let result = ToolResult {
            call_id: secret(),
            name: None,
            parts: vec![Part::text("geheim")],
            is_error: false,
        };
        let contents = [
            Content::Reasoning(reasoning),
            Content::Image(media),
            Content::ToolResult(result.clone()),
        ];
        let shown = format!("{contents:?} {:?}", result.parts);
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
