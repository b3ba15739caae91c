//! Files as somebody would make them who means harm.

use super::blocks::Quantised;
use super::gguf::Stored;
use super::tiny::{self, Random, Shape};

/// As small as the vocabulary allows.
pub(crate) fn small(stored: Stored) -> Vec<u8> {
    let dim = match stored {
        Stored::F32 | Stored::F16 | Stored::BF16 => 8,
        Stored::Q8_0 => 32,
        Stored::Blocks(kind) => kind.shape().1,
    };
    let shape = Shape {
        dim,
        n_layers: 1,
        n_heads: 2,
        n_kv_heads: 1,
        head_dim: 16,
        // Two heads' values together are what `attn_output` multiplies.
        value_dim: (dim / 2).max(16),
        rope_dim: 4,
        hidden_dim: dim.max(32),
        rope_freqs: true,
        stored,
        ..Shape::default()
    };
    tiny::model(&shape).bytes()
}

/// How many mutated files a test tries: `MUTATED_FILES`, or 3,000.
pub(crate) fn mutated_count() -> usize {
    std::env::var("MUTATED_FILES").map_or(3000, |count| count.parse().unwrap())
}

/// Files of all formats with flipped bits, bytes cut out, put in and copied elsewhere, and numbers
/// beyond everything; the same ones each time.
pub(crate) fn for_each_mutated(count: usize, mut try_out: impl FnMut(&[u8])) {
    let stored = [Stored::F32, Stored::BF16, Stored::Q8_0]
        .into_iter()
        .chain(Quantised::ALL.map(Stored::Blocks));
    let wholes: Vec<Vec<u8>> = stored.map(small).collect();
    let mut random = Random(10);
    for round in 0..count {
        let mut bytes = wholes[round % wholes.len()].clone();
        let header = bytes.len().min(14_000);
        for _ in 0..=random.below(4) {
            let at = random.below(header.min(bytes.len() - 8));
            match random.below(5) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.below(256) as u8,
                2 => drop(bytes.drain(at..at + 1 + random.below(7))),
                3 => {
                    let from = random.below(bytes.len() - 16);
                    bytes.copy_within(from..from + 8, at);
                }
                _ => {
                    let n = u64::MAX >> random.below(64);
                    bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
                }
            }
        }
        try_out(&bytes);
    }
}
