//! Filling gaps: which tokens a file has for them, and what a model is given.

use crate::support::gguf::{File, Value};
use crate::support::tiny::{self, Shape};
use llama::{GapIds, GenerationOptions, Model, RequestError, SpecialTokens, Work};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

const KEYS: [&str; 3] = ["fim_pre", "fim_suf", "fim_mid"];

/// A model whose file names the byte tokens 1, 2 and 3.
fn file() -> File {
    let mut file = tiny::model(&Shape::default());
    for (token, key) in (1..).zip(KEYS) {
        let key = format!("tokenizer.ggml.{key}_token_id");
        file.set(&key, Value::U32(token));
    }
    file
}

fn open(file: &File) -> Arc<Model> {
    Arc::new(Model::from_bytes("gaps", &file.bytes()).unwrap())
}

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| open(&file()));

/// The same with these names for the last three tokens.
fn named(names: [&str; 3]) -> Option<GapIds> {
    let mut file = tiny::model(&Shape::default());
    let tokens = file.values.iter_mut().find_map(|(key, value)| match value {
        Value::Texts(tokens) if key == "tokenizer.ggml.tokens" => Some(tokens),
        _ => None,
    });
    let tokens = tokens.unwrap();
    let first = tokens.len() - 3;
    for (token, name) in tokens[first..].iter_mut().zip(names) {
        *token = name.to_owned();
    }
    open(&file).tokenizer().special().gap
}

#[test]
fn markers_are_found_by_key_and_by_name() {
    let by_key = MODEL.tokenizer().special().gap.unwrap();
    assert_eq!((by_key.before, by_key.behind, by_key.middle), (1, 2, 3));
    for names in [
        ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
        ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
        ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"],
        ["▁<PRE>", "▁<SUF>", "▁<MID>"],
    ] {
        let gap = named(names).unwrap_or_else(|| panic!("{names:?}"));
        assert_eq!(gap.behind, gap.before + 1, "{names:?}");
        assert_eq!(gap.middle, gap.before + 2, "{names:?}");
    }
    assert_eq!(named(["<|fim_prefix|>", "x", "<|fim_middle|>"]), None);
}

#[test]
fn a_marker_outside_the_vocabulary_is_refused() {
    let mut wrong = file();
    wrong.set("tokenizer.ggml.fim_mid_token_id", Value::U32(1 << 20));
    let error = Model::from_bytes("gaps", &wrong.bytes()).err().unwrap();
    assert!(error.to_string().contains("fim_mid_token_id"), "{error}");
}

#[test]
fn a_model_without_markers_says_so() {
    let model = tiny::model(&Shape::default()).open();
    let options = GenerationOptions::default;
    let error = Work::continue_text(&model, ("a", Some("b")), options()).unwrap_err();
    assert!(matches!(error, RequestError::NoGapTokens { .. }), "{error}");
    assert!(Work::continue_text(&model, ("a", None), options()).is_ok());
}

proptest! {
    #[test]
    fn no_text_can_pass_for_a_marker(before in "\\PC*", behind in "[\\x00-\\x7f]*") {
        let tokenizer = MODEL.tokenizer();
        let tokens = tokenizer.encode_gap(&before, &behind).unwrap();
        let count = |marker: u32| tokens.iter().filter(|token| **token == marker).count();
        prop_assert_eq!([1, 2, 3].map(count), [1, 1, 1]);
        prop_assert_eq!(tokens.last(), Some(&3));
        let parts: Vec<&[u32]> = tokens.split(|token| [1, 2, 3].contains(token)).collect();
        prop_assert_eq!(parts[1], plain(&before));
        prop_assert_eq!(parts[2], plain(&behind));
    }
}

fn plain(text: &str) -> Vec<u32> {
    let mut tokens = MODEL.tokenizer().encode(text, SpecialTokens::Plain);
    tokens.retain(|token| ![1, 2, 3].contains(token));
    tokens
}
