//! Many requests at once.

mod memory;
mod same_bits;
mod sharing;

use crate::support::tiny::{self, Random, Shape};
use llama::{
    Answer, Engine, EngineOptions, GenerationOptions, Model, Outcome, Request, Sampling, Tenant,
    Work,
};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A small model with room for long prompts.
fn model() -> Arc<Model> {
    let shape = Shape {
        context: 16_384,
        ..Shape::default()
    };
    tiny::model(&shape).open()
}

fn options(model: &Model) -> EngineOptions {
    EngineOptions {
        threads: some(2),
        ..EngineOptions::for_model(model)
    }
}

fn some(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn request(tenant: &str, work: Work) -> Request {
    let tenant = Tenant::new(tenant);
    Request { tenant, work }
}

/// A text of one token after a prompt.
fn one_token(prompt: Vec<u32>) -> Work {
    let options = GenerationOptions {
        max_tokens: 1,
        ..GenerationOptions::default()
    };
    Work::Write {
        prompt,
        options,
        rules: Sampling::default(),
        streams: false,
    }
}

/// A text that goes on and on, and that waits for its reader before it has come far.
fn endless() -> Work {
    Work::Write {
        prompt: vec![1, 2, 3],
        options: GenerationOptions {
            max_tokens: usize::MAX,
            ..GenerationOptions::default()
        },
        rules: Sampling {
            // A long word, again and again.
            logit_bias: vec![(hello(), 1000.0)],
            ..Sampling::default()
        },
        streams: true,
    }
}

fn hello() -> u32 {
    let tokens = model()
        .tokenizer()
        .encode("hello", llama::SpecialTokens::Plain);
    assert_eq!(tokens.len(), 1);
    tokens[0]
}

fn prompt(seed: u64, length: usize) -> Vec<u32> {
    Random(seed).tokens(length, 250)
}

/// Tokens of the prompt that were there already.
fn cached(answer: Answer) -> usize {
    answer.wait().unwrap().cached_tokens
}

fn text(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Written(generated) => &generated.text,
        other => panic!("{other:?} is no text"),
    }
}

fn until_one_runs(engine: &Engine) {
    while engine.stats().running == 0 {
        std::thread::yield_now();
    }
}
