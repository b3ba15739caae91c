//! Puts load on a server that speaks OpenAI's chat, and relays connections: for measuring what a
//! hop more costs. Its figures are one line of JSON.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Puts load on a server, or relays connections to it.
#[derive(Debug, Parser)]
enum Command {
    /// Asks for whole answers, one after the other on each connection
    Requests(Load),
    /// Asks for streamed answers, one after the other on each connection
    Streams(Load),
    /// Hands the bytes of every connection on to a server and back
    Relay {
        /// Where to listen; port 0 takes any free one
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
        listen: SocketAddr,
        /// The server
        #[arg(long, value_name = "ADDRESS")]
        to: SocketAddr,
    },
}

#[derive(Clone, Debug, Args)]
struct Load {
    /// The server
    #[arg(long, value_name = "ADDRESS")]
    address: SocketAddr,
    /// The name to ask for
    #[arg(long)]
    model: String,
    /// The text to send
    #[arg(long)]
    text: String,
    /// Where the server answers conversations
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// A header to send too, as `NAME: VALUE`; may be repeated
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// How many connections there are at once
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How many answers each of them asks for
    #[arg(long, default_value_t = 100)]
    each: usize,
}

/// What one answer took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Until the first byte of the answer's body.
    first: Duration,
    whole: Duration,
    /// The events of a stream.
    events: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Requests(load) => put(load, false).await,
        Command::Streams(load) => put(load, true).await,
        Command::Relay { listen, to } => relay(listen, to).await,
    }
}

async fn put(load: Load, streamed: bool) -> Result<()> {
    let request = request(&load, streamed);
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        let (address, each, request) = (load.address, load.each, request.clone());
        connections.spawn(async move { ask(address, each, &request).await });
    }
    let mut taken = Vec::new();
    while let Some(ended) = connections.join_next().await {
        taken.extend(ended??);
    }
    let seconds = start.elapsed().as_secs_f64();
    tell(&mut taken, seconds)
}

fn request(load: &Load, streamed: bool) -> String {
    let body = serde_json::json!({
        "model": load.model, "stream": streamed,
        "messages": [{"role": "user", "content": load.text}],
    });
    let body = body.to_string();
    let headers: String = load.header.iter().map(|it| format!("{it}\r\n")).collect();
    format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        load.path,
        body.len()
    )
}

async fn ask(address: SocketAddr, each: usize, request: &str) -> Result<Vec<Taken>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    let mut taken = Vec::with_capacity(each);
    let mut bytes = Vec::new();
    for _ in 0..each {
        let start = Instant::now();
        connection.write_all(request.as_bytes()).await?;
        taken.push(answer(&mut connection, &mut bytes, start).await?);
    }
    Ok(taken)
}

/// Reads one answer to its end.
async fn answer(connection: &mut TcpStream, bytes: &mut Vec<u8>, start: Instant) -> Result<Taken> {
    bytes.clear();
    let mut first = None;
    loop {
        if connection.read_buf(bytes).await? == 0 {
            bail!("the connection was closed within an answer");
        }
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let body = &bytes[head + 4..];
        if !body.is_empty() {
            first.get_or_insert_with(|| start.elapsed());
        }
        if is_whole(&bytes[..head], body)? {
            let whole = start.elapsed();
            return Ok(Taken {
                first: first.unwrap_or(whole),
                whole,
                events: body.windows(6).filter(|six| six == b"data: ").count() as u64,
            });
        }
    }
}

fn is_whole(head: &[u8], body: &[u8]) -> Result<bool> {
    let head = std::str::from_utf8(head).context("the head is no text")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    let lower = head.to_ascii_lowercase();
    match lower.split("content-length: ").nth(1) {
        Some(length) => {
            let length = length.lines().next().unwrap_or_default();
            Ok(body.len() >= length.parse()?)
        }
        None => Ok(body.ends_with(b"0\r\n\r\n")),
    }
}

/// Writes the figures: times in microseconds at the middle and at the 99th of a hundred.
fn tell(taken: &mut [Taken], seconds: f64) -> Result<()> {
    let mut at = |share: f64, pick: fn(&Taken) -> Duration| {
        taken.sort_by_key(pick);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list that fits into memory"
        )]
        let place = ((taken.len() as f64 * share) as usize).min(taken.len().saturating_sub(1));
        taken.get(place).map(|it| pick(it).as_micros())
    };
    let (first_p50, first_p99) = (at(0.5, |it| it.first), at(0.99, |it| it.first));
    let (whole_p50, whole_p99) = (at(0.5, |it| it.whole), at(0.99, |it| it.whole));
    let events: u64 = taken.iter().map(|it| it.events).sum();
    let line = serde_json::json!({
        "answers": taken.len(), "seconds": seconds, "events": events,
        "first_us_p50": first_p50, "first_us_p99": first_p99,
        "whole_us_p50": whole_p50, "whole_us_p99": whole_p99,
    });
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

async fn relay(listen: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await?;
        near.set_nodelay(true)?;
        connections.spawn(async move {
            let mut far = TcpStream::connect(to).await?;
            far.set_nodelay(true)?;
            copy_bidirectional(&mut near, &mut far).await
        });
        while connections.try_join_next().is_some() {}
    }
}
