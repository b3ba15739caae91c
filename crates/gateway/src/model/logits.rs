//! `tiergate model logits`: what comparing the engine with another needs.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use llama::Session;

use super::ModelArgs;

/// `tiergate model logits`.
#[derive(Debug, Args)]
pub(crate) struct LogitsArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Token ids, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    tokens: Vec<u32>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes float32, little-endian, (n_tokens, n_vocab). The file appears whole or not at all.
pub(super) fn run(args: &LogitsArgs) -> anyhow::Result<()> {
    let model = args.model.open()?;
    let threads = args.model.threads(&model);
    let mut session = Session::new(model).with_threads(threads);
    let logits = session.prefill_with_logits(&args.tokens)?;
    let part = args.out.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&part)?);
        for logit in &logits {
            file.write_all(&logit.to_le_bytes())?;
        }
        file.into_inner()?.sync_all()?;
        std::fs::rename(&part, &args.out)
    };
    write().with_context(|| format!("{} can't be written", args.out.display()))
}
