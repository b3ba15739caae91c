//! Inward: what a client asks, whatever its protocol.

use domain::{CompletionTokens, Generation, GenerationOptions, Prompt};

use super::extra::Extra;

/// Most completions of one prompt that a client may ask for: they take places in a queue that
/// others wait in too.
pub(crate) const COMPLETIONS_MAX: u64 = 16;

/// A client's request, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// What the client asks to be answered by.
    pub model: String,
    /// The conversation.
    pub prompt: Prompt,
    /// How to write, as far as the client says.
    pub generation: RequestedGeneration,
    /// Whether the answer is streamed.
    pub delivery: Delivery,
    /// Whether a stream ends with the usage.
    pub stream_usage: StreamUsage,
    /// What only a tier of this protocol can make something of.
    pub extra: Extra,
}

/// How the answer shall come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As a stream of events.
    Streamed,
}

/// Whether the client asked for the usage at the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamUsage {
    /// It asked.
    Asked,
    /// It did not ask.
    NotAsked,
}

/// The part of a [`Generation`] that a client laid down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestedGeneration {
    /// The most tokens to write; at least 1.
    pub max_completion_tokens: Option<CompletionTokens>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f32>,
    /// Seed of the sampling; a negative one stands as its two's complement.
    pub seed: Option<u64>,
    /// Texts at which writing stops.
    pub stop: Vec<String>,
    /// What is asked beyond.
    pub options: GenerationOptions,
}

impl RequestedGeneration {
    /// The generation with what the client left open taken from `defaults`.
    #[must_use]
    pub fn or(&self, defaults: &Generation) -> Generation {
        let stop = if self.stop.is_empty() {
            &defaults.stop
        } else {
            &self.stop
        };
        Generation {
            max_completion_tokens: self
                .max_completion_tokens
                .unwrap_or(defaults.max_completion_tokens),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            seed: self.seed.unwrap_or(defaults.seed),
            stop: stop.clone(),
            options: self.options.clone(),
        }
    }
}
