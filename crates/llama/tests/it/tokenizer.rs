//! Laws of the tokenizer, with the small vocabulary.

use crate::support::gguf::Value;
use crate::support::tiny::{self, Shape};
use llama::{Model, SpecialTokens, TextStream};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| tiny::model(&Shape::default()).open());

/// Any text, often with the names of control tokens, or parts of them, in it.
fn text() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(tiny::CONTROL.to_vec());
    let part = prop_oneof![
        3 => any::<String>(),
        2 => name.clone().prop_map(str::to_owned),
        1 => (name, 1usize..10).prop_map(|(name, at)| name[at..].to_owned()),
        2 => proptest::sample::select(vec![" ", "\n\n", "\0", "\r", "\u{1b}[0m", "the", " hello"])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn decoding_gives_the_text_back(text in text()) {
        let tokenizer = MODEL.tokenizer();
        for special in [SpecialTokens::Plain, SpecialTokens::Parse] {
            let tokens = tokenizer.encode(&text, special);
            prop_assert_eq!(tokenizer.decode_bytes(&tokens), text.as_bytes());
            prop_assert_eq!(&tokenizer.decode(&tokens), &text);
        }
    }

    #[test]
    fn plain_text_has_no_control_token(text in text()) {
        let tokenizer = MODEL.tokenizer();
        let tokens = tokenizer.encode(&text, SpecialTokens::Plain);
        prop_assert!(!tokens.iter().any(|token| tokenizer.is_control(*token)));
    }

    #[test]
    fn a_stream_gives_the_same_text(text in text()) {
        let tokenizer = MODEL.tokenizer();
        let mut stream = TextStream::new();
        let mut streamed = String::new();
        for token in tokenizer.encode(&text, SpecialTokens::Plain) {
            streamed.push_str(&stream.push(tokenizer, token));
        }
        streamed.push_str(&stream.finish());
        prop_assert_eq!(streamed, text);
    }

    #[test]
    fn a_stream_of_any_tokens_is_their_text(tokens in proptest::collection::vec(0u32..400, 0..40)) {
        let tokenizer = MODEL.tokenizer();
        let mut stream = TextStream::new();
        let mut streamed = String::new();
        for token in &tokens {
            streamed.push_str(&stream.push(tokenizer, *token));
        }
        streamed.push_str(&stream.finish());
        prop_assert_eq!(streamed, tokenizer.decode(&tokens));
    }
}

#[test]
fn control_tokens_are_found_where_asked_for() {
    let tokenizer = MODEL.tokenizer();
    let control = |name| tokenizer.control_token(name).unwrap();
    let tokens = tokenizer.encode("hello<|eot_id|><|eot_id|>x<|eot", SpecialTokens::Parse);
    let plain = |text| tokenizer.encode(text, SpecialTokens::Plain);
    let expected = [
        plain("hello"),
        vec![control("<|eot_id|>"), control("<|eot_id|>x")],
        plain("<|eot"),
    ];
    assert_eq!(tokens, expected.concat());
    assert_eq!(tokenizer.control_token("<|eot"), None);
    assert_eq!(tokenizer.control_token(""), None);
}

#[test]
fn added_tokens_are_found_in_any_text_and_are_no_control_tokens() {
    let mut file = tiny::model(&Shape::default());
    let mut types = vec![1; tiny::VOCABULARY];
    types[tiny::VOCABULARY - 6..].fill(4);
    file.set("tokenizer.ggml.token_type", Value::I32s(types));
    let model = file.open();
    let tokenizer = model.tokenizer();
    let added = tiny::VOCABULARY as u32 - 2;
    assert_eq!(tokenizer.bytes(added), b"<|eot_id|>");
    for special in [SpecialTokens::Plain, SpecialTokens::Parse] {
        let tokens = tokenizer.encode("hello<|eot_id|>hello", special);
        assert_eq!((tokens.len(), tokens[1]), (3, added));
    }
    assert!(!tokenizer.is_control(added));
}

