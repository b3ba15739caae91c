//! SentencePiece's vocabularies (Llama 1 and 2): characters are merged by the score of what they
//! become, the highest first, the leftmost of equals; what is no token in the end is spelled out
//! byte by byte (Kudo and Richardson 2018, "SentencePiece").
//!
//! A space is the character U+2581 in these vocabularies, and text gets one before its first word
//! where the file says so, so that a word is the same token wherever it stands.

use super::TokenId;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

/// What a space is in the vocabulary.
pub(super) const SPACE: &str = "\u{2581}";

/// The merging part of a SentencePiece vocabulary.
pub(super) struct SentencePiece {
    /// By the bytes that they stand for, spaces as spaces. No control tokens.
    tokens: HashMap<Box<[u8]>, Scored>,
    of_byte: [TokenId; 256],
    /// Whether text gets a space before it.
    pub(super) space_first: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Scored {
    pub(super) token: TokenId,
    pub(super) score: f32,
}

/// A part of the text, linked to its neighbours.
struct Part {
    start: usize,
    /// 0 where it was merged into the part before it.
    length: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that could become a token.
struct Candidate {
    score: f32,
    left: Reverse<usize>,
    /// Both parts' length together: it tells whether they are still what they were.
    length: usize,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let score = self.score.total_cmp(&other.score);
        score
            .then(self.left.cmp(&other.left))
            .then(self.length.cmp(&other.length))
    }
}

impl SentencePiece {
    pub(super) fn new(
        tokens: HashMap<Box<[u8]>, Scored>,
        of_byte: [TokenId; 256],
        space_first: bool,
    ) -> Self {
        Self {
            tokens,
            of_byte,
            space_first,
        }
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<TokenId>) {
        if text.is_empty() {
            return;
        }
        if self.space_first {
            self.merge(&[" ", text].concat(), tokens);
        } else {
            self.merge(text, tokens);
        }
    }

    fn merge(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let bytes = text.as_bytes();
        let mut parts = characters(text);
        let mut heap = BinaryHeap::new();
        for left in 0..parts.len() {
            self.offer(bytes, &parts, Some(left), &mut heap);
        }
        while let Some(Candidate { left, length, .. }) = heap.pop() {
            let left = left.0;
            let Some(right) = parts[left].next else {
                continue;
            };
            let gone = parts[left].length == 0 || parts[right].length == 0;
            if gone || parts[left].length + parts[right].length != length {
                continue;
            }
            parts[left].length = length;
            parts[left].next = parts[right].next;
            parts[right].length = 0;
            if let Some(after) = parts[right].next {
                parts[after].previous = Some(left);
            }
            self.offer(bytes, &parts, Some(left), &mut heap);
            self.offer(bytes, &parts, parts[left].previous, &mut heap);
        }
        for part in parts.iter().filter(|part| part.length > 0) {
            let piece = &bytes[part.start..][..part.length];
            match self.tokens.get(piece) {
                Some(scored) => tokens.push(scored.token),
                None => tokens.extend(piece.iter().map(|b| self.of_byte[usize::from(*b)])),
            }
        }
    }

    /// Offers the part and its right neighbour for merging, where that makes a token.
    fn offer(
        &self,
        bytes: &[u8],
        parts: &[Part],
        left: Option<usize>,
        heap: &mut BinaryHeap<Candidate>,
    ) {
        let Some(left) = left else { return };
        let Some(right) = parts[left].next else {
            return;
        };
        let length = parts[left].length + parts[right].length;
        if let Some(scored) = self.tokens.get(&bytes[parts[left].start..][..length]) {
            heap.push(Candidate {
                score: scored.score,
                left: Reverse(left),
                length,
            });
        }
    }
}

/// The characters of a text, linked.
fn characters(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = text
        .char_indices()
        .enumerate()
        .map(|(i, (start, character))| Part {
            start,
            length: character.len_utf8(),
            previous: i.checked_sub(1),
            next: Some(i + 1),
        })
        .collect();
    if let Some(last) = parts.last_mut() {
        last.next = None;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Single letters but `z`, and a few words of them, with scores that tie and overlap.
    fn vocabulary() -> SentencePiece {
        let words = [
            (" ", -1.0),
            ("a", -1.0),
            ("b", -1.0),
            ("c", -1.0),
            ("é", -1.0),
            ("ab", -2.0),
            ("bc", -2.0),
            ("abc", -3.5),
            (" a", -3.0),
            ("  ", -2.5),
            ("cc", -2.0),
            ("ccc", -4.0),
            ("éa", -1.5),
            (" ab", -2.25),
        ];
        let tokens = (300..).zip(words).map(|(token, (word, score))| {
            let word = word.as_bytes().into();
            (word, Scored { token, score })
        });
        SentencePiece::new(
            tokens.collect(),
            std::array::from_fn(|byte| byte as u32),
            false,
        )
    }

    /// The definition, word for word: look at all neighbours, merge the best, begin again.
    fn plainly(vocabulary: &SentencePiece, text: &str) -> Vec<TokenId> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let mut best: Option<(f32, usize)> = None;
            for i in 1..parts.len() {
                let joined = [parts[i - 1].as_str(), &parts[i]].concat();
                if let Some(scored) = vocabulary.tokens.get(joined.as_bytes())
                    && best.is_none_or(|(score, _)| scored.score > score)
                {
                    best = Some((scored.score, i));
                }
            }
            let Some((_, i)) = best else { break };
            let right = parts.remove(i);
            parts[i - 1].push_str(&right);
        }
        let token = |part: &String| match vocabulary.tokens.get(part.as_bytes()) {
            Some(scored) => vec![scored.token],
            None => part.bytes().map(TokenId::from).collect(),
        };
        parts.iter().flat_map(token).collect()
    }

    proptest! {
        #[test]
        fn the_heap_merges_as_the_definition_says(text in "[abcz é☃]{0,60}") {
            let vocabulary = vocabulary();
            let mut found = Vec::new();
            vocabulary.encode(&text, &mut found);
            prop_assert_eq!(found, plainly(&vocabulary, &text));
        }
    }
}
