//! What goes in: messages and prompts.

use std::borrow::Cow;
use std::fmt;

use crate::part::{Content, Part, text_of};
use crate::protocol::Opaque;
use crate::tool::Tool;

/// Who speaks in a message. What a tool gave back is a part of what the user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The operator's instructions.
    System,
    /// The person or document to be answered.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The role's name in every chat protocol and chat template.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation. Its `Debug` shows lengths only, so that it can't reach a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Fields of the message that only one protocol understands.
    pub beside: Option<Opaque>,
}

impl Message {
    /// A message of this role that is text alone.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self::of_parts(role, vec![Part::text(text)])
    }

    /// A message of this role and these parts.
    #[must_use]
    pub fn of_parts(role: Role, parts: Vec<Part>) -> Self {
        Self {
            role,
            parts,
            beside: None,
        }
    }

    /// Its text, a line break between two parts of it; parts that are none are left out.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        text_of(&self.parts, "\n")
    }

    /// The bytes of its parts, as [`Part::size_bytes`] counts them.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(Part::size_bytes).sum();
        parts + self.beside.as_ref().map_or(0, |beside| beside.json.len())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.role.as_str(), self.size_bytes())
    }
}

/// What a tier is asked: a conversation that ends with the turn to be answered, and the tools
/// that the model may ask for; or a text to be continued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prompt {
    /// The turns in order; of a text to be continued, that text as one turn of the user.
    pub messages: Vec<Message>,
    /// The tools; usually none.
    pub tools: Vec<Tool>,
    /// What is to be written after it.
    pub kind: PromptKind,
}

/// What is to be written after a prompt. Its `Debug` shows lengths only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum PromptKind {
    /// The next turn of a conversation.
    #[default]
    Conversation,
    /// What follows a text.
    Text {
        /// What stands behind the gap to be filled; `None` where the text has no end yet.
        suffix: Option<String>,
    },
}

impl fmt::Debug for PromptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation => f.write_str("conversation"),
            Self::Text { suffix } => {
                let bytes = suffix.as_ref().map_or(0, String::len);
                write!(f, "text(suffix of {bytes} bytes)")
            }
        }
    }
}

impl Prompt {
    /// A conversation without tools.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// A text to be continued, up to `suffix` where that is given.
    #[must_use]
    pub fn of_text(text: impl Into<String>, suffix: Option<String>) -> Self {
        Self {
            kind: PromptKind::Text { suffix },
            ..Self::new(vec![Message::new(Role::User, text)])
        }
    }

    /// What stands behind the gap to be filled, where there is one.
    #[must_use]
    pub fn suffix(&self) -> Option<&str> {
        match &self.kind {
            PromptKind::Text { suffix } => suffix.as_deref(),
            PromptKind::Conversation => None,
        }
    }

    /// The number of bytes of all contents and tools: with byte-level tokenizers an upper bound of
    /// the tokens in them, as far as they are text (see [`Part::size_bytes`]).
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        let messages: usize = self.messages.iter().map(Message::size_bytes).sum();
        let tools: usize = self.tools.iter().map(Tool::size_bytes).sum();
        messages + tools + self.suffix().map_or(0, str::len)
    }

    /// How many of its parts have tokens that their bytes say nothing about: pictures, sounds and
    /// files, which may lie elsewhere or be packed, and what one vendor alone understands. Those
    /// within the results of tools count.
    #[must_use]
    pub fn media_parts(&self) -> usize {
        fn of(parts: &[Part]) -> usize {
            let each = parts.iter().map(|part| match &part.content {
                Content::Image(_) | Content::Audio(_) | Content::File(_) | Content::Opaque(_) => 1,
                Content::ToolResult(result) => of(&result.parts),
                _ => 0,
            });
            each.sum()
        }
        self.messages.iter().map(|message| of(&message.parts)).sum()
    }

    /// The first thing in it that is not text, for tiers that read nothing else: what it is, and
    /// where, as `messages[1]` or `tools`. `None` for a conversation in text alone. A model's
    /// reasoning is passed over: leaving it out takes nothing from what was said.
    #[must_use]
    pub fn beyond_text(&self) -> Option<(&'static str, String)> {
        if !self.tools.is_empty() {
            return Some(("a tool", "tools".to_owned()));
        }
        self.first_beyond(&is_text)
    }

    /// As [`Self::beyond_text`], for tiers that call tools and read in text what those gave back.
    #[must_use]
    pub fn beyond_tools(&self) -> Option<(&'static str, String)> {
        self.first_beyond(&|part| match &part.content {
            Content::ToolCall(_) => true,
            Content::ToolResult(result) => result.parts.iter().all(is_text),
            _ => is_text(part),
        })
    }

    fn first_beyond(&self, is_within: &dyn Fn(&Part) -> bool) -> Option<(&'static str, String)> {
        let mut messages = self.messages.iter().enumerate();
        messages.find_map(|(index, message)| {
            let other = message.parts.iter().find(|part| !is_within(part))?;
            Some((other.content.kind(), format!("messages[{index}]")))
        })
    }
}

fn is_text(part: &Part) -> bool {
    matches!(
        part.content,
        Content::Text(_) | Content::Refusal(_) | Content::Reasoning(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::{Media, Source};

    #[test]
    fn what_is_not_text_is_found_by_place() {
        let text = Message::new(Role::User, "x");
        let image = Part::new(Content::Image(Media {
            source: Source::Url("https://example.org/a.png".into()),
            media_type: None,
            name: None,
        }));
        let with_image = Message::of_parts(Role::User, vec![Part::text("x"), image]);
        assert_eq!(Prompt::new(vec![text.clone()]).beyond_text(), None);
        let mut prompt = Prompt::new(vec![text, with_image]);
        let image = Some(("an image", "messages[1]".to_owned()));
        assert_eq!(prompt.beyond_text(), image);
        prompt.tools = vec![Tool::new("f", "{}")];
        assert_eq!(prompt.beyond_text(), Some(("a tool", "tools".to_owned())));
        assert_eq!(prompt.beyond_tools(), image);
        prompt.messages.truncate(1);
        assert_eq!(prompt.beyond_tools(), None);
    }
}
