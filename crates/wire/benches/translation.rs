//! What translating costs: a request read and sent on, an answer read and told, and an event of a
//! stream read, and read and told on in each other protocol; in microseconds of one core.
//!
//! Run by anything but `cargo bench`, it only shows that it works.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a bench may fail anywhere")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

use domain::{
    Completion, CompletionTokens, FinishReason, Generation, Message, Prompt, Protocol, Role,
    StreamEvent,
};
use wire::chat::{
    AnswerHead, ChunkReader, Delivery, Dialect, Form, OutwardRequest, StreamUsage, encode_request,
    parse_completion,
};
use wire::google::generate::Framing;
use wire::google::path::{Method, Target};
use wire::openai::responses::Echo;
use wire::sse::Framer;

/// Bytes of the prompt.
const PROMPT_BYTES: usize = 2_000;
/// Tokens of the answer.
const TOKENS: usize = 200;
/// Times that each measurement is taken; the median is told, with the least and the most.
const REPEATS: usize = 5;

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measures { 2_000 } else { 2 };
    for protocol in Protocol::ALL {
        println!("{protocol}");
        request(protocol, rounds);
        whole(protocol, rounds);
        for to in Protocol::ALL {
            stream(protocol, to, rounds / 20 + 1);
        }
    }
}

fn form(protocol: Protocol) -> Form {
    match protocol {
        Protocol::OpenAiChat => Form::OpenAiChat(StreamUsage::Asked),
        Protocol::OpenAiResponses => Form::OpenAiResponses(Echo::default()),
        Protocol::Anthropic => Form::Anthropic,
        Protocol::Google => Form::Google(Framing::Events),
    }
}

fn head() -> AnswerHead {
    AnswerHead {
        id: "answer-1".into(),
        created_s: 1_700_000_000,
        model: "tier:frontier".into(),
    }
}

fn completion() -> Completion {
    Completion {
        usage: Some(domain::Usage::default()),
        model: "model-x".into(),
        ..Completion::new("word ".repeat(TOKENS), FinishReason::Stop)
    }
}

/// A request with a prompt, read and sent on in its own protocol.
fn request(protocol: Protocol, rounds: usize) {
    let prompt = Prompt::new(vec![
        Message::new(Role::System, "Answer briefly."),
        Message::new(Role::User, "text ".repeat(PROMPT_BYTES / 5)),
    ]);
    let generation = Generation::new(CompletionTokens(256));
    let request = OutwardRequest {
        model: "model-x",
        prompt: &prompt,
        generation: &generation,
        dialect: Dialect::default(),
        delivery: Delivery::Streamed,
        extra: None,
    };
    let body = encode_request(protocol, &request);
    let target = Target {
        model: "model-x".into(),
        method: Method::StreamGenerateContent,
    };
    measure("request read and sent on", rounds, || {
        let body = black_box(body.as_bytes());
        let read = match protocol {
            Protocol::OpenAiChat => wire::openai::chat::parse_request(body),
            Protocol::OpenAiResponses => wire::openai::responses::parse_request(body),
            Protocol::Anthropic => wire::anthropic::messages::parse_request(body),
            Protocol::Google => wire::google::generate::parse_request(&target, body),
        };
        let read = read.unwrap();
        let request = OutwardRequest {
            prompt: &read.prompt,
            extra: Some(&read.extra),
            ..request
        };
        black_box(encode_request(protocol, &request));
    });
}

/// A whole answer, read and told.
fn whole(protocol: Protocol, rounds: usize) {
    let form = form(protocol);
    let body = form.encode_completion(&head(), &completion());
    measure("whole answer read and told", rounds, || {
        let read = parse_completion(protocol, black_box(body.as_bytes())).unwrap();
        black_box(form.encode_completion(&head(), &read));
    });
}

/// A stream of an event a token, framed, read and told on.
fn stream(from: Protocol, to: Protocol, rounds: usize) {
    let mut encoder = form(from).stream(head());
    let mut vendors = String::new();
    let completion = completion();
    for event in StreamEvent::of(&completion) {
        match event {
            StreamEvent::Text(text) => {
                for token in text.split_inclusive(' ') {
                    encoder.event(&StreamEvent::Text(token.to_owned()), &mut vendors);
                }
            }
            other => encoder.event(&other, &mut vendors),
        }
    }
    let name = format!("event of a stream, told as {to}");
    let micros = median(rounds, || {
        let mut framer = Framer::new(1 << 20);
        let mut reader = ChunkReader::new(from);
        let mut encoder = form(to).stream(head());
        let (mut events, mut told) = (VecDeque::new(), VecDeque::new());
        for part in black_box(vendors.as_bytes()).chunks(300) {
            framer.push(part, &mut events).unwrap();
            while let Some(event) = events.pop_front() {
                reader.read(&event, &mut told).unwrap();
            }
            let mut sent = String::new();
            for event in told.drain(..) {
                encoder.event(&event, &mut sent);
            }
            black_box(sent);
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "there are some hundred tokens")]
    let each = micros.map(|it| it / TOKENS as f64);
    tell(&name, each);
}

fn measure(name: &str, rounds: usize, work: impl FnMut()) {
    tell(name, median(rounds, work));
}

fn tell(name: &str, [least, median, most]: [f64; 3]) {
    println!("  {name}: {median:.2} µs (from {least:.2} to {most:.2})");
}

/// The least, the median and the most of the times that one round took, in microseconds.
fn median(rounds: usize, mut work: impl FnMut()) -> [f64; 3] {
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            (0..rounds).for_each(|_| work());
            #[expect(clippy::cast_precision_loss, reason = "there are some thousand rounds")]
            let each = start.elapsed().as_secs_f64() * 1e6 / rounds as f64;
            each
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[REPEATS / 2], times[REPEATS - 1]]
}
