//! An engine for Llama-family language models on the CPU: it reads GGUF files, computes, and
//! scores or generates text. It knows nothing of the rest of this project.
//!
//! The story, from a file to an answer:
//!
//! ```text
//!  file ─► gguf ─► model (config, weights repacked for the kernels, tokenizer, chat template)
//!                    │
//!  messages ─► chat_template ─► tokenizer ─► session ─► forward ─► kernels
//!                                              │ ▲         │
//!                                              │ └ kv_cache┘
//!                                              ├─► scoring   how probable is each of these labels?
//!                                              └─► generate  what comes next?
//!
//!  engine: many such requests at once, on one model
//! ```
//!
//! Two promises shape the code. *The same input gives the same bits*, whatever is computed beside
//! it, however it is cut, on any thread count and with any instructions: see [`Instructions`]. And
//! *a file or a text from a stranger is data*: a file is parsed with every length checked, its
//! template runs on a budget, and no text of a message can become a control token.
//!
//! ```no_run
//! use llama::{ChatMessage, LabelScorer, Model, Role, probabilities};
//! use std::{path::Path, sync::Arc};
//!
//! let model = Arc::new(Model::open(Path::new("model.gguf"))?);
//! let mut scorer = LabelScorer::new(model);
//! let messages = [
//!     ChatMessage::new(Role::System, "Does the headline say that gold goes up or down?"),
//!     ChatMessage::new(Role::User, "gold settles at three-month high"),
//! ];
//! let scores = scorer.score_chat(&messages, &["up", "down"])?;
//! println!("{:?}", probabilities(&scores.log_probabilities));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cancel;
mod chat_template;
mod engine;
mod error;
mod forward;
mod generate;
mod gguf;
mod grammar;
mod kernels;
mod kv_cache;
mod model;
mod probability;
mod sampling;
mod scoring;
mod session;
mod tokenizer;
mod tools;

/// The version of this engine: the same one gives the same bits for the same input.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use cancel::Cancel;
pub use chat_template::{ChatMessage, ChatTemplate, Role};
pub use engine::{
    Answer, Answered, Engine, EngineOptions, EngineStats, Event, Outcome, Piece, Refused, Request,
    Tenant, Work,
};
pub use error::{MemoryNeed, ModelError, Place, RequestError};
pub use generate::{FinishReason, Generated, GenerationOptions, WrittenToken};
pub use grammar::Grammar;
pub use kernels::Instructions;
pub use model::{
    Config, LoadOptions, LoadProgress, Model, ModelFile, Rope, TensorGroup, available_memory_bytes,
};
pub use probability::{expected_step, log_sum_exp, prior_corrected, probabilities};
pub use sampling::Sampling;
pub use scoring::{LabelScorer, LabelScores};
pub use session::{Pooling, Session};
pub use tokenizer::{
    GapIds, PreTokenizer, SpecialIds, SpecialTokens, TextStream, TokenId, Tokenizer,
};
pub use tools::{Tool, ToolCall, ToolEvent, ToolReader};
