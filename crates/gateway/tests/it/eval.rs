//! `tiergate eval` and `tiergate model`: measured on records, compared with a reference.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::workplace::{MATTERS, Workplace, documents};

/// The demo's documents as evaluation records, cut in two.
fn records(place: &Workplace) {
    let line = |document: &Value| {
        let record = json!({
            "id": document["id"], "set": "matters", "split": "test", "models": {},
            "text": document["text"], "gold": document["classify"],
        });
        format!("{record}\n")
    };
    let lines: Vec<String> = documents().iter().map(line).collect();
    place.write("train.jsonl", lines[..1000].concat());
    place.write("test.jsonl", lines[1000..].concat());
}

#[test]
fn a_student_is_measured_on_records_it_never_saw() {
    let place = Workplace::new();
    records(&place);
    let eval = [
        "eval",
        "student",
        "--train",
        "train.jsonl",
        "--test",
        "test.jsonl",
        "--json",
    ];
    let ran = place.run(&eval);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.summary();
    let accuracy = report["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.8 && accuracy < 1.0, "{report}");
    let classes = report["classes"].as_object().unwrap();
    assert!(
        MATTERS
            .iter()
            .all(|label| classes[*label]["recall"].as_f64().unwrap() > 0.5)
    );
    let shares = report["by_share"].as_array().unwrap();
    let first = shares.first().unwrap()["accuracy"].as_f64().unwrap();
    assert!(
        first >= accuracy,
        "the surest are righter than all: {report}"
    );
    // The same data and seed give the same figures, to the last digit.
    let again = place.run(&eval).summary();
    for figures in ["accuracy", "classes", "by_share", "calibration_error"] {
        assert_eq!(again[figures], report[figures]);
    }

    let people = place.run(&eval[..6]);
    assert_eq!(people.code, Some(0));
    assert!(
        people.out.contains("accuracy") && people.out.contains("laundering"),
        "{people:?}"
    );
}

#[test]
fn a_record_that_is_wrong_is_named_with_its_line() {
    let place = Workplace::new();
    records(&place);
    let mut test = place.read("test.jsonl");
    test.push_str("{\"id\": \"x\", \"text\": 5}\n");
    place.write("test.jsonl", test);
    let ran = place.run(&[
        "eval",
        "student",
        "--train",
        "train.jsonl",
        "--test",
        "test.jsonl",
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("test.jsonl") && ran.err.contains("1001"),
        "{ran:?}"
    );
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// The cosine between the reference's logits and the engine's.
fn cosine(reference: &Value, found: &[f32]) -> f64 {
    let reference = reference.as_array().unwrap();
    assert_eq!(reference.len(), found.len());
    let (mut product, mut of_reference, mut of_found) = (0.0, 0.0, 0.0);
    for (reference, found) in reference.iter().zip(found) {
        let (reference, found) = (reference.as_f64().unwrap(), f64::from(*found));
        product += reference * found;
        of_reference += reference * reference;
        of_found += found * found;
    }
    product / (of_reference * of_found).sqrt()
}

#[test]
fn the_engines_logits_are_those_of_the_reference() {
    let place = Workplace::new();
    let text = std::fs::read_to_string(models().join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let case = &reference["cases"][0];
    let tokens: Vec<String> = case["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    let tokens = tokens.join(",");
    let file = models().join("tiergate-starter.gguf").display().to_string();
    for model in ["starter", &file] {
        let args = [
            "model",
            "logits",
            "--model",
            model,
            "--tokens",
            &tokens,
            "--out",
            "logits.f32",
        ];
        let ran = place.run(&args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let bytes = std::fs::read(place.path("logits.f32")).unwrap();
        let logits: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let n_tokens = case["tokens"].as_array().unwrap().len();
        assert_eq!(logits.len() % n_tokens, 0, "(n_tokens, n_vocab)");
        let last = &logits[logits.len() - logits.len() / n_tokens..];
        assert!(
            cosine(&case["logits"], last) > 0.9999,
            "weights in eight bits come this close"
        );
    }
    let ran = place.run(&[
        "model", "logits", "--model", "starter", "--tokens", "9999999", "--out", "x",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("9999999"), "{ran:?}");
    assert!(!place.path("x").exists() && !place.path("x.part").exists());
}
