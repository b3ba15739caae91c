//! Filling gaps: the tokens by which a model made for code is told what stands before and behind
//! a gap, so that it writes what is missing.

use super::load::Listed;
use super::{SpecialTokens, TokenId, Tokenizer};
use crate::error::{Fault, Parsed, Place};
use crate::gguf::Gguf;

/// The tokens that mark the parts of a text with a gap, in the order in which they are given:
/// `before` and the text before the gap, `behind` and the text behind it, `middle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapIds {
    /// Stands before the text that goes up to the gap.
    pub before: TokenId,
    /// Stands before the text that follows the gap.
    pub behind: TokenId,
    /// Stands before what fills the gap.
    pub middle: TokenId,
}

/// What a marker is called: the file's keys for it, newer and older, and the names that models
/// without these keys have for it (Qwen and GLM, StarCoder and Granite, DeepSeek, CodeLlama).
struct Marker {
    keys: [&'static str; 2],
    names: [&'static str; 6],
}

const BEFORE: Marker = Marker {
    keys: ["fim_pre_token_id", "prefix_token_id"],
    names: [
        "<|fim_prefix|>",
        "<fim_prefix>",
        "<fim-prefix>",
        "<｜fim▁begin｜>",
        "\u{2581}<PRE>",
        "<|code_prefix|>",
    ],
};
const BEHIND: Marker = Marker {
    keys: ["fim_suf_token_id", "suffix_token_id"],
    names: [
        "<|fim_suffix|>",
        "<fim_suffix>",
        "<fim-suffix>",
        "<｜fim▁hole｜>",
        "\u{2581}<SUF>",
        "<|code_suffix|>",
    ],
};
const MIDDLE: Marker = Marker {
    keys: ["fim_mid_token_id", "middle_token_id"],
    names: [
        "<|fim_middle|>",
        "<fim_middle>",
        "<fim-middle>",
        "<｜fim▁end｜>",
        "\u{2581}<MID>",
        "<|code_middle|>",
    ],
};

impl GapIds {
    /// Those of a file, where it has all three.
    pub(super) fn read(file: &Gguf<'_>, listed: &Listed<'_>) -> Parsed<Option<Self>> {
        let before = BEFORE.token(file, listed)?;
        let behind = BEHIND.token(file, listed)?;
        let middle = MIDDLE.token(file, listed)?;
        let all = before.zip(behind).zip(middle);
        Ok(all.map(|((before, behind), middle)| Self {
            before,
            behind,
            middle,
        }))
    }
}

impl Marker {
    fn token(&self, file: &Gguf<'_>, listed: &Listed<'_>) -> Parsed<Option<TokenId>> {
        for key in self.keys {
            let key = format!("tokenizer.ggml.{key}");
            if let Some(token) = named(file, &key, listed.len())? {
                return Ok(Some(token));
            }
        }
        let (control, added) = listed.marks();
        let of_name = |name: &&str| control.token(name).or_else(|| added.token(name));
        Ok(self.names.iter().find_map(of_name))
    }
}

/// The token that a key of the file names.
pub(super) fn named(file: &Gguf<'_>, key: &str, vocabulary: usize) -> Parsed<Option<TokenId>> {
    match file.usize(key)? {
        Some(token) if token < vocabulary => Ok(Some(token as TokenId)),
        Some(token) => {
            let message = format!("token {token} is outside the vocabulary of {vocabulary}");
            Err(Fault::malformed(Place::Key(key.to_owned()), message))
        }
        None => Ok(None),
    }
}

impl Tokenizer {
    /// The tokens after which the gap between two texts is to be filled; none where the file has
    /// no tokens to say so with. Whatever the texts contain, no marker comes from them.
    pub fn encode_gap(&self, before: &str, behind: &str) -> Option<Vec<TokenId>> {
        let marks = self.special().gap?;
        let all = [marks.before, marks.behind, marks.middle];
        let mut tokens: Vec<TokenId> = self.special().bos_of_plain().collect();
        let plain = |text: &str| {
            let mut tokens = self.encode(text, SpecialTokens::Plain);
            tokens.retain(|token| !all.contains(token));
            tokens
        };
        tokens.push(marks.before);
        tokens.extend(plain(before));
        tokens.push(marks.behind);
        tokens.extend(plain(behind));
        tokens.push(marks.middle);
        Some(tokens)
    }
}
