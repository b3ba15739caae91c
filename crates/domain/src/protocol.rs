//! The protocols in which models are asked.

use std::fmt;

/// A protocol that clients speak to us and we to vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's chat completions, which many servers speak.
    OpenAiChat,
    /// OpenAI's responses.
    OpenAiResponses,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`, of AI Studio and Vertex.
    Google,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Google,
    ];

    /// Its name in messages to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "OpenAI chat",
            Self::OpenAiResponses => "OpenAI responses",
            Self::Anthropic => "Anthropic messages",
            Self::Google => "Google generateContent",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// JSON that only tiers and clients of one protocol can make something of: fields that the domain
/// knows nothing of, or a whole part. It is handed on to them untouched and to nobody else. Its
/// `Debug` shows a length only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Opaque {
    /// Who understands it.
    pub protocol: Protocol,
    /// A JSON object as text.
    pub json: String,
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({:?}, {} bytes)", self.protocol, self.json.len())
    }
}
