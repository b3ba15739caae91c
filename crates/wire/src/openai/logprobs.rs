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

/// The list of tokens.
pub(super) fn token_list(tokens: &[TokenLogprob]) -> Json<'_> {
    list(tokens.iter().map(|token| {
        choice(&token.written).with("top_logprobs", list(token.top.iter().map(choice)))
    }))
}

fn choice(choice: &TokenChoice) -> Fields<'_> {
    let bytes = choice.bytes.as_ref();
    let bytes = bytes.map(|bytes| list(bytes.iter().map(|&byte| u32::from(byte))));
    Fields::new()
        .with("token", &choice.token)
        .with("logprob", choice.logprob)
        .with("bytes", bytes.unwrap_or(Json::Null))
}
