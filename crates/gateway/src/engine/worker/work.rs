//! Requests as the engine takes them, and what comes of them as the program does.

use llama::{
    Answered, Engine, GenerationOptions, Model, Outcome, Refused, RequestError, TokenId,
    WrittenToken,
};
use wire::embedding::EmbeddingText;

use crate::engine::protocol::{
    Choice, End, FaultKind, Load, Piece, Prompt, Token, Usage, Work, Writing, Written,
};

/// What is told of a message that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Text,
    /// Its tokens too.
    Tokens,
}

impl Told {
    pub(super) fn of(work: &Work) -> Self {
        match work {
            Work::Write(writing) if writing.tells_tokens => Self::Tokens,
            _ => Self::Text,
        }
    }
}

/// A request that was looked at.
pub(super) enum Prepared {
    /// It takes computing.
    Work(llama::Work),
    /// It is answered already.
    Done(End),
}

/// Makes a request into tokens.
pub(super) fn prepare(engine: &Engine, work: Work) -> Result<Prepared, RequestError> {
    let model = engine.model();
    let work = match work {
        Work::Score { chat, labels } => {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            llama::Work::score_chat(model, &chat.messages, &labels)?
        }
        Work::Write(writing) => write(model, *writing)?,
        Work::Embed(EmbeddingText::Plain(text)) => llama::Work::embed_text(model, &text),
        Work::Embed(EmbeddingText::Tokens(tokens)) => llama::Work::embed_tokens(model, tokens),
        Work::Count(prompt) => {
            let work = begun(model, &prompt, GenerationOptions::default())?;
            let tokens = work.tokens().len();
            return Ok(Prepared::Done(End::Counted(tokens as u64)));
        }
        Work::Report => return Ok(Prepared::Done(End::Reported(load(engine)))),
    };
    Ok(Prepared::Work(work))
}

fn write(model: &Model, writing: Writing) -> Result<llama::Work, RequestError> {
    let options = GenerationOptions {
        max_tokens: writing.max_tokens,
        temperature: writing.temperature,
        seed: writing.seed,
        stop: writing.stop,
    };
    let work = begun(model, &writing.prompt, options)?.by(writing.rules);
    Ok(match writing.streams {
        true => work.streamed(),
        false => work,
    })
}

fn begun(
    model: &Model,
    prompt: &Prompt,
    options: GenerationOptions,
) -> Result<llama::Work, RequestError> {
    match prompt {
        Prompt::Chat(chat) => {
            llama::Work::write_chat(model, (&chat.messages, &chat.tools), options)
        }
        Prompt::Text { text, suffix } => {
            llama::Work::continue_text(model, (text, suffix.as_deref()), options)
        }
    }
}

fn load(engine: &Engine) -> Load {
    let stats = engine.stats();
    Load {
        waiting: stats.waiting as u64,
        running: stats.running as u64,
        kv_bytes: stats.kv_bytes,
        kv_bytes_max: stats.kv_bytes_max,
        prefix_bytes: stats.prefix_bytes,
        steps: stats.steps,
        computed_tokens: stats.computed_tokens,
        cached_tokens: stats.cached_tokens,
        preempted: stats.preempted,
        tokens_per_second: stats.tokens_per_second,
    }
}

/// How a request ends that the engine did not take.
pub(super) fn refusal(refused: &Refused) -> End {
    match refused {
        Refused::Full { wait } => End::Busy {
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        },
        Refused::Request(error) => failure(error),
        other => End::Failed {
            fault: FaultKind::Engine,
            message: other.to_string(),
        },
    }
}

fn failure(error: &RequestError) -> End {
    let fault = match error {
        RequestError::ContextExceeded { .. }
        | RequestError::MemoryExceeded { .. }
        | RequestError::Grammar { .. }
        | RequestError::ChatTemplate { .. }
        | RequestError::NoGapTokens { .. }
        | RequestError::UnknownToken { .. }
        | RequestError::EmptyPrompt => FaultKind::Request,
        _ => FaultKind::Engine,
    };
    End::Failed {
        fault,
        message: error.to_string(),
    }
}

/// A piece of a message, as it is told.
pub(super) fn piece(model: &Model, piece: llama::Piece, told: Told) -> Piece {
    let log_probabilities = piece.tokens.iter().map(|it| it.log_probability);
    let log_probabilities = log_probabilities.collect();
    let tokens = match told {
        Told::Text => Vec::new(),
        Told::Tokens => {
            let mut tokens = piece.tokens;
            tokens.retain(|it| !model.tokenizer().ends_answer(it.token));
            named(model, tokens)
        }
    };
    Piece {
        text: piece.text,
        log_probabilities,
        tokens,
    }
}

/// How a request ended that the engine took, as it is told.
pub(super) fn end(model: &Model, result: Result<Answered, RequestError>, told: Told) -> End {
    let answered = match result {
        Ok(answered) => answered,
        Err(error) => return failure(&error),
    };
    let usage = Usage {
        prompt: answered.prompt_tokens as u64,
        cached: answered.cached_tokens as u64,
    };
    match answered.outcome {
        Outcome::Scored(log_probabilities) => End::Scored {
            log_probabilities,
            usage,
        },
        Outcome::Written(written) => End::Written(Written {
            tokens: match told {
                Told::Text => Vec::new(),
                Told::Tokens => named(model, written.text_tokens(model.tokenizer())),
            },
            text: written.text,
            log_probabilities: written.log_probabilities,
            finish: written.finish,
            usage,
        }),
        Outcome::Embedded(vector) => End::Embedded { vector, usage },
    }
}

/// Tokens with their bytes: their numbers mean nothing to the program.
fn named(model: &Model, tokens: Vec<WrittenToken>) -> Vec<Token> {
    let choice = |token: TokenId, log_probability: f64| Choice {
        bytes: model.tokenizer().bytes(token).to_vec(),
        log_probability,
    };
    let named = |it: WrittenToken| Token {
        written: choice(it.token, it.log_probability),
        top: it
            .alternatives
            .into_iter()
            .map(|(token, log_probability)| choice(token, log_probability))
            .collect(),
    };
    tokens.into_iter().map(named).collect()
}
