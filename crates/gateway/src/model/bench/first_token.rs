//! How long a short request waits for its first token, alone and while a long prompt is read.

use std::time::{Duration, Instant};

use llama::{Engine, GenerationOptions, Request, Sampling, Tenant, TokenId, Work};

/// Tokens of the short prompt.
const SHORT: usize = 40;
/// Tokens of the long one, where the model's context has room for them.
const LONG: usize = 4_096;

/// The times to the first token of a short prompt, in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct FirstToken {
    pub(super) alone_ms: f64,
    /// While a long prompt is read.
    pub(super) beside_ms: f64,
    /// To that of a prompt that fills one step: what a long one is cut into.
    pub(super) chunk_ms: f64,
}

/// How long the long prompt is in a context of so many tokens.
pub(super) fn long_tokens(context_tokens: usize) -> usize {
    LONG.min(context_tokens.saturating_sub(1)).max(1)
}

/// Measures an engine with steps of so many tokens, by prompts that `tokens` makes, so that none is
/// known from one before.
///
/// # Errors
/// When the engine refuses a request or breaks.
pub(super) fn measure(
    (engine, step_tokens): (&Engine, usize),
    mut tokens: impl FnMut(usize) -> Vec<TokenId>,
) -> anyhow::Result<FirstToken> {
    let long = long_tokens(engine.model().config().context_tokens);
    let short = SHORT.min(long);
    let alone_ms = first_token_ms(engine, tokens(short))?;
    let chunk_ms = first_token_ms(engine, tokens(step_tokens.min(long)))?;
    let before = engine.stats().steps;
    let reading = engine.ask(request(tokens(long)))?;
    // From the end of its first step on it is under way.
    while engine.stats().steps == before {
        std::thread::sleep(Duration::from_micros(100));
    }
    let beside_ms = first_token_ms(engine, tokens(short))?;
    // Nobody waits for it: it leaves the engine.
    drop(reading);
    while engine.stats().running > 0 {
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(FirstToken {
        alone_ms,
        beside_ms,
        chunk_ms,
    })
}

fn first_token_ms(engine: &Engine, prompt: Vec<TokenId>) -> anyhow::Result<f64> {
    let start = Instant::now();
    engine.ask(request(prompt))?.wait()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn request(prompt: Vec<TokenId>) -> Request {
    Request {
        tenant: Tenant::new("bench"),
        work: Work::Write {
            prompt,
            options: GenerationOptions {
                max_tokens: 1,
                ..GenerationOptions::default()
            },
            rules: Sampling::default(),
            streams: false,
        },
    }
}
