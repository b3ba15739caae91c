//! What a model file says of itself, without its weights: quick and small for a file of any size.

use super::load;
use super::source::Opened;
use super::{Config, RopeFrequencies};
use crate::error::{Fault, MemoryNeed, ModelError, Parsed};
use crate::gguf::Gguf;
use crate::tokenizer::{self, Tokenizer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A model file's header, understood: sizes, tensors, vocabulary. No weights were read.
#[non_exhaustive]
pub struct ModelFile {
    /// The file, and the others where the model is split; none where it was in memory.
    pub files: Vec<PathBuf>,
    /// Bytes of all of them.
    pub file_bytes: u64,
    /// The name that the model's makers gave it.
    pub title: Option<String>,
    /// The kind of network; always `llama`.
    pub architecture: String,
    /// The model's sizes.
    pub config: Config,
    /// How positions are told apart.
    pub rope: Rope,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// The tensors by type, in the order of the types' names.
    pub tensors: Vec<TensorGroup>,
    /// The memory that running it needs.
    pub memory: MemoryNeed,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    /// The kind of vocabulary as the file names it, for example `gpt2`.
    pub vocabulary_kind: String,
    /// The rule by which text is cut into pieces, as the file names it.
    pub pre_tokenizer: Option<String>,
    /// The chat template's source; whether it works is seen when it is used.
    pub chat_template: Option<String>,
}

/// Rotary position embedding, as the file describes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rope {
    /// The base of the frequencies.
    pub base: f64,
    /// The kind of scaling that the file names.
    pub scaling: Option<String>,
    /// The factor of that scaling.
    pub scaling_factor: Option<f64>,
    /// Whether the file has a factor for each frequency (`rope_freqs`).
    pub has_factors: bool,
}

/// The tensors of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorGroup {
    /// The name that ggml gives the type, for example `Q4_K`.
    pub kind: String,
    /// How many tensors.
    pub count: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Bytes of them in the file.
    pub bytes: u64,
}

impl ModelFile {
    /// Reads the header of a GGUF file, and those of the others that the model is split into.
    ///
    /// # Errors
    ///
    /// As [`crate::Model::open`], except that memory is not looked at, and that what is wrong
    /// within the weights is not seen.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let files = load::open_files(path)?;
        let whole = load::join(&files)?;
        let mut summary = Self::read(&whole).map_err(|fault| fault.in_model(&name))?;
        summary.files = files.iter().map(|file| file.path().to_owned()).collect();
        summary.file_bytes = files.iter().map(Opened::file_bytes).sum();
        Ok(summary)
    }

    /// The same of `bytes`, a whole GGUF file; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let fault = |fault: Fault| fault.in_model(name);
        let file = Gguf::parse(bytes, bytes.len() as u64).map_err(fault)?;
        let mut summary = Self::read(&file).map_err(fault)?;
        summary.file_bytes = bytes.len() as u64;
        Ok(summary)
    }

    fn read(file: &Gguf<'_>) -> Parsed<Self> {
        let config = Config::read(file)?;
        let text = |key: &str| Ok(file.string(key)?.map(str::to_owned));
        let tensors = groups(file);
        Ok(Self {
            files: Vec::new(),
            file_bytes: 0,
            title: text("general.name")?,
            architecture: text("general.architecture")?.unwrap_or_default(),
            rope: Rope {
                base: RopeFrequencies::base(file)?,
                scaling: text("llama.rope.scaling.type")?,
                scaling_factor: file.float("llama.rope.scaling.factor")?,
                has_factors: file.tensor("rope_freqs.weight").is_some(),
            },
            parameters: tensors
                .iter()
                .fold(0, |sum: u64, group| sum.saturating_add(group.parameters)),
            tensors,
            memory: load::memory_need(file, &config, load::page_shape(file, &config)),
            config,
            tokenizer: tokenizer::load(file)?,
            vocabulary_kind: text("tokenizer.ggml.model")?.unwrap_or_default(),
            pre_tokenizer: text("tokenizer.ggml.pre")?,
            chat_template: text("tokenizer.chat_template")?,
        })
    }
}

fn groups(file: &Gguf<'_>) -> Vec<TensorGroup> {
    let mut groups: BTreeMap<String, TensorGroup> = BTreeMap::new();
    for (_, tensor) in file.tensors() {
        let kind = tensor.kind.to_string();
        let group = groups.entry(kind.clone()).or_insert(TensorGroup {
            kind,
            count: 0,
            parameters: 0,
            bytes: 0,
        });
        group.count += 1;
        // Each tensor lies within the file, but nothing forbids that they overlap.
        let parameters = (tensor.rows as u64).saturating_mul(tensor.columns as u64);
        group.parameters = group.parameters.saturating_add(parameters);
        let bytes = (tensor.rows as u64).saturating_mul(tensor.row_bytes as u64);
        group.bytes = group.bytes.saturating_add(bytes);
    }
    groups.into_values().collect()
}
