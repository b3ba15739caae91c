//! `tiergate model …`: a look into model files.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use llama::{Model, Session};

use crate::cli::ModelCommand;

/// The model that the program brings along.
static STARTER: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/tiergate-starter.gguf"
));

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
    let model = if path == Path::new("starter") {
        Model::from_bytes("starter", STARTER)?
    } else {
        Model::open(path)?
    };
    Ok(Arc::new(model))
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
