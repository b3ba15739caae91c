//! `tiergate model bench`: reading, writing and label scoring with random tokens.
//!
//! The four measurements are those by which engines are compared: *prefill*, a prompt of 512
//! tokens; *decode*, 64 tokens one by one after it; *batch8*, eight sequences of 32 tokens
//! continued together for 16 steps; *label requests*, 512 shared tokens that were read before, 40
//! new ones and sixteen labels of two tokens. Beside them stands how fast
//! the machine reads the same weights at that moment without using them, because decoding can't be
//! faster than reading them once a token; and the time to a short request's *first token*, alone and
//! while the engine reads a long prompt.

mod first_token;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use llama::{Engine, EngineOptions, Instructions, LabelScorer, Model, Session};
use serde_json::json;

use self::first_token::{FirstToken, long_tokens};
use super::ModelArgs;
use crate::terminal::{figures, say};

/// `tiergate model bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Instructions to compute with, of those that this machine has; the fastest by default.
    #[arg(long, value_name = "portable|avx2|avx512-vnni", value_parser = instructions)]
    instructions: Option<Instructions>,
    /// Times that each measurement is taken.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repetitions: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The instructions of this name.
fn instructions(name: &str) -> Result<Instructions, String> {
    let available = Instructions::available();
    let found = available.iter().find(|it| it.name() == name).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = available.iter().map(|it| it.name()).collect();
        format!("this machine has {}", names.join(", "))
    })
}

const PROMPT: usize = 512;
const DECODED: usize = 64;
const SEQUENCES: usize = 8;
const SEQUENCE_PROMPT: usize = 32;
const SEQUENCE_STEPS: usize = 16;
const NEW: usize = 40;
const LABELS: usize = 16;
const REQUESTS: usize = 3;

/// Measures, and prints the medians and the spread.
pub(super) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let repetitions = usize::from(args.repetitions);
    let model = args.model.open_with(args.instructions)?;
    let report = measure(&model, args.model.threads(&model), repetitions)?;
    if args.json {
        say(report.json());
    } else {
        report.print();
    }
    Ok(())
}

/// What was measured.
struct Report {
    model: String,
    instructions: &'static str,
    threads: usize,
    /// Of the weights that a token is multiplied by.
    weights_bytes: u64,
    /// Tokens of the long prompt beside which a first token is waited for.
    long_tokens: usize,
    repetitions: Vec<Repetition>,
}

/// One round of all measurements; a second is the unit.
struct Repetition {
    prefill: f64,
    decode: f64,
    batch8: f64,
    label_requests: f64,
    /// 10^9 bytes of the weights that a token is multiplied by, read and not used.
    memory_gigabytes: f64,
    first_token: FirstToken,
}

fn measure(
    model: &Arc<Model>,
    threads: NonZeroUsize,
    repetitions: usize,
) -> anyhow::Result<Report> {
    let context = model.config().context_tokens;
    let needed = PROMPT + DECODED;
    ensure!(
        context >= needed,
        "{}: its context of {context} tokens is too short for the bench, which needs {needed}",
        model.name()
    );
    let options = EngineOptions {
        threads,
        ..EngineOptions::for_model(model)
    };
    let mut bench = Bench {
        engine: Engine::start(Arc::clone(model), options)?,
        step_tokens: options.step_tokens.get(),
        session: Session::new(Arc::clone(model)).with_threads(threads),
        scorer: LabelScorer::new(Arc::clone(model)).with_threads(threads),
        random: Random(1),
        vocabulary: model.config().vocabulary as u64,
        model,
        threads,
    };
    let warm_up = bench.tokens(64);
    bench.session.prefill(&warm_up)?;
    Ok(Report {
        model: model.name().to_owned(),
        instructions: model.instructions().name(),
        threads: threads.get(),
        weights_bytes: model.read_weights(threads).1,
        long_tokens: long_tokens(context),
        repetitions: (0..repetitions)
            .map(|_| bench.repetition())
            .collect::<anyhow::Result<_>>()?,
    })
}

struct Bench<'a> {
    model: &'a Model,
    threads: NonZeroUsize,
    engine: Engine,
    step_tokens: usize,
    session: Session,
    scorer: LabelScorer,
    random: Random,
    vocabulary: u64,
}

