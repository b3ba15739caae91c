//! Documents a second, and tokens a second of reading, with the starter model on one thread:
//! `cargo bench -p llama`.
//!
//! A document is 60 tokens after a shared prompt of about 120, with seven labels of one to three
//! tokens: what the demo's tasks look like, with longer labels.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]
#![expect(clippy::unwrap_used, reason = "a bench may fail anywhere")]

use llama::{Instructions, LabelScorer, Model, Session, TokenId};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const DOCUMENTS: usize = 300;
const DOCUMENT_TOKENS: usize = 60;
const PROMPT_TOKENS: usize = 120;
const ROUNDS: usize = 5;

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiergate-starter.gguf");
    println!("instructions   documents/s (median, worst, best of {ROUNDS})   prefill tokens/s");
    for instructions in Instructions::available() {
        let model = Arc::new(Model::open(&path).unwrap().with_instructions(instructions));
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| documents_a_second(&model)).collect();
        rates.sort_by(f64::total_cmp);
        println!(
            "{:<14} {:>11.0} {:>8.0} {:>8.0} {:>36.0}",
            instructions.name(),
            rates[ROUNDS / 2],
            rates[0],
            rates[ROUNDS - 1],
            prefill_tokens_a_second(&model),
        );
    }
}

fn documents_a_second(model: &Arc<Model>) -> f64 {
    let mut random = Random(1);
    let vocabulary = model.config().vocabulary;
    let shared = random.tokens(PROMPT_TOKENS, vocabulary);
    let labels: Vec<Vec<TokenId>> = [1, 1, 1, 2, 2, 3, 3]
        .into_iter()
        .enumerate()
        .map(|(i, length)| {
            // Different first tokens, as labels mostly have.
            let mut label = random.tokens(length, vocabulary);
            label[0] = i as TokenId + 300;
            label
        })
        .collect();
    let mut scorer = LabelScorer::new(Arc::clone(model));
    scorer.score(&shared, &labels).unwrap();
    let start = Instant::now();
    for _ in 0..DOCUMENTS {
        let mut prompt = shared.clone();
        prompt.extend(random.tokens(DOCUMENT_TOKENS, vocabulary));
        scorer.score(&prompt, &labels).unwrap();
    }
    DOCUMENTS as f64 / start.elapsed().as_secs_f64()
}

fn prefill_tokens_a_second(model: &Arc<Model>) -> f64 {
    let mut session = Session::new(Arc::clone(model));
    let count = 256.min(model.config().context_tokens);
    let tokens = Random(2).tokens(count, model.config().vocabulary);
    let rates = (0..ROUNDS).map(|_| {
        session.truncate(0);
        let start = Instant::now();
        session.prefill(&tokens).unwrap();
        count as f64 / start.elapsed().as_secs_f64()
    });
    let mut rates: Vec<f64> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
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
