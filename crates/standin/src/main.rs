//! The stand-in as a program.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use domain::{Price, TokenRate};
use serde::Deserialize;
use standin::{AnswerSet, Answers, FaultRule, Pace, Standin, StandinOptions};

/// A vendor to test against: speaks the OpenAI protocol and answers from a file.
#[derive(Debug, Parser)]
struct Arguments {
    /// JSON lines with the fields `text` and `gold`, the right answer
    #[arg(long, value_name = "FILE")]
    answers: PathBuf,
    /// The labels from which wrong answers are drawn, parted by commas
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<String>,
    /// The share of the texts that are answered wrongly, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    wrong_rate: f64,
    /// Where the draws of wrong answers and faults begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The one model that there is
    #[arg(long, default_value = "standin-1")]
    model: String,
    /// The environment variable with the key that requests must bring
    #[arg(long, value_name = "VARIABLE")]
    key_env: Option<String>,
    /// The file of the bills; one that is there is continued
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// US dollars for a million prompt tokens
    #[arg(long, default_value = "0", value_parser = TokenRate::from_usd_per_million, value_name = "USD")]
    price_input: TokenRate,
    /// US dollars for a million completion tokens
    #[arg(long, default_value = "0", value_parser = TokenRate::from_usd_per_million, value_name = "USD")]
    price_output: TokenRate,
    /// Time before the first token
    #[arg(long, default_value_t = 0, value_name = "MS")]
    first_token_ms: u64,
    /// Time for each further token
    #[arg(long, default_value_t = 0, value_name = "MS")]
    per_token_ms: u64,
    /// A failure and when it happens, for example `status:500 every 10`; may be given again
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<FaultRule>,
}

#[derive(Deserialize)]
struct RecordLine {
    text: String,
    gold: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let running = Standin::start(options(arguments)?).await?;
    let mut out = io::stdout();
    writeln!(out, "{}", running.url())?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    running.shutdown().await;
    Ok(())
}

fn options(arguments: Arguments) -> Result<StandinOptions> {
    let known = records(&arguments.answers)?;
    let key = arguments.key_env.map(|name| {
        std::env::var(&name).with_context(|| format!("{name}: the variable for the key"))
    });
    Ok(StandinOptions {
        listen: arguments.listen,
        model: arguments.model,
        key: key.transpose()?,
        answers: Answers::new(vec![AnswerSet::new(arguments.labels, known)]),
        wrong_rate: arguments.wrong_rate,
        seed: arguments.seed,
        price: Price {
            input: arguments.price_input,
            cached_input: arguments.price_input,
            cache_write: arguments.price_input,
            output: arguments.price_output,
        },
        journal: arguments.journal,
        pace: Pace {
            first_token_ms: arguments.first_token_ms,
            per_token_ms: arguments.per_token_ms,
        },
        faults: arguments.faults,
    })
}

fn records(path: &Path) -> Result<Vec<(String, String)>> {
    let file = File::open(path).with_context(|| format!("{}: can't be read", path.display()))?;
    let mut records = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let place = || {
            let number = index + 1;
            format!(
                "{}: line {number}: a record has `text` and `gold`",
                path.display()
            )
        };
        let record: RecordLine = serde_json::from_str(&line?).with_context(place)?;
        records.push((record.text, record.gold));
    }
    Ok(records)
}
