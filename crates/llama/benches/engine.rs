//! The engine beside one thread for each request, with the starter model and a document's labels
//! at a time on all threads: `cargo bench -p llama --bench engine`.
//!
//! A document is 60 tokens after a shared prompt of about 120, with seven labels, as in
//! `label_scoring`. With the engine 32 documents are asked at once.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]
#![expect(clippy::unwrap_used, reason = "a bench may fail anywhere")]

use llama::{Answer, Engine, EngineOptions, LabelScorer, Model, Request, Tenant, TokenId, Work};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const DOCUMENTS: usize = 2000;
const ROUNDS: usize = 5;
const AT_ONCE: usize = 32;

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiergate-starter.gguf");
    let model = Arc::new(Model::open(&path).unwrap());
    let documents = documents(&model);
    let threads = std::thread::available_parallelism().unwrap().get();
    println!("documents/s on {threads} threads (median, worst, best of {ROUNDS})");
    report("a scorer for each thread", || {
        scorers(&model, &documents, threads)
    });
    report("the engine", || engine(&model, &documents));
}

fn report(name: &str, run: impl Fn()) {
    let rate = || {
        let start = Instant::now();
        run();
        DOCUMENTS as f64 / start.elapsed().as_secs_f64()
    };
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate()).collect();
    rates.sort_by(f64::total_cmp);
    let (median, worst, best) = (rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1]);
    println!("{name:<26} {median:>8.0} {worst:>8.0} {best:>8.0}");
}

struct Documents {
    prompts: Vec<Vec<TokenId>>,
    labels: Vec<Vec<TokenId>>,
}

fn documents(model: &Model) -> Documents {
    let mut random = Random(1);
    let vocabulary = model.config().vocabulary;
    let shared = random.tokens(120, vocabulary);
    let label = |(i, length): (usize, usize)| {
        let mut label = random.tokens(length, vocabulary);
        label[0] = i as TokenId + 300;
        label
    };
    let labels = [1, 1, 1, 2, 2, 3, 3]
        .into_iter()
        .enumerate()
        .map(label)
        .collect();
    let prompts = (0..DOCUMENTS).map(|_| [shared.clone(), random.tokens(60, vocabulary)].concat());
    Documents {
        prompts: prompts.collect(),
        labels,
    }
}

fn scorers(model: &Arc<Model>, documents: &Documents, threads: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut scorer = LabelScorer::new(Arc::clone(model));
                while let Some(prompt) = documents.prompts.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    scorer.score(prompt, &documents.labels).unwrap();
                }
            });
        }
    });
}

fn engine(model: &Arc<Model>, documents: &Documents) {
    let engine = Engine::start(Arc::clone(model), EngineOptions::for_model(model)).unwrap();
    let mut under_way: VecDeque<Answer> = VecDeque::new();
    for prompt in &documents.prompts {
        if under_way.len() == AT_ONCE {
            under_way.pop_front().unwrap().wait().unwrap();
        }
        let work = Work::Score {
            prompt: prompt.clone(),
            labels: documents.labels.clone(),
        };
        let tenant = Tenant::new("bench");
        under_way.push_back(engine.ask(Request { tenant, work }).unwrap());
    }
    for answer in under_way {
        answer.wait().unwrap();
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<TokenId> {
        (0..count)
            .map(|_| (self.next() % vocabulary as u64) as TokenId)
            .collect()
    }
}
