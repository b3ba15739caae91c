//! Files from somebody who means harm: cut off anywhere, with flipped bits, with lengths beyond
//! everything. Each is an error or a model that computes; none is a panic or a hang.

use crate::support::blocks::Quantised;
use crate::support::gguf::Stored;
use crate::support::tiny::{self, Random, Shape};
use llama::Model;
use std::sync::Arc;

/// As small as the vocabulary allows.
fn small(stored: Stored) -> Vec<u8> {
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

/// Opens the file and, where that works, computes with it.
fn try_out(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes("hostile", bytes) else {
        return false;
    };
    let model = Arc::new(model);
    let tokens = model
        .tokenizer()
        .encode("hello <|eot_id|>", llama::SpecialTokens::Parse);
    let _ = model.logits(&tokens[..tokens.len().min(3)]);
    if let Some(template) = model.chat_template() {
        let message = llama::ChatMessage::new(llama::Role::User, "hello");
        let _ = template.encode(model.tokenizer(), &[message]);
    }
    true
}

#[test]
fn cut_off_anywhere() {
    let whole = small(Stored::F32);
    assert!(try_out(&whole));
    // The last tensor's last number is needed, so that every shorter file is an error.
    for length in 0..whole.len() {
        assert!(
            !try_out(&whole[..length]),
            "{length} of {} bytes",
            whole.len()
        );
    }
}

#[test]
fn flipped_bits() {
    let mut opened = 0;
    for stored in [Stored::F32, Stored::F16, Stored::Q8_0] {
        let whole = small(stored);
        let header = whole.len() - whole.len() / 3;
        let mut random = Random(8);
        for round in 0..2000 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(if round % 4 == 0 { whole.len() } else { header });
                bytes[at] ^= 1 << random.below(8);
            }
            opened += u32::from(try_out(&bytes));
        }
    }
    // Both kinds must come up, or this tests nothing.
    assert!((100..5900).contains(&opened), "{opened} of 6000 opened");
}

/// Files of all formats with flipped bits, bytes cut out, put in and copied elsewhere, and numbers
/// beyond everything. `MUTATED_FILES` says how many.
#[test]
fn mutated_files_of_all_formats() {
    let count = std::env::var("MUTATED_FILES").map_or(3000, |count| count.parse().unwrap());
    let stored = [Stored::F32, Stored::BF16, Stored::Q8_0]
        .into_iter()
        .chain(Quantised::ALL.map(Stored::Blocks));
    let wholes: Vec<Vec<u8>> = stored.map(small).collect();
    let mut random = Random(10);
    let mut opened = 0;
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
        opened += usize::from(try_out(&bytes));
    }
    assert!(
        (count / 50..count).contains(&opened),
        "{opened} of {count} opened"
    );
}

#[test]
fn numbers_beyond_everything_anywhere() {
    let whole = small(Stored::Q8_0);
    let header = whole.len().min(14_000);
    let mut random = Random(9);
    for at in 0..header - 8 {
        let n = match random.below(6) {
            0 => u64::MAX,
            1 => u64::MAX - random.below(64) as u64,
            2 => 1 << 63,
            3 => u64::MAX / 32 + 1,
            4 => u64::from(u32::MAX),
            _ => 1 << random.below(64),
        };
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
        try_out(&bytes);
    }
}