impl Bench<'_> {
    fn tokens(&mut self, count: usize) -> Vec<u32> {
        self.random.tokens(count, self.vocabulary)
    }

    fn repetition(&mut self) -> anyhow::Result<Repetition> {
        let (prefill, decode) = self.prefill_and_decode()?;
        let (random, vocabulary) = (&mut self.random, self.vocabulary);
        let tokens = |count| random.tokens(count, vocabulary);
        Ok(Repetition {
            first_token: first_token::measure((&self.engine, self.step_tokens), tokens)?,
            prefill,
            decode,
            batch8: self.batch8()?,
            label_requests: self.label_requests()?,
            memory_gigabytes: self.memory(),
        })
    }

    fn prefill_and_decode(&mut self) -> anyhow::Result<(f64, f64)> {
        let (prompt, next) = (self.tokens(PROMPT), self.tokens(DECODED));
        self.session.truncate(0);
        let start = Instant::now();
        self.session.prefill(&prompt)?;
        self.session.logits()?;
        let prefill = rate(PROMPT, start);
        let start = Instant::now();
        for token in next {
            self.session.decode(token)?;
        }
        Ok((prefill, rate(DECODED, start)))
    }

    fn batch8(&mut self) -> anyhow::Result<f64> {
        self.session.truncate(0);
        let mut sessions: Vec<Session> = (0..SEQUENCES).map(|_| self.session.fork()).collect();
        for session in &mut sessions {
            session.prefill(&self.tokens(SEQUENCE_PROMPT))?;
        }
        let start = Instant::now();
        for _ in 0..SEQUENCE_STEPS {
            let tokens = self.tokens(SEQUENCES);
            let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
            Session::decode_together(&mut all, &tokens)?;
        }
        Ok(rate(SEQUENCES * SEQUENCE_STEPS, start))
    }

    fn label_requests(&mut self) -> anyhow::Result<f64> {
        let shared = self.tokens(PROMPT);
        self.scorer.score(&shared, &[vec![0]])?;
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let prompt = [shared.clone(), self.tokens(NEW)].concat();
            // Different first tokens, so that no two labels share work.
            let second = self.tokens(LABELS);
            let labels: Vec<Vec<u32>> = (0..).zip(second).map(|(i, s)| vec![i, s]).collect();
            self.scorer.score(&prompt, &labels)?;
        }
        Ok(rate(REQUESTS, start))
    }

    /// 10^9 bytes a second.
    fn memory(&self) -> f64 {
        let (took, bytes) = self.model.read_weights(self.threads);
        bytes as f64 / took.as_secs_f64() / 1e9
    }
}

fn rate(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// One of a repetition's measurements.
type Measurement = fn(&Repetition) -> f64;

/// What is reported, by name.
const COLUMNS: [(&str, Measurement); 5] = [
    ("prefill", |r| r.prefill),
    ("decode", |r| r.decode),
    ("batch8", |r| r.batch8),
    ("label_requests", |r| r.label_requests),
    ("memory_gigabytes", |r| r.memory_gigabytes),
];

/// What is reported in milliseconds.
const TIMES: [(&str, Measurement); 3] = [
    ("first_token_ms", |r| r.first_token.alone_ms),
    ("first_token_beside_long_ms", |r| r.first_token.beside_ms),
    ("chunk_ms", |r| r.first_token.chunk_ms),
];

impl Report {
    fn sorted(&self, of: Measurement) -> Vec<f64> {
        let mut values: Vec<f64> = self.repetitions.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn weights_gigabytes(&self) -> f64 {
        self.weights_bytes as f64 / 1e9
    }

    /// The medians by name, and all values beside them.
    fn json(&self) -> serde_json::Value {
        let mut fields = serde_json::Map::new();
        fields.insert("model".into(), json!(self.model));
        fields.insert("instructions".into(), json!(self.instructions));
        fields.insert("threads".into(), json!(self.threads));
        fields.insert("weights_gigabytes".into(), json!(self.weights_gigabytes()));
        fields.insert("long_tokens".into(), json!(self.long_tokens));
        for (name, of) in COLUMNS.into_iter().chain(TIMES) {
            let values = self.sorted(of);
            fields.insert(name.into(), json!(median(&values)));
            fields.insert(format!("{name}_all"), json!(values));
        }
        serde_json::Value::Object(fields)
    }

    fn print(&self) {
        self.print_table("a second", &COLUMNS);
        self.print_table("milliseconds", &TIMES);
        let weights = self.weights_gigabytes();
        let bound = median(&self.sorted(|r| r.memory_gigabytes)) / weights;
        say(format!(
            "{} threads, {}; reading {weights:.3} GB of weights for each token, this memory allows \
             {bound:.1} tokens a second",
            self.threads, self.instructions
        ));
        let times = TIMES.map(|(_, of)| median(&self.sorted(of)));
        let [alone, beside, chunk] = times;
        say(format!(
            "a short request's first token beside a prompt of {} tokens takes {beside:.0} ms; twice \
             its time alone and one chunk are {:.0} ms",
            self.long_tokens,
            2.0 * alone + chunk
        ));
    }

    fn print_table(&self, unit: &str, columns: &[(&str, Measurement)]) {
        let mut table = figures(&[unit, "median", "least", "most"]);
        for (name, of) in columns {
            let values = self.sorted(*of);
            let mut row = vec![(*name).to_owned()];
            let shown = [median(&values), values[0], values[values.len() - 1]];
            row.extend(shown.map(|value| format!("{value:.2}")));
            table.add_row(row);
        }
        say(table);
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn tokens(&mut self, count: usize, vocabulary: u64) -> Vec<u32> {
        let token = |_| u32::try_from(self.next() % vocabulary).unwrap_or(0);
        (0..count).map(token).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
