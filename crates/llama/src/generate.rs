//! Continuing a prompt.

use crate::error::RequestError;
use crate::grammar::Constrained;
use crate::model::Model;
use crate::sampling::{Sampler, Sampling};
use crate::session::Session;
use crate::tokenizer::{TextStream, TokenId, Tokenizer};
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

/// A token that was written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WrittenToken {
    /// The token.
    pub token: TokenId,
    /// The natural logarithm of its probability by the model alone, at temperature 1.
    pub log_probability: f64,
    /// The [`Sampling::alternatives`] most probable tokens at its place, the most probable first,
    /// with the same of theirs.
    pub alternatives: Vec<(TokenId, f64)>,
}

impl Generated {
    /// The tokens from number `from` on.
    pub(crate) fn tokens_from(&self, from: usize) -> Vec<WrittenToken> {
        let token = |at: usize| WrittenToken {
            token: self.tokens[at],
            log_probability: self.log_probabilities[at],
            alternatives: self.alternatives[at].clone(),
        };
        (from..self.tokens.len()).map(token).collect()
    }

    /// The tokens of which the text is made: without those that end it, and without those that
    /// belong to a stop text alone.
    pub fn text_tokens(&self, tokenizer: &Tokenizer) -> Vec<WrittenToken> {
        let mut begins = 0;
        let mut tokens = self.tokens_from(0);
        tokens.retain(|it| {
            let at = begins;
            begins += tokenizer.bytes(it.token).len();
            !tokenizer.ends_answer(it.token) && at < self.text.len()
        });
        tokens
    }
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
    /// As [`Session::continue_from`], and [`RequestError::Grammar`].
    pub fn generate_with(
        &mut self,
        prompt: &[TokenId],
        (options, rules): (&GenerationOptions, &Sampling),
        mut on_text: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generated, RequestError> {
        let model = std::sync::Arc::clone(self.model());
        let mut writing = Writing::new(&model, options.clone(), rules.clone())?;
        self.continue_from(prompt)?;
        while writing.goes_on() {
            self.logits()?;
            let next = writing.write(&model, self.last_logits(), self.tokens())?;
            let piece = writing.piece();
            if !piece.is_empty() && on_text(piece).is_break() {
                writing.stop();
                break;
            }
            match next {
                Some(token) => self.prefill(&[token])?,
                None => break,
            }
        }
        Ok(writing.generated())
    }
}

/// A text that is being written, token by token.
pub(crate) struct Writing {
    options: GenerationOptions,
    sampler: Sampler,
    constrained: Option<Constrained>,
    stream: TextStream,
    text: HeldText,
    generated: Generated,
    /// Tokens that were given with a piece.
    given: usize,
    ended: bool,
    /// Most tokens that can be read.
    context_tokens: usize,
}

impl Writing {
    /// # Errors
    ///
    /// [`RequestError::Grammar`].
    pub(crate) fn new(
        model: &Model,
        options: GenerationOptions,
        rules: Sampling,
    ) -> Result<Self, RequestError> {
        let grammar = rules.grammar.as_ref();
        let constrained = grammar.map(|grammar| Constrained::new(model, grammar));
        let temperature = if options.temperature > 0.0 {
            options.temperature
        } else {
            0.0
        };
        Ok(Self {
            sampler: Sampler::new(rules, (temperature, options.seed), model.instructions()),
            constrained: constrained.transpose()?,
            stream: TextStream::new(),
            text: HeldText::new(&options.stop),
            options,
            generated: Generated {
                text: String::new(),
                tokens: Vec::new(),
                log_probabilities: Vec::new(),
                alternatives: Vec::new(),
                finish: FinishReason::Length,
            },
            given: 0,
            ended: false,
            context_tokens: model.config().context_tokens,
        })
    }

    /// The same, ended before more than `tokens` tokens are read.
    pub(crate) fn within(mut self, tokens: usize) -> Self {
        self.context_tokens = self.context_tokens.min(tokens);
        self
    }

    /// Whether a token is to be chosen.
    pub(crate) fn goes_on(&self) -> bool {
        !self.ended && self.generated.tokens.len() < self.options.max_tokens
    }

