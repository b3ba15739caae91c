//! A model: its sizes, its weights repacked for the kernels, its tokenizer and chat template.

mod config;
mod load;
mod memory;
mod rope;
mod source;
mod summary;
mod weights;

pub use config::Config;
pub use load::{LoadOptions, LoadProgress};
pub use memory::available_bytes as available_memory_bytes;
pub use summary::{ModelFile, Rope, TensorGroup};

pub(crate) use rope::RopeFrequencies;
pub(crate) use weights::{Layer, Weights};

use crate::chat_template::{ChatMessage, ChatTemplate};
use crate::error::{MemoryNeed, ModelError, RequestError};
use crate::grammar::GrammarVocabulary;
use crate::kernels::{Compute, Instructions, Team, sweep};
use crate::kv_cache::PageShape;
use crate::tokenizer::{TokenId, Tokenizer};
use crate::tools::Tool;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// A Llama-architecture model from a GGUF file, ready to compute.
///
/// It does not change once it is open; put it into an [`std::sync::Arc`] and give that to as many
/// [`crate::Session`]s, on as many threads, as wanted.
pub struct Model {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) rope: RopeFrequencies,
    pub(crate) weights: Weights,
    pub(crate) instructions: Instructions,
    page_shape: PageShape,
    memory: MemoryNeed,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
    grammar_vocabulary: GrammarVocabulary,
}

impl Model {
    /// Opens a GGUF file (version 2 or 3) of architecture `llama`, on all of the machine's
    /// threads. Of a model that is split into several files, `path` is the first.
    ///
    /// The weights are repacked into memory of their own, about the size of the file; the file is
    /// not needed afterwards.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is damaged, or needs what this engine lacks; the message says
    /// which byte, key or tensor of which file, and what to do. A machine with too little memory
    /// is told the numbers before anything is loaded.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_with(path, &LoadOptions::default())
    }

    /// As [`Model::open`], with options.
    ///
    /// # Errors
    ///
    /// As [`Model::open`].
    pub fn open_with(path: &Path, options: &LoadOptions<'_>) -> Result<Self, ModelError> {
        load::open(path, options)
    }

    /// The model in `bytes`, a whole GGUF file; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Model::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        load::from_bytes(name, bytes)
    }

    /// The same model, computed with other instructions; the results are the same bits.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.instructions = instructions;
        self
    }

    /// What messages call the model: its path, or the name given with its bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the weights are stored: the formats of all matrices by ggml's names, in alphabetical
    /// order, such as `Q4_K, Q6_K`.
    pub fn quantisation(&self) -> String {
        let mut names: Vec<String> = self
            .weights
            .formats()
            .map(|kind| kind.to_string())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    /// The memory that it needs.
    pub fn memory(&self) -> MemoryNeed {
        self.memory
    }

    /// The instructions that compute it.
    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Reads the weights that a token is multiplied by once, on `threads` threads, without using
    /// them, and gives back how long that took and how many bytes they are: the least that memory
    /// lets a decoded token take.
    pub fn read_weights(&self, threads: NonZeroUsize) -> (Duration, u64) {
        let team = Team::new(threads.get());
        let compute = Compute {
            instructions: self.instructions,
            team: &team,
        };
        let start = Instant::now();
        let bytes = sweep(compute, self.weights.of_a_token());
        (start.elapsed(), bytes)
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The file's chat template, where it has one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }

    /// The tokens of a conversation by the file's chat template, up to where the assistant's next
    /// words begin.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoChatTemplate`], and as [`ChatTemplate::encode`].
    pub fn encode_chat(&self, messages: &[ChatMessage]) -> Result<Vec<TokenId>, RequestError> {
        self.encode_chat_with_tools(messages, &[])
    }

    /// As [`Model::encode_chat`], with the tools that the model may call.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoChatTemplate`], and as [`ChatTemplate::encode_with_tools`].
    pub fn encode_chat_with_tools(
        &self,
        messages: &[ChatMessage],
        tools: &[Tool],
    ) -> Result<Vec<TokenId>, RequestError> {
        let template = self
            .chat_template()
            .ok_or_else(|| RequestError::NoChatTemplate {
                model: self.name.clone(),
            })?;
        template.encode_with_tools(&self.tokenizer, messages, tools)
    }

    /// Whether `tokens` may follow `before` tokens.
    pub(crate) fn check(&self, tokens: &[TokenId], before: usize) -> Result<(), RequestError> {
        let vocabulary = self.config.vocabulary;
        let unknown = |token: &&TokenId| **token as usize >= vocabulary;
        if let Some(token) = tokens.iter().find(unknown) {
            return Err(RequestError::UnknownToken {
                model: self.name.clone(),
                token: *token,
                vocabulary,
            });
        }
        let context_tokens = self.config.context_tokens;
        let needed_tokens = before + tokens.len();
        if needed_tokens > context_tokens {
            return Err(RequestError::ContextExceeded {
                model: self.name.clone(),
                needed_tokens,
                context_tokens,
            });
        }
        Ok(())
    }

    pub(crate) fn grammar_vocabulary(&self) -> &GrammarVocabulary {
        &self.grammar_vocabulary
    }

    pub(crate) fn page_shape(&self) -> PageShape {
        self.page_shape
    }
}
