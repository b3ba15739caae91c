//! Hangs up on streams in their midst, and measures how long the vendor at the other end goes on
//! writing: from the moment when the client closes its connection to the one when the stand-in
//! sees that its own is closed. Its figures are one line of JSON.

#![forbid(unsafe_code)]

use std::io::{self, BufRead as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use standin::{AnswerSet, Answers, RunningStandin, Standin, StandinOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a vendor may go on before it counts as not told at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a stand-in that begins its streams and never ends them, and says its address. Then a line
/// of its input says through which address to ask and for which model.
#[derive(Debug, Parser)]
struct Options {
    /// How often to hang up
    #[arg(long, default_value_t = 50)]
    times: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let labels = vec!["one two three".to_owned()];
    let mut vendor = StandinOptions::new(Answers::new(vec![AnswerSet::new(labels, [])]));
    vendor.faults = vec!["stall-after every 1".parse()?];
    let vendor = Standin::start(vendor).await?;
    writeln!(io::stdout(), "{}", vendor.address())?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let way = line.trim().split_once(' ');
    let (address, model) = way.context("the line has an address and the name of a model")?;
    let mut taken = Vec::new();
    for time in 1..=options.times {
        taken.push(hang_up(&vendor, time, (address, model)).await?);
    }
    taken.sort_unstable();
    let us = |place: usize| taken.get(place).map(Duration::as_micros);
    let line = serde_json::json!({
        "hangups": taken.len(), "us_p50": us(taken.len() / 2), "us_max": taken.last().map(Duration::as_micros),
    });
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

/// How long the vendor goes on with its answer of this number.
async fn hang_up(
    vendor: &RunningStandin,
    answer: u64,
    (address, model): (&str, &str),
) -> Result<Duration> {
    let body = serde_json::json!({
        "model": model, "stream": true, "messages": [{"role": "user", "content": "count"}],
    });
    let body = body.to_string();
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut told = Vec::new();
    while !told.windows(6).any(|six| six == b"data: ") {
        if connection.read_buf(&mut told).await? == 0 {
            bail!("no stream but {}", told.escape_ascii());
        }
    }
    let hung_up = Instant::now();
    drop(connection);
    let seen = tokio::time::timeout(PATIENCE, vendor.ended(answer)).await;
    let seen = seen.context("the vendor was not told")?;
    Ok(seen.saturating_duration_since(hung_up))
}
