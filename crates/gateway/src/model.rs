//! `tiergate model …`: a look into model files.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use llama::{Model, Session};

use crate::config::ModelSource;
use crate::tier::local;

/// The commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Write the logits at every position: float32, little-endian, (n_tokens, n_vocab).
    Logits {
        /// The GGUF file, or `starter` for the embedded starter model.
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// Token ids, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        tokens: Vec<u32>,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Threads to use.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
    },
}

/// Does what the command says.
///
/// # Errors
/// When the model can't be read, the tokens don't fit it, or the result can't be written.
pub(crate) fn run(command: ModelCommand) -> anyhow::Result<()> {
    match command {
        ModelCommand::Logits {
            model,
            tokens,
            out,
            threads,
        } => {
            let model = open(&model)?;
            logits(&model, &tokens, &out, usize::from(threads))
        }
    }
}

fn open(path: &Path) -> anyhow::Result<Arc<Model>> {
    let source = match path.to_str() {
        Some("starter") => ModelSource::Starter,
        _ => ModelSource::File(path.to_owned()),
    };
    Ok(Arc::new(local::load(&source)?))
}

/// Writes float32, little-endian, (n_tokens, n_vocab). The file appears whole or not at all.
fn logits(model: &Arc<Model>, tokens: &[u32], out: &Path, threads: usize) -> anyhow::Result<()> {
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    let mut session = Session::new(Arc::clone(model)).with_threads(threads);
    let logits = session.prefill_with_logits(tokens)?;
    let part = out.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&part)?);
        for logit in &logits {
            file.write_all(&logit.to_le_bytes())?;
        }
        file.into_inner()?.sync_all()?;
        std::fs::rename(&part, out)
    };
    write().with_context(|| format!("{} can't be written", out.display()))
}
