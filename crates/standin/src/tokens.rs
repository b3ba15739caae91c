//! The stand-in's tokens: pieces of at most four bytes, cut between characters.
//!
//! A vendor's tokenizer is not at hand; what matters is that anybody can count the same tokens
//! again, that there are never more of them than bytes, and that English text has about a quarter
//! as many tokens as bytes.

use domain::{Message, Prompt, PromptTokens};

/// Most bytes of a token. The longest character has as many.
const PIECE_BYTES_MAX: usize = 4;
/// Tokens by which each message of a prompt counts beyond its content.
const TOKENS_BY_MESSAGE: u64 = 4;

/// The tokens of a text in order; together they are the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.floor_char_boundary(PIECE_BYTES_MAX);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// The tokens of a prompt: those of each content, and four for each message.
pub(crate) fn prompt_tokens(prompt: &Prompt) -> PromptTokens {
    let tokens = |message: &Message| pieces(&message.text()).count() as u64 + TOKENS_BY_MESSAGE;
    PromptTokens(prompt.messages.iter().map(tokens).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Role;

    #[test]
    fn pieces_are_short_and_together_the_text() {
        for text in ["", "a", "abcdefghi", "äöü", "🦀🦀", "a漢字b"] {
            let parts: Vec<&str> = pieces(text).collect();
            assert_eq!(parts.concat(), text);
            assert!(
                parts.iter().all(|part| (1..=4).contains(&part.len())),
                "{parts:?}"
            );
        }
        assert_eq!(pieces("abcdefghi").count(), 3);
    }

    #[test]
    fn a_prompt_counts_its_contents_and_its_messages() {
        let messages = vec![
            Message::new(Role::System, "eight by"),
            Message::new(Role::User, "nine byte"),
        ];
        assert_eq!(
            prompt_tokens(&Prompt::new(messages)),
            PromptTokens(2 + 3 + 8)
        );
    }
}
