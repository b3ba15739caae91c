//! One sequence of tokens being read and continued.

mod embedding;
mod together;

pub use embedding::Pooling;
pub(crate) use embedding::normalised;

use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::forward::{Forward, Logits, Scratch, Sequence};
use crate::kernels::Team;
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::tokenizer::TokenId;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

/// A sequence of tokens, with the keys and values of those already read.
///
/// The same tokens give the same bits, however they were cut into calls, whatever was read and
/// forgotten before, on any number of threads and with any [`crate::Instructions`].
///
/// ```
/// # fn run(model: llama::Model) -> Result<(), llama::RequestError> {
/// let mut session = llama::Session::new(std::sync::Arc::new(model));
/// session.prefill(&[1, 2, 3])?;
/// let next: &[f32] = session.logits()?;
/// # Ok(()) }
/// ```
pub struct Session {
    model: Arc<Model>,
    cache: KvCache,
    /// The tokens whose keys and values the cache has.
    tokens: Vec<TokenId>,
    /// (dim): the last layer's output for the last token, where that was just read
    last_output: Option<Vec<f32>>,
    /// (vocabulary): its logits, where they were asked for
    logits: Option<Vec<f32>>,
    scratch: Scratch,
    team: Arc<Team>,
    cancel: Cancel,
}

/// Tokens computed together while a prompt is read: enough that reading the weights costs little,
/// few enough that a cancelled request ends soon and the buffers stay in the cache.
pub(crate) const PREFILL_TOKENS: usize = 128;

