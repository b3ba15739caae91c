//! The Llama 3 vocabulary, where it is at hand, against a plain merger by rank.

use crate::support::gguf::Value;
use crate::support::tiny::{self, Random, Shape};
use llama::{Model, PreTokenizer, SpecialTokens};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

type Ranks = HashMap<Vec<u8>, u32>;

fn ranks() -> Option<Ranks> {
    let path = "../../../shared/models/llama3-tokenizer.model";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    };
    let entry = |line: &str| {
        let (token, rank) = line.split_once(' ').unwrap();
        (base64(token), rank.parse().unwrap())
    };
    Some(text.lines().map(entry).collect())
}

fn base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for c in text.bytes().filter(|c| *c != b'=') {
        bits = bits << 6 | digits.iter().position(|d| *d == c).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// The tokens of a piece, by merging the pair of the lowest rank until none is left.
fn merge(ranks: &Ranks, piece: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = piece.iter().map(|byte| vec![*byte]).collect();
    loop {
        let rank = |i: usize| {
            ranks
                .get(&[parts[i].as_slice(), &parts[i + 1]].concat())
                .copied()
        };
        let pairs = (0..parts.len().saturating_sub(1)).filter_map(|i| Some((rank(i)?, i)));
        match pairs.min() {
            Some((_, i)) => {
                let right = parts.remove(i + 1);
                parts[i].extend(right);
            }
            None => return parts,
        }
    }
}

/// A model whose vocabulary is the ranks, with the merges that they imply, and two control tokens.
fn model(ranks: &Ranks) -> Arc<Model> {
    let characters = tiny::byte_characters();
    let spell = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| characters[usize::from(*b)])
            .collect::<String>()
    };
    let mut tokens = vec![String::new(); ranks.len()];
    let mut merges = Vec::new();
    for (bytes, rank) in ranks {
        tokens[*rank as usize] = spell(bytes);
        // Every way to make the token of two, as converters write them.
        for at in 1..bytes.len() {
            let (left, right) = bytes.split_at(at);
            if let (Some(l), Some(r)) = (ranks.get(left), ranks.get(right)) {
                merges.push(((rank, l, r), format!("{} {}", spell(left), spell(right))));
            }
        }
    }
    merges.sort();
    let mut types = vec![1; tokens.len()];
    tokens.extend(["<|begin_of_text|>".to_owned(), "<|eot_id|>".to_owned()]);
    types.extend([3, 3]);
    let shape = Shape {
        dim: 2,
        n_layers: 1,
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 2,
        value_dim: 2,
        rope_dim: 2,
        hidden_dim: 1,
        vocabulary: tokens.len(),
        ..Shape::default()
    };
    let mut file = tiny::model(&shape);
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.token_type", Value::I32s(types));
    file.set(
        "tokenizer.ggml.merges",
        Value::Texts(merges.into_iter().map(|(_, m)| m).collect()),
    );
    file.open()
}

/// Text of many scripts, code, emoji, broken white space and control characters.
fn mixed_text(random: &mut Random) -> String {
    const PARTS: [&str; 24] = [
        "The bank's Q3 filing wasn't late; they'll RESTATE it.",
        "  \t\n\r\n   ",
        "日本語の文章と中文的句子、그리고 한국어.",
        "Привет, мир! Ελληνικά κείμενα.",
        "مرحبا بالعالم ١٢٣٤٥",
        "हिन्दी में पाठ",
        "🏦💸👩🏽‍💻🇩🇪",
        "fn main() { let x: Vec<u8> = vec![0xff; 1_000]; }",
        "\0\u{1}\u{7f}\u{85}\u{feff}\u{200b}",
        "1234567890.00 EUR/USD 3.14e-10",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "================================================================================",
        "e\u{301}a\u{308}\u{323}",
        "<|eot_id|><|begin_of_text|>",
        "https://example.com/a?b=c&d=%20#e",
        "I'M YOU'RE WE'VE DON'T it's ſ'ſ",
        "\n\n\n",
        " ",
        "      indented\n\t\tcode",
        "ﬁ ﬂ Ⅷ ½ ² ª",
        "{\"key\": [1, 2.5, null, true]}",
        "ไม่มีช่องว่างระหว่างคำ",
        "don’t “quote” – dash — ellipsis…",
        "x\u{a0}y\u{2003}z\u{3000}",
    ];
    (0..12).map(|_| PARTS[random.below(PARTS.len())]).collect()
}

#[test]
fn encodes_as_merging_by_rank_does() {
    let Some(ranks) = ranks() else { return };
    let model = model(&ranks);
    let tokenizer = model.tokenizer();
    let mut random = Random(6);
    for _ in 0..1500 {
        let text = mixed_text(&mut random);
        let tokens = tokenizer.encode(&text, SpecialTokens::Plain);
        assert_eq!(tokenizer.decode(&tokens), text);
        let expected: Vec<u32> = PreTokenizer::Llama3
            .pieces(&text)
            .flat_map(|piece| match ranks.get(piece.as_bytes()) {
                Some(_) => vec![piece.as_bytes().to_vec()],
                None => merge(&ranks, piece.as_bytes()),
            })
            .map(|part| ranks[&part])
            .collect();
        assert_eq!(tokens, expected, "{text:?}");
    }
    assert_eq!(
        tokenizer.encode("Hello, world!", SpecialTokens::Plain),
        [9906, 11, 1917, 0]
    );
}
