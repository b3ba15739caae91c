//! A model: its sizes, its weights repacked for the kernels, its tokenizer and chat template.

mod config;
mod weights;

pub use config::Config;

pub(crate) use config::RopeFrequencies;
pub(crate) use weights::{Layer, Weights};

use crate::chat_template::ChatTemplate;
use crate::error::{ModelError, Parsed};
use crate::gguf::Gguf;
use crate::kernels::Instructions;
use crate::kv_cache::PageShape;
use crate::tokenizer::{self, Tokenizer};
use std::fs::File;
use std::path::Path;

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
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
}

impl Model {
    /// Opens a GGUF file (version 2 or 3) of architecture `llama` with weights in F32, F16 or
    /// Q8_0.
    ///
    /// The weights are repacked into memory of their own, about the size of the file; the file is
    /// not needed afterwards.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is damaged, or needs what this engine lacks; the message says
    /// which byte, key or tensor of which file, and what to do.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let io = |source| ModelError::Io {
            model: name.clone(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::other("not a regular file")));
        }
        let bytes = map(&file).map_err(io)?;
        Self::from_bytes(&name, &bytes)
    }

    /// The model in `bytes`, a whole GGUF file; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Model::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        Self::parse(name, bytes).map_err(|fault| fault.in_model(name))
    }

    fn parse(name: &str, bytes: &[u8]) -> Parsed<Self> {
        let file = Gguf::parse(bytes)?;
        let config = Config::read(&file)?;
        let tokenizer = tokenizer::load(&file)?;
        let rope = RopeFrequencies::read(&file, &config)?;
        let weights = Weights::read(&file, &config, tokenizer.len())?;
        let chat_template = ChatTemplate::read(&file, name, &tokenizer)?;
        Ok(Self {
            name: name.to_owned(),
            config,
            rope,
            weights,
            instructions: Instructions::best(),
            tokenizer,
            chat_template,
        })
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

    /// The instructions that compute it.
    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The file's chat template, where it has one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }

    pub(crate) fn page_shape(&self) -> PageShape {
        let Config {
            n_layers,
            n_kv_heads,
            head_dim,
            value_dim,
            ..
        } = self.config;
        PageShape {
            n_layers,
            n_kv_heads,
            head_dim,
            value_dim,
        }
    }
}

#[expect(unsafe_code, reason = "a file can be mapped in no other way")]
fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map is read-only and lives while the file is parsed and repacked. A file that
    // another process changes in that time can yield wrong weights and, where it is cut short, end
    // this process with SIGBUS, as with every program that maps its input; models are replaced by
    // renaming a new file over the old, which leaves the mapped one intact.
    unsafe { memmap2::Mmap::map(file) }
}
