//! The protocols of OpenAI, one of which many servers speak.

pub mod chat;
mod logprobs;
pub mod models;
pub mod responses;
