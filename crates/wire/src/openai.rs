//! The protocol of OpenAI, which many servers speak.

pub mod chat;
pub mod error;
pub mod models;

/// JSON of a wire type of ours or of JSON that was read.
fn json(body: &impl serde::Serialize) -> String {
    match serde_json::to_string(body) {
        Ok(text) => text,
        // Writing to memory can't fail, and our types have string keys and finite numbers only.
        Err(error) => unreachable!("a wire type that is no JSON: {error}"),
    }
}
