//! From a file to a [`Model`].

use super::source::{Opened, Source};
use super::weights::{ReadFault, Weights};
use super::{Config, Model, RopeFrequencies, memory};
use crate::chat_template::ChatTemplate;
use crate::error::{Fault, MemoryNeed, ModelError, Parsed, Place};
use crate::gguf::{Gguf, TensorType};
use crate::grammar::GrammarVocabulary;
use crate::kernels::{Instructions, Team};
use crate::kv_cache::{PageShape, Precision};
use crate::tokenizer;
use std::num::NonZeroUsize;
use std::path::Path;

/// How to load a model.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions<'a> {
    /// Threads that read and repack; all that the machine has where none is given.
    pub threads: Option<NonZeroUsize>,
    /// Memory that the model may take, where that is less than the machine has.
    pub memory_bytes_max: Option<u64>,
    /// Called after each piece, by any of the threads.
    pub progress: Option<&'a (dyn Fn(LoadProgress) + Sync)>,
}

/// How far loading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadProgress {
    /// Bytes of weights that were read and repacked.
    pub done_bytes: u64,
    /// Bytes of weights in the file.
    pub total_bytes: u64,
}

/// Opens the file, and those that it is split into.
pub(super) fn open(path: &Path, options: &LoadOptions<'_>) -> Result<Model, ModelError> {
    let files = open_files(path)?;
    let whole = join(&files)?;
    let name = path.display().to_string();
    read(&name, (&whole, &Source::Files(&files)), options)
}

/// The files that a model is in, of which `path` is the first.
pub(super) fn open_files(path: &Path) -> Result<Vec<Opened>, ModelError> {
    let mut files = vec![Opened::open(path)?];
    let count = parse(&files[0])?
        .usize("split.count")
        .map_err(|fault| fault.in_model(&files[0].name()))?;
    if let Some(count @ 2..) = count {
        let siblings = files[0].siblings(count)?;
        files.extend(siblings);
    }
    Ok(files)
}

/// The first file's header with the tensors of all.
pub(super) fn join(files: &[Opened]) -> Result<Gguf<'_>, ModelError> {
    let mut whole = parse(&files[0])?;
    for (part, file) in files.iter().enumerate().skip(1) {
        let add = whole.add_part(part, parse(file)?);
        add.map_err(|fault| fault.in_model(&file.name()))?;
    }
    Ok(whole)
}

fn parse(file: &Opened) -> Result<Gguf<'_>, ModelError> {
    file.parse().map_err(|fault| fault.in_model(&file.name()))
}

pub(super) fn from_bytes(name: &str, bytes: &[u8]) -> Result<Model, ModelError> {
    let fault = |fault: Fault| fault.in_model(name);
    let file = Gguf::parse(bytes, bytes.len() as u64).map_err(fault)?;
    check_not_split(&file).map_err(fault)?;
    // What is in memory already is mostly small.
    let options = LoadOptions {
        threads: Some(NonZeroUsize::MIN),
        ..LoadOptions::default()
    };
    read(name, (&file, &Source::Bytes(bytes)), &options)
}

fn check_not_split(file: &Gguf<'_>) -> Parsed<()> {
    match file.usize("split.count")? {
        None | Some(0 | 1) => Ok(()),
        Some(n) => {
            let message = format!(
                "the model is split into {n} files; open it by the path of the first, or merge \
                 them into one GGUF file"
            );
            Err(Fault::unsupported(
                Place::Key("split.count".into()),
                message,
            ))
        }
    }
}

fn read(
    name: &str,
    (file, source): (&Gguf<'_>, &Source<'_>),
    options: &LoadOptions<'_>,
) -> Result<Model, ModelError> {
    let in_model = |fault: Fault| fault.in_model(name);
    let read_fault = |fault: ReadFault| match fault {
        ReadFault::File(fault) => in_model(fault),
        ReadFault::Io(source) => ModelError::Io {
            model: name.to_owned(),
            source,
        },
    };
    let config = Config::read(file).map_err(in_model)?;
    let page_shape = page_shape(file, &config);
    let need = memory_need(file, &config, page_shape);
    check_memory(name, need, options)?;
    let tokenizer = tokenizer::load(file).map_err(in_model)?;
    let rope = RopeFrequencies::read(file, source, &config).map_err(read_fault)?;
    let threads = options
        .threads
        .or_else(|| std::thread::available_parallelism().ok());
    let team = Team::new(threads.map_or(1, NonZeroUsize::get));
    let progress = options.progress.unwrap_or(&|_| {});
    let sizes = (&config, tokenizer.len());
    let weights = Weights::read((file, source), sizes, &team, progress).map_err(read_fault)?;
    let chat_template = ChatTemplate::read(file, name, &tokenizer).map_err(in_model)?;
    Ok(Model {
        name: name.to_owned(),
        config,
        rope,
        weights,
        instructions: Instructions::best(),
        page_shape,
        memory: need,
        tokenizer,
        chat_template,
        grammar_vocabulary: GrammarVocabulary::default(),
    })
}

/// Keys and values are as precise as half-precision weights can use, or single precision where
/// the weights are.
pub(super) fn page_shape(file: &Gguf<'_>, config: &Config) -> PageShape {
    let single = file
        .tensors()
        .all(|(_, tensor)| tensor.kind == TensorType::F32);
    PageShape {
        n_layers: config.n_layers,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
        value_dim: config.value_dim,
        precision: if single {
            Precision::Single
        } else {
            Precision::Half
        },
    }
}

pub(super) fn memory_need(file: &Gguf<'_>, config: &Config, shape: PageShape) -> MemoryNeed {
    /// A conversation of middling length.
    const POSITIONS: usize = 2048;
    // For each row of a block: the residual stream, four panels of the width of a head or layer,
    // two and the activations of the hidden width; and the logits of a few rows.
    let row_bytes = 4 * (8 * config.dim + 5 * config.hidden_dim);
    let scratch = crate::session::PREFILL_TOKENS * row_bytes + 16 * config.vocabulary;
    MemoryNeed {
        weights_bytes: Weights::bytes(file),
        position_bytes: shape.position_bytes() as u64,
        scratch_bytes: scratch as u64,
        positions: POSITIONS.min(config.context_tokens) as u64,
    }
}

fn check_memory(name: &str, need: MemoryNeed, options: &LoadOptions<'_>) -> Result<(), ModelError> {
    let limits = [memory::available_bytes(), options.memory_bytes_max];
    match limits.into_iter().flatten().min() {
        Some(available_bytes) if need.total_bytes() > available_bytes => Err(ModelError::Memory {
            model: name.to_owned(),
            need,
            available_bytes,
        }),
        _ => Ok(()),
    }
}
