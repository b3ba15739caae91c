//! Names of tokens that are found in text whole, before it is cut into pieces.

use super::TokenId;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Names by their first byte, the longest first.
#[derive(Default)]
pub(super) struct Names(HashMap<u8, Vec<Name>>);

struct Name {
    bytes: Box<[u8]>,
    token: TokenId,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = (&'a str, TokenId)>) -> Self {
        let mut by_first: HashMap<u8, Vec<Name>> = HashMap::new();
        for (name, token) in names {
            if let Some(first) = name.bytes().next() {
                let bytes = name.as_bytes().into();
                by_first
                    .entry(first)
                    .or_default()
                    .push(Name { bytes, token });
            }
        }
        for names in by_first.values_mut() {
            names.sort_by_key(|name| (Reverse(name.bytes.len()), name.token));
        }
        Self(by_first)
    }

    /// The token of exactly this name.
    pub(super) fn token(&self, name: &str) -> Option<TokenId> {
        let names = self.0.get(name.as_bytes().first()?)?;
        names
            .iter()
            .find(|known| *known.bytes == *name.as_bytes())
            .map(|known| known.token)
    }

    /// The first name in `text`: what is before it, its token, what is after it. Where several
    /// begin at one place the longest counts.
    pub(super) fn split<'t>(&self, text: &'t str) -> Option<(&'t str, TokenId, &'t str)> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        bytes.iter().enumerate().find_map(|(at, first)| {
            let names = self.0.get(first)?;
            let name = names
                .iter()
                .find(|name| bytes[at..].starts_with(&name.bytes))?;
            // A name is valid UTF-8 in valid UTF-8, so that both cuts are between characters.
            Some((
                text.get(..at)?,
                name.token,
                text.get(at + name.bytes.len()..)?,
            ))
        })
    }
}