    /// Most tokens that are still to be written after `read` tokens.
    pub(crate) fn left(&self, read: usize) -> usize {
        let wanted = self.options.max_tokens - self.generated.tokens.len();
        wanted.min(self.context_tokens.saturating_sub(read) + 1)
    }

    /// Chooses the token after `read`, whose logits are given. Gives it back where it is to be
    /// read and more is to come.
    ///
    /// # Errors
    ///
    /// [`RequestError::Grammar`], after which there is no more.
    pub(crate) fn write(
        &mut self,
        model: &Model,
        logits: &[f32],
        read: &[TokenId],
    ) -> Result<Option<TokenId>, RequestError> {
        let allowed = self.constrained.as_mut().map(Constrained::allowed);
        let allowed = allowed.transpose()?;
        let chosen = self.sampler.choose(logits, read, allowed.as_ref());
        let token = chosen.token;
        let generated = &mut self.generated;
        generated.tokens.push(token);
        generated.log_probabilities.push(chosen.log_probability);
        generated.alternatives.push(chosen.alternatives);
        let mut ended = true;
        if model.tokenizer().ends_answer(token) {
            generated.finish = FinishReason::EndOfAnswer;
        } else if self.text.push(&self.stream.push(model.tokenizer(), token)) {
            generated.finish = FinishReason::StopText;
        } else if self.completes(token)? {
            self.generated.finish = FinishReason::EndOfAnswer;
        } else {
            let generated = &self.generated;
            ended = read.len() >= self.context_tokens
                || generated.tokens.len() >= self.options.max_tokens;
        }
        if ended {
            self.end();
        }
        Ok((!ended).then_some(token))
    }

    /// Whether the text is one that a grammar lets nothing follow.
    fn completes(&mut self, token: TokenId) -> Result<bool, RequestError> {
        let constrained = self.constrained.as_mut();
        constrained.map_or(Ok(false), |it| it.push(token))
    }

    /// The text that was not given before and that no stop text can take back any more.
    pub(crate) fn piece(&mut self) -> &str {
        self.text.give()
    }

    /// The tokens written since this was last asked.
    pub(crate) fn new_tokens(&mut self) -> Vec<WrittenToken> {
        let from = std::mem::replace(&mut self.given, self.generated.tokens.len());
        self.generated.tokens_from(from)
    }

    /// Ends it by the caller's wish, if it has not ended by itself.
    pub(crate) fn stop(&mut self) {
        if !self.ended {
            self.generated.finish = FinishReason::Caller;
            self.ended = true;
        }
    }

    fn end(&mut self) {
        let rest = std::mem::take(&mut self.stream).finish();
        let stopped = self.generated.finish == FinishReason::StopText;
        if !stopped && self.text.push(&rest) {
            self.generated.finish = FinishReason::StopText;
        }
        self.text.hold_back_no_more();
        self.ended = true;
    }

    /// Tokens written.
    pub(crate) fn written(&self) -> usize {
        self.generated.tokens.len()
    }

    /// What was written.
    pub(crate) fn generated(&self) -> Generated {
        Generated {
            text: self.text.text.clone(),
            ..self.generated.clone()
        }
    }
}

/// Generated text, of which the end is held back while it may be the beginning of a stop text.
struct HeldText {
    stops: Vec<String>,
    text: String,
    /// Bytes given to the caller.
    given: usize,
    /// Bytes that no stop text can take back.
    safe: usize,
}

impl HeldText {
    fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty());
        Self {
            stops: stops.cloned().collect(),
            text: String::new(),
            given: 0,
            safe: 0,
        }
    }

    /// Adds text; true where a stop text came up, which is then cut off with what follows it.
    fn push(&mut self, more: &str) -> bool {
        self.text.push_str(more);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| Some(self.safe + self.text[self.safe..].find(stop)?));
        if let Some(at) = found.min() {
            self.text.truncate(at);
            self.safe = at;
            return true;
        }
        let longest = self
            .stops
            .iter()
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

    /// What is safe and was not given before.
    fn give(&mut self) -> &str {
        let from = self.given.min(self.safe);
        self.given = self.safe;
        &self.text[from..self.safe]
    }
}
