//! Byte-pair merging: the lowest-ranked neighbouring pair becomes one token, the leftmost first,
//! until no pair is left (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
//! Subword Units").

use super::TokenId;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The merges of a vocabulary.
pub(super) struct Merges {
    /// The token of each single byte.
    of_byte: [TokenId; 256],
    /// Pair of tokens: the rank of their merge and what they become.
    pairs: HashMap<(TokenId, TokenId), Merge, BuildHasherDefault<PairHasher>>,
    /// Whole pieces that are tokens, where such a piece is never merged from bytes.
    whole: Option<HashMap<Box<[u8]>, TokenId>>,
}

#[derive(Clone, Copy)]
pub(super) struct Merge {
    pub(super) rank: u32,
    pub(super) token: TokenId,
}

/// Pieces up to this many bytes are merged by looking at all pairs each time, which is quicker
/// than a heap for the words of a language and takes the square of the length.
const SHORT_BYTES: usize = 48;

impl Merges {
    pub(super) fn new(
        of_byte: [TokenId; 256],
        pairs: impl Iterator<Item = ((TokenId, TokenId), Merge)>,
        whole: Option<HashMap<Box<[u8]>, TokenId>>,
    ) -> Self {
        let mut lowest: HashMap<_, Merge, _> = HashMap::default();
        for (pair, merge) in pairs {
            let known = lowest.entry(pair).or_insert(merge);
            if merge.rank < known.rank {
                *known = merge;
            }
        }
        Self {
            of_byte,
            pairs: lowest,
            whole,
        }
    }

    /// Appends the tokens of `piece`.
    pub(super) fn encode(&self, piece: &[u8], tokens: &mut Vec<TokenId>) {
        if let Some(token) = self.whole.as_ref().and_then(|whole| whole.get(piece)) {
            tokens.push(*token);
        } else if piece.len() <= SHORT_BYTES {
            self.encode_short(piece, tokens);
        } else {
            self.encode_long(piece, tokens);
        }
    }

    fn pair(&self, left: TokenId, right: TokenId) -> Option<Merge> {
        self.pairs.get(&(left, right)).copied()
    }

    fn encode_short(&self, piece: &[u8], tokens: &mut Vec<TokenId>) {
        let start = tokens.len();
        tokens.extend(piece.iter().map(|byte| self.of_byte[usize::from(*byte)]));
        // `merges[i]` is the merge of the part at `i` with the one after it.
        let mut merges = [None; SHORT_BYTES];
        for (i, pair) in tokens[start..].windows(2).enumerate() {
            merges[i] = self.pair(pair[0], pair[1]);
        }
        loop {
            let length = tokens.len() - start;
            let mut best: Option<(usize, Merge)> = None;
            for (i, merge) in merges[..length.saturating_sub(1)].iter().enumerate() {
                if let Some(merge) = merge
                    && best.is_none_or(|(_, best)| merge.rank < best.rank)
                {
                    best = Some((i, *merge));
                }
            }
            let Some((i, merge)) = best else { return };
            let parts = &mut tokens[start..];
            parts[i] = merge.token;
            parts.copy_within(i + 2.., i + 1);
            merges.copy_within(i + 1..length.max(i + 2) - 1, i);
            tokens.pop();
            let parts = &tokens[start..];
            merges[i] = parts
                .get(i + 1)
                .and_then(|right| self.pair(parts[i], *right));
            if i > 0 {
                merges[i - 1] = self.pair(parts[i - 1], parts[i]);
            }
        }
    }

    /// The same with a heap of pairs over a doubly linked list of parts: n log n.
    fn encode_long(&self, piece: &[u8], tokens: &mut Vec<TokenId>) {
        let mut parts: Vec<Part> = piece
            .iter()
            .enumerate()
            .map(|(i, byte)| Part {
                token: self.of_byte[usize::from(*byte)],
                previous: i.checked_sub(1),
                next: (i + 1 < piece.len()).then_some(i + 1),
                gone: false,
            })
            .collect();
        let mut heap = BinaryHeap::new();
        let offer = |heap: &mut BinaryHeap<_>, parts: &[Part], left: usize| {
            let Some(right) = parts[left].next else {
                return;
            };
            let pair = (parts[left].token, parts[right].token);
            if let Some(merge) = self.pair(pair.0, pair.1) {
                heap.push(Reverse((merge.rank, left, pair, merge.token)));
            }
        };
        for left in 0..parts.len() {
            offer(&mut heap, &parts, left);
        }
        while let Some(Reverse((_, left, pair, token))) = heap.pop() {
            let Some(right) = parts[left].next else {
                continue;
            };
            if parts[left].gone || (parts[left].token, parts[right].token) != pair {
                continue;
            }
            parts[left].token = token;
            parts[left].next = parts[right].next;
            parts[right].gone = true;
            if let Some(after) = parts[right].next {
                parts[after].previous = Some(left);
            }
            offer(&mut heap, &parts, left);
            if let Some(before) = parts[left].previous {
                offer(&mut heap, &parts, before);
            }
        }
        tokens.extend(
            parts
                .iter()
                .filter(|part| !part.gone)
                .map(|part| part.token),
        );
    }
}

struct Part {
    token: TokenId,
    previous: Option<usize>,
    next: Option<usize>,
    /// Merged into the part before it.
    gone: bool,
}

/// Pairs of token ids are already spread out; one multiplication is enough for a table, and a
/// merge looks up many. The keys come from the file, never from a request, so that a stranger's
/// text cannot make them collide.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        let mixed = (self.0.rotate_left(32) ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Merges over three letters with ranks that make chains, ties in value and overlaps.
    fn merges() -> Merges {
        let of_byte = std::array::from_fn(|byte| byte as TokenId);
        let (a, b, c) = (97, 98, 99);
        let rules = [
            (a, a),
            (a, b),
            (256, 256),
            (b, c),
            (256, b),
            (258, 258),
            (c, 256),
            (257, c),
        ];
        let pairs = rules.into_iter().enumerate().map(|(rank, pair)| {
            (
                pair,
                Merge {
                    rank: rank as u32,
                    token: 256 + rank as TokenId,
                },
            )
        });
        Merges::new(of_byte, pairs, None)
    }

    proptest! {
        #[test]
        fn the_heap_and_the_loop_agree(piece in proptest::collection::vec(97u8..100, 0..SHORT_BYTES)) {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            merges().encode_short(&piece, &mut short);
            merges().encode_long(&piece, &mut long);
            prop_assert_eq!(short, long);
        }
    }
}
