//! Which n-grams a student knows and how much each weighs.

use super::StudentOptions;
use crate::elementary::ln;
use crate::ngrams::Ngrams;

/// The length of a text's near pairs as a vector, where its words and its characters have length
/// 1 each: less, because most of them mean nothing.
const NEAR_PAIRS_LENGTH: f32 = 0.7;

/// The n-grams that were frequent enough in training.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vocabulary {
    /// Strictly ascending; (n_features).
    pub(super) hashes: Vec<u32>,
    /// Inverse document frequency, `1 + ln((1 + n) / (1 + n_with))` as in scikit-learn's smooth
    /// form; (n_features).
    pub(super) rarity: Vec<f32>,
}

impl Vocabulary {
    pub(super) fn learn(texts: &[Ngrams], options: &StudentOptions) -> Self {
        let mut seen: Vec<u32> = texts
            .iter()
            .flat_map(|text| {
                text.words
                    .iter()
                    .chain(&text.characters)
                    .chain(&text.near_pairs)
            })
            .map(|&(hash, _)| hash)
            .collect();
        seen.sort_unstable();
        let mut frequent: Vec<(u32, u32)> = seen
            .chunk_by(|a, b| a == b)
            .map(|same| (same[0], same.len() as u32))
            .filter(|&(_, documents)| documents >= options.min_documents)
            .collect();
        if frequent.len() > options.features_max as usize {
            frequent
                .sort_unstable_by_key(|&(hash, documents)| (std::cmp::Reverse(documents), hash));
            frequent.truncate(options.features_max as usize);
            frequent.sort_unstable();
        }
        let n = texts.len() as f64;
        let rarity = |documents: u32| 1.0 + ln((1.0 + n) / (1.0 + f64::from(documents)));
        Self {
            hashes: frequent.iter().map(|&(hash, _)| hash).collect(),
            rarity: frequent
                .iter()
                .map(|&(_, documents)| rarity(documents) as f32)
                .collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The features of a text and their values, and last the constant: feature `len()`, value 1.
    /// Each family of n-grams has its length as a vector, or 0 where none is known.
    pub(super) fn encode(&self, text: &Ngrams) -> Vec<(u32, f32)> {
        let n_ngrams = text.words.len() + text.characters.len() + text.near_pairs.len();
        let mut row = Vec::with_capacity(n_ngrams + 1);
        for (family, length) in [
            (&text.words, 1.0),
            (&text.characters, 1.0),
            (&text.near_pairs, NEAR_PAIRS_LENGTH),
        ] {
            let first = row.len();
            self.encode_family(family, &mut row);
            let square: f32 = row[first..].iter().map(|(_, value)| value * value).sum();
            let scale = if square > 0.0 {
                length / square.sqrt()
            } else {
                0.0
            };
            row[first..]
                .iter_mut()
                .for_each(|(_, value)| *value *= scale);
        }
        row.push((self.len() as u32, 1.0));
        row
    }

    fn encode_family(&self, counts: &[(u32, u32)], row: &mut Vec<(u32, f32)>) {
        let mut from = 0;
        for &(hash, count) in counts {
            // Both lists ascend, so what lies before the last find is never looked at again.
            match self.hashes[from..].binary_search(&hash) {
                Ok(offset) => {
                    from += offset;
                    let frequency = if count == 1 {
                        1.0
                    } else {
                        1.0 + ln(f64::from(count))
                    };
                    row.push((from as u32, frequency as f32 * self.rarity[from]));
                }
                Err(offset) => from += offset,
            }
        }
    }
}