impl Session {
    /// An empty sequence, computed on one thread.
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            cache: KvCache::new(model.page_shape()),
            model,
            tokens: Vec::new(),
            last_output: None,
            logits: None,
            scratch: Scratch::default(),
            team: Arc::new(Team::alone()),
            cancel: Cancel::new(),
        }
    }

    /// The same sequence, computed on `threads` threads, which pays for large models only.
    ///
    /// The threads live as long as the session and its forks, which share them, and sleep while
    /// there is nothing to compute. Where two sessions that share threads compute at the same
    /// time, one of them computes on its caller's thread alone.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.team = Arc::new(Team::new(threads.get()));
        self
    }

    /// Lets `cancel` stop what is computed from here on, in place of the switch before it: one
    /// for each request, where a session outlives requests.
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.cancel = cancel;
    }

    /// A second sequence that begins like this one. The keys and values are shared, not copied.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            cache: self.cache.clone(),
            tokens: self.tokens.clone(),
            last_output: self.last_output.clone(),
            logits: None,
            scratch: Scratch::default(),
            team: Arc::clone(&self.team),
            cancel: self.cancel.clone(),
        }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The tokens read so far.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Reads `tokens` after those read before.
    ///
    /// # Errors
    ///
    /// Nothing is read where a token is outside the vocabulary or the context is too short. When
    /// cancelled, the tokens up to some block's end have been read.
    pub fn prefill(&mut self, tokens: &[TokenId]) -> Result<(), RequestError> {
        self.read(tokens, |_| 0..0).map(drop)
    }

    /// Reads one token and gives back the logits of its successor, (vocabulary).
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`].
    pub fn decode(&mut self, token: TokenId) -> Result<&[f32], RequestError> {
        self.prefill(&[token])?;
        self.logits()
    }

    /// The logits of the token that follows, (vocabulary).
    ///
    /// # Errors
    ///
    /// [`RequestError::EmptyPrompt`] where no token was read since the sequence was new or cut.
    pub fn logits(&mut self) -> Result<&[f32], RequestError> {
        let logits = match self.logits.take() {
            Some(logits) => logits,
            None => {
                let output = self.last_output.take().ok_or(RequestError::EmptyPrompt)?;
                let logits = self.logits_of(&output);
                self.last_output = Some(output);
                logits
            }
        };
        Ok(self.logits.insert(logits))
    }

    /// The logits that were asked for last; none where the sequence was changed since.
    pub(crate) fn last_logits(&self) -> &[f32] {
        self.logits.as_deref().unwrap_or(&[])
    }

    /// Reads `tokens` and gives back the logits after each of them, (tokens, vocabulary).
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`].
    pub fn prefill_with_logits(&mut self, tokens: &[TokenId]) -> Result<Vec<f32>, RequestError> {
        let outputs = self.read(tokens, |block| 0..block)?;
        Ok(self.logits_of(&outputs))
    }

    /// Forgets all tokens from `length` on.
    pub fn truncate(&mut self, length: usize) {
        if length < self.tokens.len() {
            self.tokens.truncate(length);
            self.cache.truncate(length);
            self.last_output = None;
            self.logits = None;
        }
    }

    /// Makes this the sequence of `prompt`, reading only what differs from the tokens read before.
    /// Gives back how many tokens were there already.
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`], and [`RequestError::EmptyPrompt`].
    pub fn continue_from(&mut self, prompt: &[TokenId]) -> Result<usize, RequestError> {
        let kept = self.keep_shared(prompt)?;
        if kept < prompt.len() {
            self.prefill(&prompt[kept..])?;
        }
        Ok(kept)
    }

    /// Forgets what `prompt` doesn't begin with, and gives back how many of its tokens are left:
    /// all of them only where the last one's output is there too.
    ///
    /// # Errors
    ///
    /// As [`Session::continue_from`].
    pub(crate) fn keep_shared(&mut self, prompt: &[TokenId]) -> Result<usize, RequestError> {
        let shared = self
            .tokens
            .iter()
            .zip(prompt)
            .take_while(|(a, b)| a == b)
            .count();
        let whole = shared == prompt.len() && self.tokens.len() == shared;
        if whole && self.last_output.is_some() {
            return Ok(shared);
        }
        // The last token is read again where only its output is missing.
        let last = prompt
            .len()
            .checked_sub(1)
            .ok_or(RequestError::EmptyPrompt)?;
        let kept = shared.min(last);
        self.check(&prompt[kept..], kept)?;
        self.truncate(kept);
        Ok(kept)
    }

    /// Reads `tokens`, if there are any, and other sequences in the same step. Gives back the
    /// outputs, that of the last of `tokens` first and then those that the others want.
    pub(crate) fn read_with(
        &mut self,
        tokens: &[TokenId],
        others: Vec<Sequence<'_>>,
    ) -> Result<Vec<f32>, RequestError> {
        let forward = Forward {
            model: &self.model,
            team: &self.team,
            cancel: &self.cancel,
        };
        let mut batch = Vec::with_capacity(1 + others.len());
        if !tokens.is_empty() {
            self.last_output = None;
            self.logits = None;
            batch.push(Sequence {
                cache: &mut self.cache,
                after: None,
                tokens,
                wanted: tokens.len() - 1..tokens.len(),
            });
        }
        batch.extend(others);
        let outputs = forward.run(&mut batch, &mut self.scratch)?;
        drop(batch);
        if !tokens.is_empty() {
            self.tokens.extend_from_slice(tokens);
            self.last_output = Some(outputs[..self.model.config.dim].to_vec());
        }
        Ok(outputs)
    }

    /// The keys and values of this sequence, and the logits of outputs.
    pub(crate) fn logits_after(&mut self, outputs: &[f32]) -> (&KvCache, Logits<'_>) {
        let forward = Forward {
            model: &self.model,
            team: &self.team,
            cancel: &self.cancel,
        };
        let logits = Logits {
            panel: forward.logits(outputs, &mut self.scratch),
            first: 0,
            instructions: self.model.instructions,
            team: &self.team,
        };
        (&self.cache, logits)
    }

    /// The log-probabilities of `tokens` as what follows.
    ///
    /// # Errors
    ///
    /// As [`Session::logits`].
    pub(crate) fn log_probabilities(
        &mut self,
        tokens: &[TokenId],
    ) -> Result<Vec<f64>, RequestError> {
        let instructions = self.model.instructions;
        let logits = self.logits()?;
        let normaliser = crate::probability::log_normaliser_of(instructions, logits);
        let logit = |token: &TokenId| f64::from(logits[*token as usize]);
        Ok(tokens
            .iter()
            .map(|token| logit(token) - normaliser)
            .collect())
    }

    pub(crate) fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// Whether `tokens` may follow the first `kept` tokens.
    pub(crate) fn check(&self, tokens: &[TokenId], kept: usize) -> Result<(), RequestError> {
        self.model.check(tokens, kept)
    }

    /// Reads tokens in blocks; gives back the outputs of those that `wanted` chooses in a block
    /// of a given length.
    fn read(
        &mut self,
        tokens: &[TokenId],
        wanted: impl Fn(usize) -> Range<usize>,
    ) -> Result<Vec<f32>, RequestError> {
        self.check(tokens, self.tokens.len())?;
        let dim = self.model.config.dim;
        let mut outputs = Vec::new();
        let blocks = tokens.len().div_ceil(PREFILL_TOKENS);
        for (i, block) in tokens.chunks(PREFILL_TOKENS).enumerate() {
            let mut range = wanted(block.len());
            let last = i + 1 == blocks;
            if last && range.is_empty() {
                range = block.len() - 1..block.len();
            }
            let forward = Forward {
                model: &self.model,
                team: &self.team,
                cancel: &self.cancel,
            };
            self.last_output = None;
            self.logits = None;
            let sequence = Sequence {
                cache: &mut self.cache,
                after: None,
                tokens: block,
                wanted: range,
            };
            let out = forward.run(&mut [sequence], &mut self.scratch)?;
            self.tokens.extend_from_slice(block);
            if last {
                self.last_output = Some(out[out.len() - dim..].to_vec());
            }
            outputs.extend(out);
        }
        Ok(outputs)
    }

    fn logits_of(&mut self, outputs: &[f32]) -> Vec<f32> {
        let forward = Forward {
            model: &self.model,
            team: &self.team,
            cancel: &self.cancel,
        };
        let logits = forward.logits(outputs, &mut self.scratch);
        let width = logits.width();
        let mut rows = vec![0.0; logits.rows() * width];
        for (row, to) in rows.chunks_exact_mut(width).enumerate() {
            logits.copy(row, 0, to);
        }
        rows
    }
}

impl Model {
    /// The logits after each of `tokens`, (tokens, vocabulary): what comparing this engine with
    /// another needs.
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`].
    pub fn logits(self: &Arc<Self>, tokens: &[TokenId]) -> Result<Vec<f32>, RequestError> {
        Session::new(Arc::clone(self)).prefill_with_logits(tokens)
    }
}
