//! A text's hashed word and character n-grams.
//!
//! Words are the runs of letters and digits of the lower-cased text; taken alone, in pairs of
//! neighbours and, where asked for, in pairs with one to three other words between them, which
//! see that in "gold futures end higher" it is gold that is higher.
//! Character n-grams have 3 to 5 characters and stay inside one space-separated piece of the
//! text, which has a space put before and after it, so that beginnings and ends of words differ
//! from middles. Each n-gram is known by a 32-bit hash of its kind and characters only.

use crate::random::scramble;

/// Shortest and longest character n-gram.
const CHARACTERS: std::ops::RangeInclusive<usize> = 3..=5;

/// Most characters of a text that are looked at; bounds the work for a hostile one.
const TEXT_CHARACTERS_MAX: usize = 100_000;

/// How far apart the words of a near pair stand; neighbours are 1 apart.
const NEAR: std::ops::RangeInclusive<usize> = 2..=4;

/// How often each n-gram occurs in a text, sorted by hash, families apart: each is weighted by
/// itself, or the many character n-grams would drown the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ngrams {
    /// Words and pairs of neighbouring words: (hash, count), hashes ascending.
    pub words: Vec<(u32, u32)>,
    /// Character n-grams: (hash, count), hashes ascending.
    pub characters: Vec<(u32, u32)>,
    /// Pairs of words with one to three words between them: (hash, count), hashes ascending;
    /// empty where they were not asked for.
    pub near_pairs: Vec<(u32, u32)>,
}

impl Ngrams {
    /// The n-grams of a text but its near pairs; at most its first 100,000 characters are looked
    /// at.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lower = lower_case(text);
        Self::of_words(&hashed_words(&lower), &lower)
    }

    /// The n-grams of a text, near pairs too; at most its first 100,000 characters are looked at.
    #[must_use]
    pub fn with_near_pairs(text: &str) -> Self {
        let lower = lower_case(text);
        let words = hashed_words(&lower);
        Self {
            near_pairs: counted(near_pairs(&words)),
            ..Self::of_words(&words, &lower)
        }
    }

    fn of_words(words: &[u64], lower: &[char]) -> Self {
        Self {
            words: counted(alone_and_paired(words)),
            characters: counted(characters(lower)),
            near_pairs: Vec::new(),
        }
    }
}

fn lower_case(text: &str) -> Vec<char> {
    text.chars()
        .take(TEXT_CHARACTERS_MAX)
        .flat_map(char::to_lowercase)
        .collect()
}

fn hashed_words(lower: &[char]) -> Vec<u64> {
    lower
        .split(|c| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| hash(WORD, word))
        .collect()
}

fn alone_and_paired(words: &[u64]) -> Vec<u32> {
    let alone = words.iter().map(|word| shortened(*word));
    let paired = words
        .windows(2)
        .map(|pair| shortened(scramble(pair[0]) ^ pair[1]));
    alone.chain(paired).collect()
}

fn near_pairs(words: &[u64]) -> Vec<u32> {
    let mut hashes = Vec::new();
    for (start, first) in words.iter().enumerate() {
        let seconds = NEAR.filter_map(|apart| words.get(start + apart));
        hashes.extend(seconds.map(|second| shortened(scramble(first ^ NEAR_PAIR) ^ second)));
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
/// Makes a near pair differ from a pair of neighbours.
const NEAR_PAIR: u64 = 0x9e6c_63d0_876a_3f6b;

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
    fn near_pairs_have_one_to_three_words_between_them() {
        let ngrams = Ngrams::with_near_pairs("gold futures end the day higher");
        // gold–end, –the, –day; futures–the, –day, –higher; end–day, –higher; the–higher.
        assert_eq!(total(&ngrams.near_pairs), 9);
        let without = Ngrams::of("gold futures end the day higher");
        assert_eq!(
            (ngrams.words, ngrams.characters),
            (without.words, without.characters)
        );
        assert!(without.near_pairs.is_empty());
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
            let ngrams = Ngrams::with_near_pairs(&text);
            for family in [ngrams.words, ngrams.characters, ngrams.near_pairs] {
                prop_assert!(family.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}
