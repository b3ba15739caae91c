//! What the socket costs: the same texts written by an engine in this process and by one in a
//! worker, and the difference for each token.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llama::{
    ChatMessage, Engine, EngineOptions, Event, GenerationOptions, Model, Outcome, Request, Role,
    Tenant,
};

use super::protocol::{Chat, End, Prompt, Source, Start, Work, Writing};
use super::supervisor::Worker;
use crate::terminal::say;
use crate::tier::local::STARTER;

const ROUNDS: usize = 21;
const TOKENS: usize = 200;

/// `tiergate engine-measure`: microseconds for a token, with the starter model on one thread, each
/// piece of text fetched as it comes.
///
/// # Errors
/// When an engine can't be started or breaks.
pub(crate) fn command() -> anyhow::Result<ExitCode> {
    let model = Arc::new(Model::from_bytes("starter", STARTER)?);
    let mut options = EngineOptions::for_model(&model);
    options.threads = NonZeroUsize::MIN;
    let engine = Engine::start(Arc::clone(&model), options)?;
    let start = Start {
        source: Source::Starter,
        threads: 1,
        queue_max: 4,
        kv_bytes: None,
    };
    let (worker, _) = Worker::start(start)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut here = Vec::new();
    let mut there = Vec::new();
    for _ in 0..ROUNDS {
        here.push(in_process(&engine)?);
        there.push(runtime.block_on(in_worker(&worker))?);
    }
    let (here, there) = (spread(here), spread(there));
    say(format_args!(
        "microseconds a token: median, least, most of {ROUNDS} texts"
    ));
    say(format_args!("in this process {here:.1?}"));
    say(format_args!("in the worker   {there:.1?}"));
    say(format_args!("the socket      {:.1}", there[0] - here[0]));
    Ok(ExitCode::SUCCESS)
}

fn messages() -> Vec<ChatMessage> {
    vec![ChatMessage::new(Role::User, "The bank said on Monday that")]
}

fn in_process(engine: &Engine) -> anyhow::Result<f64> {
    let options = GenerationOptions {
        max_tokens: TOKENS,
        ..GenerationOptions::default()
    };
    let work = llama::Work::write_chat(engine.model(), (&messages(), &[]), options)?.streamed();
    let tenant = Tenant::new("measure");
    let start = Instant::now();
    let mut answer = engine.ask(Request { tenant, work })?;
    loop {
        if let Event::End(end) = answer.next_event() {
            let Outcome::Written(written) = end?.outcome else {
                anyhow::bail!("no text came of a request for one");
            };
            return Ok(per_token(start.elapsed(), written.tokens.len()));
        }
    }
}

async fn in_worker(worker: &Worker) -> anyhow::Result<f64> {
    let start = Instant::now();
    let writing = Writing {
        prompt: Prompt::Chat(Chat {
            messages: messages(),
            tools: Vec::new(),
        }),
        max_tokens: TOKENS,
        temperature: 0.0,
        seed: 0,
        stop: Vec::new(),
        rules: llama::Sampling::default(),
        streams: true,
        tells_tokens: false,
    };
    let call = worker.ask("measure", Work::Write(Box::new(writing))).await;
    let mut call = call.map_err(|health| anyhow::anyhow!("{health:?}"))?;
    while call.next_piece().await.is_some() {}
    match (&mut call.end).await? {
        End::Written(written) => {
            let tokens = written.log_probabilities.len();
            Ok(per_token(start.elapsed(), tokens))
        }
        other => anyhow::bail!("{other:?}"),
    }
}

fn per_token(time: Duration, tokens: usize) -> f64 {
    time.as_secs_f64() * 1e6 / tokens as f64
}

/// Median, least, most.
fn spread(mut times: Vec<f64>) -> [f64; 3] {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0], times[times.len() - 1]]
}
