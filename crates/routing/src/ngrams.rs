//! A text's hashed word and character n-grams.
//!
//! Words are the runs of letters and digits of the lower-cased text; taken alone and in pairs.
//! Character n-grams have 3 to 5 characters and stay inside one space-separated piece of the
//! text, which has a space put before and after it, so that beginnings and ends of words differ
//! from middles. Each n-gram is known by a 32-bit hash of its kind and characters only.

use crate::random::scramble;

/// Shortest and longest character n-gram.
const CHARACTERS: std::ops::RangeInclusive<usize> = 3..=5;

/// Most characters of a text that are looked at; bounds the work for a hostile one.
const TEXT_CHARACTERS_MAX: usize = 100_000;

/// How often each n-gram occurs in a text, sorted by hash, words and characters apart: the two
/// families are weighted apart, or the many character n-grams would drown the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ngrams {
    /// Words and pairs of neighbouring words: (hash, count), hashes ascending.
    pub words: Vec<(u32, u32)>,
    /// Character n-grams: (hash, count), hashes ascending.
    pub characters: Vec<(u32, u32)>,
}

impl Ngrams {
    /// The n-grams of a text; at most its first 100,000 characters are looked at.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lower: Vec<char> = text
            .chars()
            .take(TEXT_CHARACTERS_MAX)
            .flat_map(char::to_lowercase)
            .collect();
        Self {
            words: counted(words(&lower)),
            characters: counted(characters(&lower)),
        }
    }
}

fn words(lower: &[char]) -> Vec<u32> {
    let mut hashes = Vec::new();
    let mut before = None;
    for word in lower.split(|c| !c.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        let this = hash(WORD, word);
        hashes.push(shortened(this));
        if let Some(before) = before {
            hashes.push(shortened(scramble(before) ^ this));
        }
        before = Some(this);
    }
    hashes
}

fn characters(lower: &[char]) -> Vec<u32> {
    let mut hashes = Vec::new();
    let mut padded = Vec::new();
    for piece in lower.split(|c| c.is_whitespace()) {
        if piece.is_empty() {
            continue;
        }
        padded.clear();
        padded.push(' ');
        padded.extend_from_slice(piece);
        padded.push(' ');
        for n in CHARACTERS {
            if padded.len() <= n {
                hashes.push(shortened(hash(CHARACTER, &padded)));
                break;
            }
            hashes.extend(
                padded
                    .windows(n)
                    .map(|gram| shortened(hash(CHARACTER, gram))),
            );
        }
    }
    hashes
}

/// Starting values of the hashes, so that the word `abc` and the characters `abc` differ.
const WORD: u64 = 0x51f1_5b6d_93a4_02c7;
const CHARACTER: u64 = 0xc2b2_ae3d_27d4_eb4f;

fn hash(kind: u64, characters: &[char]) -> u64 {
    let step = |state: u64, &c: &char| {
        (state ^ u64::from(u32::from(c)))
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23)
    };
    scramble(characters.iter().fold(kind, step))
}

fn shortened(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn counted(mut hashes: Vec<u32>) -> Vec<(u32, u32)> {
    hashes.sort_unstable();
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for hash in hashes {
        match counts.last_mut() {
            Some((last, count)) if *last == hash => *count += 1,
            _ => counts.push((hash, 1)),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(counts: &[(u32, u32)]) -> u32 {
        counts.iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn counts_are_those_made_by_hand() {
        let ngrams = Ngrams::of("Gold up, gold UP");
        // gold, up; "gold up", "up gold".
        assert_eq!(ngrams.words.len(), 4);
        assert_eq!(total(&ngrams.words), 4 + 3);
        // " gold " has 4 + 3 + 2, " up, " 3 + 2 + 1 (itself, as it has five), " up " 2 + 1.
        assert_eq!(total(&ngrams.characters), 2 * 9 + 6 + 3);
    }

    #[test]
    fn order_and_case_matter_as_they_should() {
        assert_eq!(Ngrams::of("Gold Falls"), Ngrams::of("gold falls"));
        assert_ne!(
            Ngrams::of("gold falls").words,
            Ngrams::of("falls gold").words
        );
        assert_eq!(Ngrams::of(" \t"), Ngrams::default());
    }

    proptest! {
        #[test]
        fn hashes_ascend_strictly(text in ".{0,200}") {
            let ngrams = Ngrams::of(&text);
            for family in [ngrams.words, ngrams.characters] {
                prop_assert!(family.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}
