//! Files from somebody who means harm: cut off anywhere, with flipped bits, with lengths beyond
//! everything. Each is an error or a model that computes; none is a panic or a hang.

use crate::support::gguf::Stored;
use crate::support::hostile::{for_each_mutated, mutated_count, small};
use crate::support::tiny::Random;
use llama::Model;
use std::sync::Arc;

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

#[test]
fn mutated_files_of_all_formats() {
    let (mut opened, count) = (0, mutated_count());
    for_each_mutated(count, |bytes| opened += usize::from(try_out(bytes)));
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
