//! The protocols of OpenAI, one of which many servers speak.

pub mod chat;
pub mod completions;
pub mod decisions;
pub mod embeddings;
mod logprobs;
pub mod models;
pub mod responses;
