//! Tokens to text as they come.

use super::{TokenId, Tokenizer};

/// Turns tokens into text one at a time; a character whose bytes are spread over several tokens
/// comes out with the last of them.
#[derive(Default)]
pub struct TextStream {
    /// The beginning of a character: at most three bytes.
    pending: Vec<u8>,
}

impl TextStream {
    /// A stream that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text that `token` completes; bytes that cannot become a character are U+FFFD.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: TokenId) -> String {
        self.pending.extend_from_slice(tokenizer.bytes(token));
        let complete = self.pending.len() - incomplete_tail(&self.pending);
        let rest = self.pending.split_off(complete);
        let bytes = std::mem::replace(&mut self.pending, rest);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is left when no more tokens come: empty, or U+FFFD for a character cut in two.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Bytes at the end that may yet become a character.
fn incomplete_tail(bytes: &[u8]) -> usize {
    (1..=3.min(bytes.len()))
        .find(|length| {
            let tail = &bytes[bytes.len() - length..];
            matches!(std::str::from_utf8(tail), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none())
        })
        .unwrap_or(0)
}
