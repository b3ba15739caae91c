//! The protocol of Anthropic.

pub mod messages;
pub mod models;
