//! `tiergate model`: looked into, compared with a reference, fetched.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workplace::Workplace;

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

#[test]
fn the_bench_reports_medians_and_all_values() {
    let place = Workplace::new();
    let ran = place.run(&[
        "model",
        "bench",
        "--model",
        "starter",
        "--repetitions",
        "3",
        "--threads",
        "2",
        "--json",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    for name in [
        "prefill",
        "decode",
        "batch8",
        "label_requests",
        "memory_gigabytes",
    ] {
        let all = report[format!("{name}_all")].as_array().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(
            all[1], report[name],
            "the median of three is the second: {report}"
        );
        assert!(all[0].as_f64().unwrap() > 0.0);
    }
    assert_eq!(report["threads"], 2);
}

#[test]
fn scores_are_shown_for_each_label() {
    let place = Workplace::new();
    let ran = place.run(&[
        "model",
        "score",
        "--model",
        "starter",
        "--prompt",
        "gold settles higher",
        "--label",
        "up",
        "--label",
        "down",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shares: Vec<f64> = ran
        .out
        .split(' ')
        .zip(ran.out.split(' ').skip(1))
        .filter(|(_, sign)| *sign == "%")
        .map(|(share, _)| share.parse().unwrap())
        .collect();
    assert_eq!(shares.len(), 2, "{}", ran.out);
    assert!((shares[0] + shares[1] - 100.0).abs() < 0.2);
    let ran = place.run(&[
        "model", "score", "--model", "starter", "--prompt", "x", "--label", "up", "--label", "up",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("labels: two of them are the same"),
        "{ran:?}"
    );
}
