//! The engine's tests, through its public interface.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chat_template;
mod determinism;
mod embeddings;
mod engine;
mod gaps;
mod generate;
mod grammar;
mod hostile_files;
mod llama3_vocabulary;
mod logits;
mod model_file;
mod scoring;
mod starter;
mod support;
mod tokenizer;
mod tools;
mod wrong_files;
