//! What tells a message's text from the template's own in a rendered conversation.

use super::{ChatMessage, json};
use crate::tokenizer::{SpecialTokens, TokenId, Tokenizer};

/// Two characters that stand before and after the text of a message.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    pub(super) open: char,
    pub(super) close: char,
}

impl Marks {
    /// Noncharacters, which Unicode sets aside for such uses, that no message contains.
    pub(super) fn absent_from(
        messages: &[ChatMessage],
        structured: &[serde_json::Value],
    ) -> Option<Self> {
        let structured: String = structured.iter().map(|it| json::dumped(it, None)).collect();
        let in_message = |c: char| messages.iter().any(|it| it.content.contains(c));
        let absent = |c: &char| !in_message(*c) && !structured.contains(*c);
        let mut free = ('\u{fdd0}'..='\u{fdef}').filter(absent);
        Some(Self {
            open: free.next()?,
            close: free.next()?,
        })
    }

    /// `content` with the marks inside its outer white space, so that a template that trims it
    /// still does, and one that asks whether there is any text is told the truth.
    pub(super) fn around(self, content: &str) -> String {
        let text = content.trim();
        if text.is_empty() {
            return content.to_owned();
        }
        let start = content.len() - content.trim_start().len();
        let (before, after) = (&content[..start], &content[start + text.len()..]);
        [
            before,
            &String::from(self.open),
            text,
            &String::from(self.close),
            after,
        ]
        .concat()
    }
}

/// The tokens of a rendered conversation: control tokens outside the marks, plain text within.
///
/// Text of the template and of a message that touch are encoded as one, as they would be without
/// marks.
pub(super) fn encode_marked(
    tokenizer: &Tokenizer,
    rendered: &str,
    marks: Marks,
) -> Result<Vec<TokenId>, String> {
    let unbalanced = || {
        "it cuts messages into pieces, so that their text cannot be told from its own".to_owned()
    };
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut rest = rendered;
    loop {
        let (mut outside, message) = match rest.split_once(marks.open) {
            None => (rest, None),
            Some((outside, after)) => (
                outside,
                Some(after.split_once(marks.close).ok_or_else(unbalanced)?),
            ),
        };
        if outside.contains(marks.close) {
            return Err(unbalanced());
        }
        while let Some((before, token, after)) = tokenizer.split_at_control(outside) {
            plain.push_str(before);
            tokens.extend(tokenizer.encode(&plain, SpecialTokens::Plain));
            plain.clear();
            tokens.push(token);
            outside = after;
        }
        plain.push_str(outside);
        let Some((text, after)) = message else { break };
        if text.contains(marks.open) {
            return Err(unbalanced());
        }
        plain.push_str(text);
        rest = after;
    }
    tokens.extend(tokenizer.encode(&plain, SpecialTokens::Plain));
    Ok(tokens)
}
