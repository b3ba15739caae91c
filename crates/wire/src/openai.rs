//! The protocols of OpenAI, one of which many servers speak.

pub mod chat;
pub mod models;
