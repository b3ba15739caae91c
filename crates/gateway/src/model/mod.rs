//! `tiergate model …`: models fetched, looked into and tried, without a server.

mod bench;
mod logits;
mod score;
mod tokenize;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use llama::Model;

use crate::config::ModelSource;
use crate::tier::local;

/// The commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Write the logits at every position: float32, little-endian, (n_tokens, n_vocab).
    Logits(logits::LogitsArgs),
    /// Measure reading, writing and label scoring, with random tokens.
    Bench(bench::BenchArgs),
    /// Show how probable each of some labels is as the answer to a prompt.
    Score(score::ScoreArgs),
    /// Turn each line of standard input, a text as a JSON string, into a line of token ids.
    Tokenize(tokenize::TokenizeArgs),
}

/// Does what the command says.
///
/// # Errors
/// When the model can't be read, or what the command needs can't be had; the message says what.
pub(crate) fn run(command: ModelCommand) -> anyhow::Result<()> {
    match command {
        ModelCommand::Logits(args) => logits::run(&args),
        ModelCommand::Bench(args) => bench::run(&args),
        ModelCommand::Score(args) => score::run(&args),
        ModelCommand::Tokenize(args) => tokenize::run(&args),
    }
}

/// Which model a command works with.
#[derive(Debug, Args)]
struct ModelArgs {
    /// The GGUF file, or `starter` for the embedded starter model.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Threads to use.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

impl ModelArgs {
    fn open(&self) -> anyhow::Result<Arc<Model>> {
        Ok(Arc::new(local::load(&source(&self.model))?))
    }

    fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(usize::from(self.threads)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// The model that a person means by `name`.
fn source(name: &Path) -> ModelSource {
    match name.to_str() {
        Some("starter") => ModelSource::Starter,
        _ => ModelSource::File(name.to_owned()),
    }
}
