//! How a completion shall be written.

use std::fmt;

use crate::tokens::CompletionTokens;
use crate::tool::ToolChoice;

/// How a tier shall write.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The most tokens to write.
    pub max_completion_tokens: CompletionTokens,
    /// Sampling temperature, 0 (always the likeliest token) to 2.
    pub temperature: f32,
    /// Seed of the sampling; the same seed gives the same text on a local tier.
    pub seed: u64,
    /// Texts at which writing stops; they are not part of the completion.
    pub stop: Vec<String>,
    /// What is asked beyond.
    pub options: GenerationOptions,
}

impl Generation {
    /// At most so many tokens, always the likeliest, and nothing asked beyond.
    #[must_use]
    pub fn new(max_completion_tokens: CompletionTokens) -> Self {
        Self {
            max_completion_tokens,
            temperature: 0.0,
            seed: 0,
            stop: Vec::new(),
            options: GenerationOptions::default(),
        }
    }
}

/// What may be asked of a completion and usually is not; `None` leaves it to the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationOptions {
    /// Sample from the likeliest tokens that have this probability together, above 0 to 1.
    pub top_p: Option<f32>,
    /// Sample from so many of the likeliest tokens.
    pub top_k: Option<u32>,
    /// Sample from the tokens that have at least this share of the likeliest one's probability,
    /// 0 to 1.
    pub min_p: Option<f32>,
    /// Taken from a token's logit for each time that it was written, -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// Taken from the logit of each token that was written, -2 to 2.
    pub presence_penalty: Option<f32>,
    /// Added to the logits of these tokens, by the model's own numbers for them, -100 to 100.
    pub logit_bias: Vec<(u32, f32)>,
    /// The log-probability of each token written, with those of so many of the likeliest tokens
    /// at its place (0 for the written one's alone). `None` for no log-probabilities.
    pub logprobs: Option<u32>,
    /// How many completions of the prompt to write, at least 2; `None` for one.
    pub completions: Option<u32>,
    /// Whether tools are called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether more than one tool may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub response_format: ResponseFormat,
    /// How much to think before answering.
    pub reasoning: Option<ReasoningDepth>,
}

impl GenerationOptions {
    /// The name of the first option that makes a difference, for tiers that know none of them:
    /// in OpenAI's words, and without those about tools, which make none where there are no
    /// tools. `None` when a plain completion is all that is asked.
    #[must_use]
    pub fn beyond_plain(&self) -> Option<&'static str> {
        let format = self.response_format != ResponseFormat::Text;
        let format = format.then_some("response_format");
        let several = self.asks_for_several().then_some("n");
        let logprobs = self.logprobs.map(|_| "logprobs");
        let own = self.sampling().or(format).or(several).or(logprobs);
        own.or(self.beyond_sampling())
    }

    /// As [`Self::beyond_plain`], for tiers that write by every rule, in every form and as often
    /// as is asked, and tell every probability.
    #[must_use]
    pub fn beyond_sampling(&self) -> Option<&'static str> {
        let thinks = |depth| !matches!(depth, ReasoningDepth::Off | ReasoningDepth::Auto);
        let reasoning = self.reasoning.filter(|depth| thinks(*depth));
        reasoning.map(|_| "reasoning_effort")
    }

    /// Whether more than one completion is asked for.
    #[must_use]
    pub fn asks_for_several(&self) -> bool {
        self.completions.is_some_and(|completions| completions > 1)
    }

    /// The first rule of sampling that makes a difference.
    fn sampling(&self) -> Option<&'static str> {
        let other_than = |value: Option<f32>, neutral: f32| value.is_some_and(|it| it != neutral);
        let asked = [
            ("top_p", other_than(self.top_p, 1.0)),
            ("top_k", self.top_k.is_some_and(|top_k| top_k != 0)),
            ("min_p", other_than(self.min_p, 0.0)),
            ("frequency_penalty", other_than(self.frequency_penalty, 0.0)),
            ("presence_penalty", other_than(self.presence_penalty, 0.0)),
            ("logit_bias", !self.logit_bias.is_empty()),
        ];
        let first = asked.iter().find(|(_, is_asked)| *is_asked);
        first.map(|(name, _)| *name)
    }
}

/// The form that an answer shall have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResponseFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema.
    JsonSchema(AnswerSchema),
}

/// The schema of an answer. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AnswerSchema {
    /// The schema's name, where the protocol has one.
    pub name: Option<String>,
    /// What the answer is for.
    pub description: Option<String>,
    /// The JSON Schema as text.
    pub schema: String,
    /// Whether the answer shall match it exactly.
    pub strict: Option<bool>,
}

impl fmt::Debug for AnswerSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerSchema({} bytes)", self.schema.len())
    }
}

/// How much a model shall think before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasoningDepth {
    /// Not at all.
    Off,
    /// As much as the model sees fit.
    Auto,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// As much as is usual.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Max,
    /// At most so many tokens of thought.
    Budget(CompletionTokens),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_named_where_it_makes_a_difference() {
        let neutral = GenerationOptions {
            top_p: Some(1.0),
            presence_penalty: Some(0.0),
            tool_choice: Some(ToolChoice::Auto),
            reasoning: Some(ReasoningDepth::Off),
            ..GenerationOptions::default()
        };
        assert_eq!(neutral.beyond_plain(), None);
        let asked = GenerationOptions {
            logprobs: Some(0),
            ..neutral
        };
        assert_eq!(asked.beyond_plain(), Some("logprobs"));
        assert_eq!(asked.beyond_sampling(), None);
        let several = GenerationOptions {
            completions: Some(2),
            ..GenerationOptions::default()
        };
        assert_eq!(several.beyond_plain(), Some("n"));
    }
}
