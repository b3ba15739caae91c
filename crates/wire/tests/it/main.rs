//! The protocols in all directions, from fixtures of our own and, where they are at hand, from
//! recorded answers of vendors.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod anthropic;
mod completions;
mod decisions;
mod embeddings;
mod google;
mod multipart;
mod openai_chat;
mod pairs;
mod recorded;
mod responses;
mod untouched;
mod values;
