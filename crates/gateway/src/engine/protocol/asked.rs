//! What is asked of a worker.

use llama::{ChatMessage, Role, Sampling, Tool, ToolCall};
use wire::embedding::EmbeddingText;

use super::{count, sampling};
use crate::engine::codec::{Decoder, Encoder, Malformed};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) id: u64,
    /// Tenants share nothing.
    pub(crate) tenant: String,
    pub(crate) work: Work,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// Score these labels as the next message.
    Score { chat: Chat, labels: Vec<String> },
    /// Write what follows.
    Write(Box<Writing>),
    /// Say what a text is about.
    Embed(EmbeddingText),
    /// Count the tokens of a prompt.
    Count(Prompt),
    /// Say what the engine is doing and has done.
    Report,
}

/// What something is to be written after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prompt {
    /// A conversation, of which the next message is meant.
    Chat(Chat),
    /// A text, of which the continuation is meant; where there is a suffix, up to it.
    Text {
        text: String,
        suffix: Option<String>,
    },
}

/// A conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chat {
    pub(crate) messages: Vec<ChatMessage>,
    /// What the model is told that it may call.
    pub(crate) tools: Vec<Tool>,
}

/// How what follows a prompt is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Writing {
    pub(crate) prompt: Prompt,
    pub(crate) max_tokens: usize,
    pub(crate) temperature: f64,
    pub(crate) seed: u64,
    pub(crate) stop: Vec<String>,
    /// Which tokens may be chosen.
    pub(crate) rules: Sampling,
    /// Whether pieces are wanted.
    pub(crate) streams: bool,
    /// Whether the tokens themselves are wanted.
    pub(crate) tells_tokens: bool,
}

impl Asked {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.number(self.id);
        to.text(&self.tenant);
        match &self.work {
            Work::Score { chat, labels } => {
                to.byte(0);
                chat.encode(to);
                to.list(labels, |to, label| to.text(label));
            }
            Work::Write(write) => {
                to.byte(1);
                write.encode(to);
            }
            Work::Embed(text) => {
                to.byte(2);
                encode_text(text, to);
            }
            Work::Count(prompt) => {
                to.byte(3);
                prompt.encode(to);
            }
            Work::Report => to.byte(4),
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: from.number()?,
            tenant: from.text()?,
            work: match from.byte()? {
                0 => Work::Score {
                    chat: Chat::decode(from)?,
                    labels: from.list(8, Decoder::text)?,
                },
                1 => Work::Write(Box::new(Writing::decode(from)?)),
                2 => Work::Embed(decode_text(from)?),
                3 => Work::Count(Prompt::decode(from)?),
                4 => Work::Report,
                _ => return Err(Malformed),
            },
        })
    }
}

fn encode_text(text: &EmbeddingText, to: &mut Encoder) {
    match text {
        EmbeddingText::Plain(text) => {
            to.byte(0);
            to.text(text);
        }
        EmbeddingText::Tokens(tokens) => {
            to.byte(1);
            to.list(tokens, |to, token| to.number((*token).into()));
        }
    }
}

fn decode_text(from: &mut Decoder<'_>) -> Result<EmbeddingText, Malformed> {
    Ok(match from.byte()? {
        0 => EmbeddingText::Plain(from.text()?),
        1 => EmbeddingText::Tokens(from.list(8, |from| {
            u32::try_from(from.number()?).map_err(|_| Malformed)
        })?),
        _ => return Err(Malformed),
    })
}

impl Prompt {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Chat(chat) => {
                to.byte(0);
                chat.encode(to);
            }
            Self::Text { text, suffix } => {
                to.byte(1);
                to.text(text);
                to.maybe(suffix.as_ref(), |to, suffix| to.text(suffix));
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(match from.byte()? {
            0 => Self::Chat(Chat::decode(from)?),
            1 => Self::Text {
                text: from.text()?,
                suffix: from.maybe(Decoder::text)?,
            },
            _ => return Err(Malformed),
        })
    }
}

impl Chat {
    fn encode(&self, to: &mut Encoder) {
        to.list(&self.messages, |to, message| {
            to.byte(match message.role {
                Role::System => 0,
                Role::User => 1,
                Role::Tool => 3,
                _ => 2,
            });
            to.text(&message.content);
            to.list(&message.tool_calls, |to, call| {
                to.text(&call.name);
                to.object(&call.arguments);
            });
        });
        to.list(&self.tools, |to, tool| {
            to.text(&tool.name);
            to.maybe(tool.description.as_ref(), |to, text| to.text(text));
            to.text(&tool.parameters.to_string());
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let call = |from: &mut Decoder<'_>| {
            Ok(ToolCall {
                name: from.text()?,
                arguments: from.json()?,
            })
        };
        let message = |from: &mut Decoder<'_>| {
            let role = match from.byte()? {
                0 => Role::System,
                1 => Role::User,
                2 => Role::Assistant,
                3 => Role::Tool,
                _ => return Err(Malformed),
            };
            let mut message = ChatMessage::new(role, from.text()?);
            message.tool_calls = from.list(16, call)?;
            Ok(message)
        };
        let tool = |from: &mut Decoder<'_>| {
            Ok(Tool {
                name: from.text()?,
                description: from.maybe(Decoder::text)?,
                parameters: from.json()?,
            })
        };
        Ok(Self {
            messages: from.list(17, message)?,
            tools: from.list(17, tool)?,
        })
    }
}

impl Writing {
    fn encode(&self, to: &mut Encoder) {
        self.prompt.encode(to);
        to.number(self.max_tokens as u64);
        to.float(self.temperature);
        to.number(self.seed);
        to.list(&self.stop, |to, stop| to.text(stop));
        sampling::encode(&self.rules, to);
        to.byte(self.streams.into());
        to.byte(self.tells_tokens.into());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            prompt: Prompt::decode(from)?,
            max_tokens: count(from)?,
            temperature: from.float()?,
            seed: from.number()?,
            stop: from.list(8, Decoder::text)?,
            rules: sampling::decode(from)?,
            streams: from.flag()?,
            tells_tokens: from.flag()?,
        })
    }
}
