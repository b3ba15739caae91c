//! `tiergate model tokenize`: what comparing the tokenizer with another needs.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use llama::SpecialTokens;

use super::ModelArgs;

/// `tiergate model tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    model: ModelArgs,
}

/// Turns each line of standard input, a text as a JSON string, into a line of token ids.
pub(super) fn run(args: &TokenizeArgs) -> anyhow::Result<()> {
    let model = args.model.open()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("standard input can't be read")?;
        let text: String = serde_json::from_str(&line)
            .with_context(|| format!("line {}: it is no JSON string", number + 1))?;
        let tokens = model.tokenizer().encode(&text, SpecialTokens::Plain);
        serde_json::to_writer(&mut out, &tokens)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
