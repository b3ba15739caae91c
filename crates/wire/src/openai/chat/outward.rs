//! Outward: the request as a vendor gets it.

use domain::{Generation, Prompt};
use serde::Serialize;
use serde_json::{Map, Value};

use super::extra::Extra;
use super::request::Delivery;

/// What servers of this protocol differ in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The name of the limit of completion tokens.
    pub max_tokens: MaxTokensField,
    /// Whether sampling may be asked for.
    pub sampling: Sampling,
}

/// The name of the limit of completion tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaxTokensField {
    /// `max_completion_tokens`, the name that OpenAI's newer models demand.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`, the name that older compatible servers know.
    MaxTokens,
}

/// Whether temperature and seed are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// They are.
    #[default]
    Sent,
    /// They are left out, because the model refuses them, as OpenAI's reasoning models do.
    Omitted,
}

/// A request to a vendor.
#[derive(Clone, Copy, Debug)]
pub struct OutwardRequest<'a> {
    /// The vendor's name of the model.
    pub model: &'a str,
    /// The conversation.
    pub prompt: &'a Prompt,
    /// How to write.
    pub generation: &'a Generation,
    /// How this server differs.
    pub dialect: Dialect,
    /// How the answer shall come. A stream is always asked for its usage.
    pub delivery: Delivery,
    /// What the client's request of this protocol carries beside.
    pub extra: Option<&'a Extra>,
}

#[derive(Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    messages: Vec<MessageBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    /// OpenAI's seed is a signed number of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    extra: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct MessageBody<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(flatten)]
    extra: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl OutwardRequest<'_> {
    /// The body as JSON.
    ///
    /// # Panics
    /// When the extra has fields for messages and the prompt has not the messages of the request
    /// that they came with.
    #[must_use]
    pub fn encode(&self) -> String {
        let generation = self.generation;
        let max_tokens = Some(generation.max_completion_tokens.0);
        let (newer, older) = match self.dialect.max_tokens {
            MaxTokensField::MaxCompletionTokens => (max_tokens, None),
            MaxTokensField::MaxTokens => (None, max_tokens),
        };
        let (temperature, seed) = match self.dialect.sampling {
            Sampling::Sent => (
                Some(generation.temperature),
                Some(generation.seed.cast_signed()),
            ),
            Sampling::Omitted => (None, None),
        };
        let (stream, stream_options) = match self.delivery {
            Delivery::Whole => (None, None),
            Delivery::Streamed => (
                Some(true),
                Some(StreamOptions {
                    include_usage: true,
                }),
            ),
        };
        crate::openai::json(&RequestBody {
            model: self.model,
            messages: self.messages(),
            max_completion_tokens: newer,
            max_tokens: older,
            temperature,
            seed,
            stop: &generation.stop,
            stream,
            stream_options,
            extra: self.extra.map(Extra::fields),
        })
    }

    fn messages(&self) -> Vec<MessageBody<'_>> {
        if let Some(extra) = self.extra {
            assert!(
                extra.has_plain_messages() || extra.message_count() == self.prompt.messages.len(),
                "the fields of messages belong to another prompt"
            );
        }
        let messages = self.prompt.messages.iter().enumerate();
        messages
            .map(|(index, message)| MessageBody {
                role: message.role.as_str(),
                content: &message.content,
                extra: self.extra.and_then(|extra| extra.of_message(index)),
            })
            .collect()
    }
}
