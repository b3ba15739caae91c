//! The engine's tests, through its public interface.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod logits;
mod starter;
mod support;
