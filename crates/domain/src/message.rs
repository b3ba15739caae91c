//! What goes in: messages and prompts.

use std::fmt;

/// Who speaks in a message.
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
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of this role.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.role.as_str(), self.content.len())
    }
}

/// What a tier is asked: a conversation that ends with the turn to be answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prompt {
    /// The turns in order.
    pub messages: Vec<Message>,
}

impl Prompt {
    /// The number of bytes of all contents: with byte-level tokenizers an upper bound of the
    /// tokens in them.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.messages
            .iter()
            .map(|message| message.content.len())
            .sum()
    }
}
