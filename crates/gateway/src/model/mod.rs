//! `tiergate model …`: models fetched, looked into and tried, without a server.

mod bench;
mod chat;
mod folder;
mod inspect;
mod list;
mod logits;
mod pull;
mod remove;
mod score;
mod tokenize;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use llama::{Instructions, LoadOptions, LoadProgress, Model, ModelFile};

pub(crate) use self::folder::{ModelFolder, STARTER};
pub(crate) use self::inspect::sha256;

use crate::config::ModelSource;
use crate::terminal;
use crate::tier::local;

/// The commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Fetch a model; what was begun is gone on with.
    Pull(pull::PullArgs),
    /// Show the models that were fetched.
    List(list::ListArgs),
    /// Delete a model that was fetched.
    Remove(remove::RemoveArgs),
    /// Talk with a model at the terminal.
    Chat(chat::ChatArgs),
    /// Show what a model file holds, and the memory that it needs.
    Inspect(inspect::InspectArgs),
    /// Show the tokens of a text.
    Tokenize(tokenize::TokenizeArgs),
    /// Show how probable each of some labels is as the answer to a prompt.
    Score(score::ScoreArgs),
    /// Write the logits at every position: float32, little-endian, (n_tokens, n_vocab).
    Logits(logits::LogitsArgs),
    /// Measure reading, writing and label scoring, with random tokens.
    Bench(bench::BenchArgs),
}

/// Does what the command says.
///
/// # Errors
/// When the model can't be read, or what the command needs can't be had; the message says what.
pub(crate) fn run(command: ModelCommand) -> anyhow::Result<ExitCode> {
    match command {
        ModelCommand::Pull(args) => return pull::run(&args),
        ModelCommand::List(args) => list::run(&args),
        ModelCommand::Remove(args) => remove::run(&args),
        ModelCommand::Chat(args) => chat::run(&args),
        ModelCommand::Inspect(args) => inspect::run(&args),
        ModelCommand::Tokenize(args) => tokenize::run(&args),
        ModelCommand::Score(args) => score::run(&args),
        ModelCommand::Logits(args) => logits::run(&args),
        ModelCommand::Bench(args) => bench::run(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Which model a command works with.
#[derive(Debug, Args)]
struct ModelArgs {
    /// A GGUF file, the name of a fetched model, or `starter` for the embedded starter model.
    #[arg(long, value_name = "FILE|NAME")]
    model: String,
    /// Threads to use; by default one for a small model and all cores for a large one.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

/// Below this size one thread computes faster than several that wait for each other.
const SMALL_MODEL_BYTES: u64 = 256 << 20;

impl ModelArgs {
    /// The model, ready to compute. What takes long shows its progress.
    fn open(&self) -> anyhow::Result<Arc<Model>> {
        self.open_with(None)
    }

    /// As [`ModelArgs::open`], to compute with other instructions than the fastest.
    fn open_with(&self, instructions: Option<Instructions>) -> anyhow::Result<Arc<Model>> {
        let model = self.load()?;
        Ok(Arc::new(match instructions {
            Some(instructions) => model.with_instructions(instructions),
            None => model,
        }))
    }

    fn load(&self) -> anyhow::Result<Model> {
        let source = source(&self.model)?;
        let ModelSource::File(path) = &source else {
            return Ok(local::load(&source)?);
        };
        let bar = terminal::bar(
            0,
            "loading [{bar:40}] {decimal_bytes}/{decimal_total_bytes}",
        );
        let progress = |progress: LoadProgress| {
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        };
        let options = LoadOptions {
            threads: self.threads.and_then(|n| NonZeroUsize::new(n.into())),
            progress: Some(&progress),
            ..LoadOptions::default()
        };
        let model = Model::open_with(path, &options);
        bar.finish_and_clear();
        Ok(model?)
    }

    /// How many threads compute `model`.
    fn threads(&self, model: &Model) -> NonZeroUsize {
        let small = model.memory().weights_bytes < SMALL_MODEL_BYTES;
        let asked = self.threads.and_then(|n| NonZeroUsize::new(n.into()));
        asked.unwrap_or_else(|| match std::thread::available_parallelism() {
            Ok(cores) if !small => cores,
            _ => NonZeroUsize::MIN,
        })
    }
}

/// The model that a person means by `name`.
///
/// # Errors
/// When there is neither a file nor a fetched model of this name.
fn source(name: &str) -> anyhow::Result<ModelSource> {
    let path = PathBuf::from(name);
    if name == STARTER {
        return Ok(ModelSource::Starter);
    }
    if path.exists() {
        return Ok(ModelSource::File(path));
    }
    let fetched =
        ModelFolder::of_user(&|name| std::env::var(name).ok()).and_then(|folder| folder.find(name));
    fetched.map(ModelSource::File).with_context(|| {
        format!(
            "{name}: there is no such file and no fetched model of this name; `tiergate model \
             list` shows those there are, `tiergate model pull` fetches one"
        )
    })
}

/// What the model's file says of itself.
fn open_file(name: &str) -> anyhow::Result<ModelFile> {
    Ok(match source(name)? {
        ModelSource::Starter => ModelFile::from_bytes(STARTER, local::STARTER)?,
        ModelSource::File(path) => ModelFile::open(&path)?,
    })
}

/// A text from the command line, or else from the standard input.
fn text_or_stdin(text: Option<&String>) -> anyhow::Result<String> {
    match text {
        Some(text) => Ok(text.clone()),
        None => std::io::read_to_string(std::io::stdin())
            .context("the standard input can't be read; it must be UTF-8"),
    }
}
