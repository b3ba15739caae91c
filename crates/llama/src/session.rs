//! One sequence of tokens being read and continued.

use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::forward::{Forward, Scratch, Sequence};
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
    threads: usize,
    cancel: Cancel,
}

/// Tokens computed together while a prompt is read: enough that reading the weights costs little,
/// few enough that a cancelled request ends soon and the buffers stay in the cache.
const PREFILL_TOKENS: usize = 128;

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
            threads: 1,
            cancel: Cancel::new(),
        }
    }

    /// The same sequence, computed on `threads` threads, which pays for large models only.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads.get();
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
            threads: self.threads,
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
        self.prefill(&prompt[kept..])?;
        Ok(kept)
    }

    /// Log-probabilities of what follows each chain of tokens after this sequence; see
    /// [`crate::scoring`]. The chains are computed together; this sequence stays as it is.
    pub(crate) fn logits_after(
        &mut self,
        chains: &mut [(KvCache, &[TokenId])],
    ) -> Result<Vec<f32>, RequestError> {
        let mut batch: Vec<Sequence<'_>> = chains
            .iter_mut()
            .map(|(cache, tokens)| Sequence {
                cache,
                tokens,
                wanted: 0..tokens.len(),
            })
            .collect();
        let forward = Forward {
            model: &self.model,
            threads: self.threads,
            cancel: &self.cancel,
        };
        let outputs = forward.run(&mut batch, &mut self.scratch)?;
        Ok(forward.logits(&outputs, &mut self.scratch))
    }

    pub(crate) fn cache(&self) -> &KvCache {
        &self.cache
    }

    /// Whether `tokens` may follow the first `kept` tokens.
    pub(crate) fn check(&self, tokens: &[TokenId], kept: usize) -> Result<(), RequestError> {
        let config = self.model.config();
        let name = || self.model.name().to_owned();
        if let Some(token) = tokens
            .iter()
            .find(|token| **token as usize >= config.vocabulary)
        {
            let vocabulary = config.vocabulary;
            return Err(RequestError::UnknownToken {
                model: name(),
                token: *token,
                vocabulary,
            });
        }
        let (needed_tokens, context_tokens) = (kept + tokens.len(), config.context_tokens);
        if needed_tokens > context_tokens {
            return Err(RequestError::ContextExceeded {
                model: name(),
                needed_tokens,
                context_tokens,
            });
        }
        Ok(())
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
                threads: self.threads,
                cancel: &self.cancel,
            };
            self.last_output = None;
            self.logits = None;
            let sequence = Sequence {
                cache: &mut self.cache,
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
            threads: self.threads,
            cancel: &self.cancel,
        };
        forward.logits(outputs, &mut self.scratch)
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
