//! The starter model against the numbers of the framework that trained it.

use llama::{ChatMessage, LabelScorer, Model, Role, SpecialTokens, probabilities};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn reference() -> serde_json::Value {
    let text = std::fs::read_to_string(models().join("reference.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn starter() -> Arc<Model> {
    Arc::new(Model::open(&models().join("tiergate-starter.gguf")).unwrap())
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

/// The system and the user message in a rendered prompt.
fn messages(prompt: &str) -> [ChatMessage; 2] {
    let part = |from: &str| {
        let (_, after) = prompt.split_once(from).unwrap();
        after.split_once("<|end|>").unwrap().0.to_owned()
    };
    [
        ChatMessage::new(Role::System, part("<|system|>\n")),
        ChatMessage::new(Role::User, part("<|user|>\n")),
    ]
}

#[test]
fn prompts_become_the_same_tokens() {
    let model = starter();
    for case in reference()["cases"].as_array().unwrap() {
        let prompt = case["prompt"].as_str().unwrap();
        let expected: Vec<u32> = numbers(&case["tokens"]).iter().map(|t| *t as u32).collect();
        let tokenizer = model.tokenizer();
        assert_eq!(tokenizer.encode(prompt, SpecialTokens::Parse), expected);
        let template = model.chat_template().unwrap();
        assert_eq!(
            template.encode(tokenizer, &messages(prompt)).unwrap(),
            expected
        );
        assert_eq!(tokenizer.decode(&expected), prompt);
    }
}

#[test]
fn labels_have_the_same_probabilities() {
    let mut scorer = LabelScorer::new(starter());
    for case in reference()["cases"].as_array().unwrap() {
        let labels = case["labels"].as_array().unwrap();
        let names: Vec<&str> = labels.iter().map(|l| l["name"].as_str().unwrap()).collect();
        let prompt = messages(case["prompt"].as_str().unwrap());
        let scores = scorer.score_chat(&prompt, &names).unwrap();
        let found = probabilities(&scores.log_probabilities);
        for (label, found) in labels.iter().zip(found) {
            let expected = label["probability"].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-2, "{label}: {found}");
        }
    }
}

#[test]
fn logits_are_the_same() {
    let model = starter();
    for case in reference()["cases"].as_array().unwrap() {
        let tokens: Vec<u32> = numbers(&case["tokens"]).iter().map(|t| *t as u32).collect();
        let expected = numbers(&case["logits"]);
        let all = model.logits(&tokens).unwrap();
        let found = &all[all.len() - expected.len()..];
        let pairs = || {
            found
                .iter()
                .map(|x| f64::from(*x))
                .zip(expected.iter().copied())
        };
        let product: f64 = pairs().map(|(f, e)| f * e).sum();
        let squares = pairs().fold((0.0, 0.0), |(f, e), (x, y)| (f + x * x, e + y * y));
        let cosine = product / (squares.0 * squares.1).sqrt();
        assert!(cosine > 0.999, "{cosine}");
    }
}
