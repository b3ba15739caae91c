//! Continuing a prompt.

use crate::error::RequestError;
use crate::sampling::{Sampler, Sampling};
use crate::session::Session;
use crate::tokenizer::{TextStream, TokenId};
use std::ops::ControlFlow;

/// How to continue a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationOptions {
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// 0 chooses the most probable token each time; 1 follows the model's probabilities. What is
    /// below 0 or no number counts as 0.
    pub temperature: f64,
    /// With the same seed, prompt, options and model the text is the same.
    pub seed: u64,
    /// Texts that end the generation; they are not part of it.
    pub stop: Vec<String>,
}

impl Default for GenerationOptions {
    /// 256 tokens, the most probable each time.
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature: 0.0,
            seed: 0,
            stop: Vec::new(),
        }
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its answer.
    EndOfAnswer,
    /// One of [`GenerationOptions::stop`] came up.
    StopText,
    /// [`GenerationOptions::max_tokens`], or the context, is used up.
    Length,
    /// The caller said so.
    Caller,
}

/// What was generated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Generated {
    /// The text, without the stop text.
    pub text: String,
    /// The tokens chosen, with one that ended the answer.
    pub tokens: Vec<TokenId>,
    /// For each token, the natural logarithm of its probability (by the model alone, at
    /// temperature 1).
    pub log_probabilities: Vec<f64>,
    /// For each token, the [`Sampling::alternatives`] most probable tokens at its place, the most
    /// probable first, with the same of theirs.
    pub alternatives: Vec<Vec<(TokenId, f64)>>,
    /// Why there is no more.
    pub finish: FinishReason,
}

impl Session {
    /// Continues `prompt`, reading only what differs from the tokens read before.
    ///
    /// `on_text` gets the text piece by piece, never one that a stop text might yet take back or
    /// with half a character, and may end it.
    ///
    /// # Errors
    ///
    /// As [`Session::continue_from`].
    pub fn generate(
        &mut self,
        prompt: &[TokenId],
        options: &GenerationOptions,
        on_text: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generated, RequestError> {
        self.generate_with(prompt, (options, &Sampling::default()), on_text)
    }

    /// As [`Session::generate`], by rules of which tokens may be chosen.
    ///
    /// # Errors
    ///
    /// As [`Session::continue_from`].
    pub fn generate_with(
        &mut self,
        prompt: &[TokenId],
        (options, rules): (&GenerationOptions, &Sampling),
        mut on_text: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generated, RequestError> {
        self.continue_from(prompt)?;
        let model = std::sync::Arc::clone(self.model());
        let tokenizer = model.tokenizer();
        let ends = tokenizer.special();
        let temperature = if options.temperature > 0.0 {
            options.temperature
        } else {
            0.0
        };
        let mut sampler = Sampler::new(rules, (temperature, options.seed), model.instructions());
        let mut stream = TextStream::new();
        let mut text = HeldText::new(&options.stop);
        let mut generated = Generated {
            text: String::new(),
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            alternatives: Vec::new(),
            finish: FinishReason::Length,
        };
        while generated.tokens.len() < options.max_tokens {
            self.logits()?;
            let chosen = sampler.choose(self.last_logits(), self.tokens());
            let token = chosen.token;
            generated.tokens.push(token);
            generated.log_probabilities.push(chosen.log_probability);
            generated.alternatives.push(chosen.alternatives);
            if Some(token) == ends.eot || Some(token) == ends.eos {
                generated.finish = FinishReason::EndOfAnswer;
                break;
            }
            let stopped = text.push(&stream.push(tokenizer, token));
            if stopped || text.give(&mut on_text).is_break() {
                generated.finish = if stopped {
                    FinishReason::StopText
                } else {
                    FinishReason::Caller
                };
                break;
            }
            let room = self.tokens().len() < model.config().context_tokens;
            if !room || generated.tokens.len() == options.max_tokens {
                break;
            }
            self.prefill(&[token])?;
        }
        let ended_here = !matches!(
            generated.finish,
            FinishReason::StopText | FinishReason::Caller
        );
        if ended_here && text.push(&stream.finish()) {
            generated.finish = FinishReason::StopText;
        }
        text.hold_back_no_more();
        if generated.finish != FinishReason::Caller {
            // It ends here whatever the caller says to the last piece.
            let _ = text.give(&mut on_text);
        }
        generated.text = text.into_text();
        Ok(generated)
    }
}

/// Generated text, of which the end is held back while it may be the beginning of a stop text.
struct HeldText<'a> {
    stops: &'a [String],
    text: String,
    /// Bytes given to the caller.
    given: usize,
    /// Bytes that no stop text can take back.
    safe: usize,
}

impl<'a> HeldText<'a> {
    fn new(stops: &'a [String]) -> Self {
        Self {
            stops,
            text: String::new(),
            given: 0,
            safe: 0,
        }
    }

    fn stops(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.stops
            .iter()
            .map(String::as_str)
            .filter(|stop| !stop.is_empty())
    }

    /// Adds text; true where a stop text came up, which is then cut off with what follows it.
    fn push(&mut self, more: &str) -> bool {
        self.text.push_str(more);
        let found = self
            .stops()
            .filter_map(|stop| Some(self.safe + self.text[self.safe..].find(stop)?));
        if let Some(at) = found.min() {
            self.text.truncate(at);
            self.safe = at;
            return true;
        }
        let longest = self
            .stops()
            .map(|stop| self.beginning_at_the_end(stop))
            .max();
        self.safe = self.text.len() - longest.unwrap_or(0);
        false
    }

    /// Bytes at the end of the text that are the beginning of `stop`.
    fn beginning_at_the_end(&self, stop: &str) -> usize {
        let bytes = self.text.as_bytes();
        let longest = (stop.len() - 1).min(bytes.len());
        (1..=longest)
            .rev()
            .find(|length| stop.is_char_boundary(*length) && self.text.ends_with(&stop[..*length]))
            .unwrap_or(0)
    }

    fn hold_back_no_more(&mut self) {
        self.safe = self.text.len();
    }

    /// Gives the caller what is safe and new.
    fn give(&mut self, on_text: &mut impl FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.safe <= self.given {
            return ControlFlow::Continue(());
        }
        let piece = &self.text[self.given..self.safe];
        self.given = self.safe;
        on_text(piece)
    }

    fn into_text(self) -> String {
        self.text
    }
}
