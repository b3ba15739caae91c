//! Log-probabilities as all of OpenAI's protocols have them.

use domain::{TokenChoice, TokenLogprob};
use serde::Deserialize;

use crate::json::{Fields, Json, list};

/// A token with its log-probability.
#[derive(Deserialize)]
pub(super) struct TokenBody {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    top_logprobs: Vec<TokenBody>,
}

/// The tokens of these bodies.
pub(super) fn read_tokens(tokens: Vec<TokenBody>) -> Vec<TokenLogprob> {
    let read = |mut token: TokenBody| TokenLogprob {
        top: std::mem::take(&mut token.top_logprobs)
            .into_iter()
            .map(TokenBody::into_choice)
            .collect(),
        written: token.into_choice(),
    };
    tokens.into_iter().map(read).collect()
}

impl TokenBody {
    fn into_choice(self) -> TokenChoice {
        TokenChoice {
            token: self.token,
            logprob: self.logprob,
            bytes: self.bytes,
        }
    }
}

/// Whether the bytes of a token are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Where the vendor tells them, and null otherwise.
    WhereTold,
    /// Always: those of the text, where the vendor tells none.
    Always,
}

/// The list of tokens.
pub(super) fn token_list(tokens: &[TokenLogprob], bytes: Bytes) -> Json<'_> {
    list(tokens.iter().map(|token| {
        let top = token.top.iter().map(|it| choice(it, bytes));
        choice(&token.written, bytes).with("top_logprobs", list(top))
    }))
}

fn choice(choice: &TokenChoice, bytes: Bytes) -> Fields<'_> {
    let told = match (&choice.bytes, bytes) {
        (Some(told), _) => Some(told.as_slice()),
        (None, Bytes::Always) => Some(choice.token.as_bytes()),
        (None, Bytes::WhereTold) => None,
    };
    let told = told.map(|told| list(told.iter().map(|&byte| u32::from(byte))));
    Fields::new()
        .with("token", &choice.token)
        .with("logprob", choice.logprob)
        .with("bytes", told.unwrap_or(Json::Null))
}
