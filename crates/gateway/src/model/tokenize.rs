//! `tiergate model tokenize`: a text's tokens.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use llama::{SpecialTokens, Tokenizer};
use serde_json::{Value, json};

use crate::terminal::say;

/// `tiergate model tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// A GGUF file, the name of a fetched model, or `starter` for the embedded starter model.
    #[arg(long, value_name = "FILE|NAME")]
    model: String,
    /// Let the names of control tokens, for example `<|eot_id|>`, stand for these tokens. Without
    /// it they are letters like any others, as in the text of a user.
    #[arg(long)]
    special: bool,
    /// Read many texts from the standard input, each line one as a JSON string, and print the ids
    /// of each as a line of JSON.
    #[arg(long, conflicts_with_all = ["text", "json"])]
    lines: bool,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
    /// The text; without it the standard input is read.
    text: Option<String>,
}

pub(super) fn run(args: &TokenizeArgs) -> anyhow::Result<()> {
    let file = super::open_file(&args.model)?;
    let special = if args.special {
        SpecialTokens::Parse
    } else {
        SpecialTokens::Plain
    };
    let tokenizer = &file.tokenizer;
    if args.lines {
        return lines(tokenizer, special);
    }
    let text = super::text_or_stdin(args.text.as_ref())?;
    let tokens = tokenizer.encode(&text, special);
    if args.json {
        let pieces = tokens.iter().map(|token| {
            let mut piece = json!({ "id": token, "text": tokenizer.decode(&[*token]) });
            // A piece may end within a character; its text then does not tell it.
            let bytes = tokenizer.bytes(*token);
            if std::str::from_utf8(bytes).is_err() {
                piece["bytes"] = json!(bytes);
            }
            if tokenizer.is_control(*token) {
                piece["control"] = json!(true);
            }
            piece
        });
        let pieces: Vec<Value> = pieces.collect();
        say(json!({ "tokens": pieces, "count": tokens.len() }));
    } else {
        for token in &tokens {
            say(format_args!(
                "{token:>8}  \"{}\"",
                shown(tokenizer.bytes(*token))
            ));
        }
    }
    Ok(())
}

/// The ids of many texts: what comparing the tokenizer with another needs.
fn lines(tokenizer: &Tokenizer, special: SpecialTokens) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("the standard input can't be read")?;
        let text: String = serde_json::from_str(&line)
            .with_context(|| format!("line {}: it is no JSON string", number + 1))?;
        serde_json::to_writer(&mut out, &tokenizer.encode(&text, special))?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// A piece as it may stand on a terminal: characters as they are, other bytes as `\\xNN`.
fn shown(piece: &[u8]) -> String {
    let mut text = String::new();
    for chunk in piece.utf8_chunks() {
        text.extend(chunk.valid().escape_debug());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}