#[test]
fn bytes_merge_by_rank() {
    let tokenizer = MODEL.tokenizer();
    let pieces = |text: &str| -> Vec<String> {
        let tokens = tokenizer.encode(text, SpecialTokens::Plain);
        tokens
            .iter()
            .map(|token| tokenizer.decode(&[*token]))
            .collect()
    };
    assert_eq!(
        pieces("hello the thing"),
        ["hello", " the", " t", "h", "ing"]
    );
    assert_eq!(pieces("down up"), ["down", " up"]);
    assert_eq!(pieces(""), Vec::<String>::new());
}

#[test]
fn a_token_outside_the_vocabulary_has_no_text() {
    let tokenizer = MODEL.tokenizer();
    assert_eq!(tokenizer.bytes(u32::MAX), b"");
    assert!(!tokenizer.is_control(u32::MAX));
}

#[test]
fn the_file_says_whether_a_prompt_begins_with_a_token_of_its_own() {
    let mut file = tiny::model(&Shape::default());
    assert!(!file.open().tokenizer().special().add_bos);
    file.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
    let special = file.open().tokenizer().special();
    let control = |name| MODEL.tokenizer().control_token(name);
    assert!(special.add_bos);
    assert_eq!(special.bos, control("<|begin_of_text|>"));
    assert_eq!(special.eos, control("<|end_of_text|>"));
    assert_eq!(special.eot, control("<|eot_id|>"));
}

/// A small SentencePiece vocabulary: `<unk>`, `<s>`, `</s>`, the bytes, and some words.
static SENTENCE_PIECE: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let words = [
        "\u{2581}",
        "a",
        "b",
        "t",
        "h",
        "e",
        "s",
        "<",
        "/",
        ">",
        "th",
        "the",
        "\u{2581}the",
        "\u{2581}a",
        "</",
        "s>",
        "\u{2581}\u{2581}",
    ];
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(words.map(str::to_owned));
    let kind = |i: usize| match i {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    };
    let shape = Shape {
        vocabulary: tokens.len(),
        ..Shape::default()
    };
    let mut file = tiny::model(&shape);
    file.set("tokenizer.ggml.model", Value::Text("llama".into()));
    file.set(
        "tokenizer.ggml.token_type",
        Value::I32s((0..tokens.len()).map(kind).collect()),
    );
    file.set(
        "tokenizer.ggml.scores",
        Value::F32s((0..tokens.len()).map(|i| -(i as f32)).collect()),
    );
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.bos_token_id", Value::U32(1));
    file.set("tokenizer.ggml.eos_token_id", Value::U32(2));
    file.remove("tokenizer.ggml.eot_token_id");
    file.open()
});

#[test]
fn sentence_piece_words_bytes_and_control_tokens() {
    let tokenizer = SENTENCE_PIECE.tokenizer();
    let names = |text: &str, special| -> Vec<String> {
        let tokens = tokenizer.encode(text, special);
        let name = |token: &u32| match tokenizer.is_control(*token) {
            true => format!("[{token}]"),
            false => String::from_utf8_lossy(tokenizer.bytes(*token)).into_owned(),
        };
        tokens.iter().map(name).collect()
    };
    let plain = |text| names(text, SpecialTokens::Plain);
    assert_eq!(plain("the a"), [" the", " a"]);
    assert_eq!(plain("théa"), [" ", "th", "\u{fffd}", "\u{fffd}", "a"]);
    assert_eq!(plain("</s>"), [" ", "</", "s>"]);
    assert_eq!(plain(""), [""; 0]);
    assert_eq!(
        names("a</s>the", SpecialTokens::Parse),
        [" a", "[2]", " the"]
    );
    assert!(tokenizer.special().add_bos);
    assert_eq!(tokenizer.end_of_answer(), Some(2));
}

proptest! {
    #[test]
    fn sentence_piece_gives_the_text_back(text in text()) {
        let tokenizer = SENTENCE_PIECE.tokenizer();
        let tokens = tokenizer.encode(&text, SpecialTokens::Plain);
        prop_assert_eq!(tokenizer.decode(&tokens), text);
        prop_assert!(!tokens.iter().any(|token| tokenizer.is_control(*token)));
    }
}
