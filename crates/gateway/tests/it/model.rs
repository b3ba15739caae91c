//! `tiergate model`: looked into, compared with a reference, talked with.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace, interrupt};

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
        "first_token_ms",
        "first_token_beside_long_ms",
        "chunk_ms",
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
    // As many as its context holds, but for one that is written.
    assert_eq!(report["long_tokens"], 1023);
}

#[test]
fn the_bench_computes_with_the_instructions_that_are_asked_for() {
    let place = Workplace::new();
    let bench = ["model", "bench", "--model", "starter", "--json"];
    let ran = place.run(&[&bench[..], &["--repetitions=1", "--instructions=portable"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["instructions"], "portable");
    let ran = place.run(&[&bench[..], &["--instructions=neon"]].concat());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("this machine has portable"), "{ran:?}");
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

/// The starter model as a file.
pub(crate) fn starter_file() -> PathBuf {
    models().join("tiergate-starter.gguf")
}

#[test]
fn inspect_tells_what_a_file_holds_and_needs() {
    let place = Workplace::new();
    let file = starter_file().display().to_string();
    let ran = place.run(&["model", "inspect", &file, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.summary();
    let bytes = std::fs::metadata(&file).unwrap().len();
    for (field, expected) in [
        ("architecture", json!("llama")),
        ("layers", json!(4)),
        ("heads", json!(6)),
        ("kv_heads", json!(2)),
        ("embedding_width", json!(192)),
        ("feed_forward_width", json!(512)),
        ("context_tokens", json!(1024)),
        ("file_bytes", json!(bytes)),
    ] {
        assert_eq!(report[field], expected, "{field}");
    }
    // A matrix for each of 7 uses a layer and one of 3,072 rows; two vectors a layer and one more.
    let each = 192 * 192 * 2 + 64 * 192 * 2 + 3 * 512 * 192;
    assert_eq!(report["parameters"], 4 * each + 3072 * 192 + 9 * 192);
    let tensors = &report["tensors"];
    assert_eq!(
        (&tensors[0]["type"], &tensors[0]["count"]),
        (&json!("F32"), &json!(9))
    );
    assert_eq!(tensors[1]["bytes"], (4 * each + 3072 * 192) / 32 * 34);
    // Keys and values in half precision: two heads of 32, 4 layers.
    assert_eq!(report["memory"]["kv_bytes"], 1024 * 4 * 2 * 2 * 32 * 2);
    assert_eq!(report["tokenizer"]["tokens"], 3072);
    assert_eq!(
        report["tokenizer"]["special"]["end_of_turn"]["name"],
        "<|end|>"
    );
    assert!(
        report["chat_template"]
            .as_str()
            .unwrap()
            .contains("messages")
    );
    let inside = place
        .run(&["model", "inspect", "starter", "--json"])
        .summary();
    for same in ["sha256", "parameters", "tensors", "memory", "tokenizer"] {
        assert_eq!(inside[same], report[same], "{same}");
    }
    let people = place.run(&["model", "inspect", "starter"]);
    let hash = report["sha256"][0].as_str().unwrap();
    assert!(people.out.contains(hash) && people.out.contains("3,072 tokens, byte-level BPE"));
}

#[test]
fn inspect_tells_what_is_wrong_with_a_broken_file() {
    let place = Workplace::new();
    let whole = std::fs::read(starter_file()).unwrap();
    place.write("cut.gguf", &whole[..whole.len() - 1000]);
    place.write("page.gguf", "<!doctype html>");
    for (file, word) in [
        ("cut.gguf", "cut off"),
        ("page.gguf", "GGUF"),
        ("none.gguf", "none"),
    ] {
        let ran = place.run(&["model", "inspect", file]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(file) && ran.err.contains(word), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_texts_tokens_are_shown_and_control_tokens_only_where_asked_for() {
    let place = Workplace::new();
    let text = "wört\u{1b} <|end|>";
    let args = ["model", "tokenize", "--model", "starter", "--json", text];
    let plain = place.run(&args).summary();
    let tokens = plain["tokens"].as_array().unwrap();
    assert_eq!(plain["count"], tokens.len());
    assert!(tokens.iter().all(|token| token.get("control").is_none()));
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| match token.get("bytes") {
            Some(bytes) => serde_json::from_value(bytes.clone()).unwrap(),
            None => token["text"].as_str().unwrap().as_bytes().to_vec(),
        })
        .collect();
    assert_eq!(bytes, text.as_bytes(), "the pieces are the text");

    let special = place.run(&[&args[..], &["--special"]].concat()).summary();
    let last = special["tokens"].as_array().unwrap().last().unwrap();
    assert_eq!(
        *last,
        json!({ "id": 4, "text": "<|end|>", "control": true })
    );

    // Many texts at once, each a JSON string, and the ids of each as a JSON array.
    let mut many = place.tiergate(&[&args[..4], &["--lines"]].concat());
    let ran = with_input(&mut many, &format!("{}\n\"\"\n", json!(text)));
    let ids: Vec<Value> = tokens.iter().map(|token| token["id"].clone()).collect();
    assert_eq!(ran.out, format!("{}\n[]\n", json!(ids)));
    let mut many = place.tiergate(&[&args[..4], &["--lines"]].concat());
    let ran = with_input(&mut many, "\"right\"\nwrong\n");
    assert!(ran.code == Some(1) && ran.err.contains("line 2"), "{ran:?}");

    // The same from the standard input, in lines that cannot steer a terminal.
    let mut piped = place.tiergate(&args[..4]);
    let ran = with_input(&mut piped, text);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), tokens.len());
    let ids = lines
        .iter()
        .map(|line| line.split_whitespace().next().unwrap());
    let same = tokens.iter().map(|token| token["id"].to_string());
    assert!(ids.eq(same), "{ran:?}");
    assert!(
        ran.out.contains("\\u{1b}") && !ran.out.contains('\u{1b}'),
        "{ran:?}"
    );
}

/// Runs the program with this on its standard input.
fn with_input(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn labels_are_scored_as_the_answer_to_a_prompt() {
    let place = Workplace::new();
    let score = |more: &[&str]| {
        let args = ["model", "score", "--model", "starter", "--json"];
        let ran = place.run(&[&args[..], more].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.summary()
    };
    let labels = ["--label", "fraud", "--label", "routine"];
    let prompt = ["--prompt", "Which matter?"];
    let scores = score(&[&prompt[..], &labels].concat());
    let probability = |scores: &Value, label: usize| {
        let label = &scores["labels"][label];
        let (share, alone) = (&label["probability"], &label["log_probability"]);
        (share.as_f64().unwrap(), alone.as_f64().unwrap())
    };
    let ((fraud, ln_fraud), (routine, ln_routine)) =
        (probability(&scores, 0), probability(&scores, 1));
    assert!((fraud + routine - 1.0).abs() < 1e-9, "{scores}");
    assert!(
        ((ln_fraud - ln_routine).exp() - fraud / routine).abs() < 1e-6,
        "{scores}"
    );
    assert_eq!(scores["labels"][1]["label"], "routine");
    // Instructions, and the text without the template, are other prompts.
    let system = [&prompt[..], &labels, &["--system", "Be strict."]].concat();
    let plain = [&prompt[..], &labels, &["--plain"]].concat();
    let counts = [score(&system), score(&plain)].map(|scores| scores["prompt_tokens"].clone());
    assert!(counts[0].as_u64() > scores["prompt_tokens"].as_u64());
    assert!(counts[1].as_u64() < scores["prompt_tokens"].as_u64());
    let table = place.run(&[
        "model", "score", "--model", "starter", "--prompt", "x", "--label", "a",
    ]);
    assert!(table.out.contains("100.0 %"), "{table:?}");
}

#[test]
fn priors_scales_and_several_right_labels() {
    let place = Workplace::new();
    let score = |more: &[&str]| {
        let args = [
            "model",
            "score",
            "--model",
            "starter",
            "--json",
            "--prompt",
            "Gold fell.",
        ];
        let labels = [
            "--label", "fraud", "--label", "routine", "--label", "credit",
        ];
        let ran = place.run(&[&args[..], &labels, more].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.summary()
    };
    let shares = |scores: &Value| -> Vec<f64> {
        let labels = scores["labels"].as_array().unwrap();
        let share = |label: &Value| label["probability"].as_f64().unwrap();
        labels.iter().map(share).collect()
    };
    let plain = shares(&score(&[]));
    // What the prompt says beyond itself is nothing.
    for share in shares(&score(&["--prior", "Gold fell."])) {
        assert!((share - 1.0 / 3.0).abs() < 1e-9, "{share}");
    }
    let corrected = shares(&score(&["--prior", "N/A"]));
    assert!((corrected.iter().sum::<f64>() - 1.0).abs() < 1e-9 && corrected != plain);
    let ordered = score(&["--ordered"]);
    let step = plain[0] + 2.0 * plain[1] + 3.0 * plain[2];
    assert!(
        (ordered["step"].as_f64().unwrap() - step).abs() < 1e-9,
        "{ordered}"
    );
    // Each label stands for itself.
    let each = ["--each", "Is it about {label}?"];
    let together = shares(&score(&each));
    assert!(together.iter().all(|share| (0.0..=1.0).contains(share)));
    let args = [
        "model",
        "score",
        "--model",
        "starter",
        "--json",
        "--prompt",
        "Gold fell.",
    ];
    let alone = place.run(&[&args[..], &["--label", "routine"], &each].concat());
    assert_eq!(shares(&alone.summary()), [together[1]]);
}

/// A chat with the starter model of these lines.
fn chat(place: &Workplace, more: &[&str], input: &str) -> Ran {
    let args = ["model", "chat", "--model", "starter", "--temperature", "0"];
    let mut command = place.tiergate(&[&args[..], more].concat());
    let ran = with_input(&mut command, input);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

#[test]
fn a_chat_answers_each_message_and_forgets_when_told() {
    let place = Workplace::new();
    let ran = chat(&place, &[], "Hello\n\nHello\n/reset\nHello\n");
    let answers: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        answers.len(),
        3,
        "answers alone, one for each message: {ran:?}"
    );
    assert_eq!(answers[0], answers[2], "after a reset all is as at first");
    let figures = ran.err.matches(" tokens of the context are used").count();
    assert_eq!(figures, 3, "{ran:?}");
    assert!(
        !ran.err.contains('\u{1b}'),
        "no colours where there is no terminal"
    );
    let once = chat(&place, &[], "Hello");
    assert_eq!(
        once.out.lines().next(),
        Some(answers[0]),
        "a line may end with the input"
    );
}

#[test]
fn a_chat_keeps_to_its_instructions_and_knows_its_commands() {
    let place = Workplace::new();
    let system = chat(&place, &["--system", "Be strict."], "Hello\n");
    let told = chat(
        &place,
        &[],
        "/system Be strict.\nHello\n/system\n/reset\nHello\n",
    );
    assert_eq!(told.out.lines().next(), system.out.lines().next());
    let used = |ran: &Ran, answer: usize| {
        let lines: Vec<&str> = ran
            .err
            .lines()
            .filter(|line| line.contains("are used"))
            .collect();
        lines[answer].split("; ").nth(1).unwrap().to_owned()
    };
    assert_eq!(used(&told, 0), used(&system, 0));
    assert_ne!(
        used(&told, 1),
        used(&system, 0),
        "the instructions were taken back"
    );
    let ran = chat(&place, &[], "/help\n/what\n//what\na\\\nb\n/quit\nnever\n");
    assert!(
        ran.err.contains("/reset") && ran.err.contains("there is no /what"),
        "{ran:?}"
    );
    assert_eq!(ran.err.matches("are used").count(), 2, "{ran:?}");
}

#[test]
fn a_message_too_long_for_the_context_is_refused_and_the_chat_goes_on() {
    let place = Workplace::new();
    let long = "word ".repeat(2000);
    let ran = chat(&place, &[], &format!("Hello\n{long}\nAgain\n"));
    assert!(ran.err.contains("has a context of 1024"), "{ran:?}");
    assert!(ran.err.contains("was not taken in"), "{ran:?}");
    let without = chat(&place, &[], "Hello\nAgain\n");
    assert_eq!(ran.out, without.out, "as if it had never been said");
    let short = chat(&place, &["--max-tokens", "1"], "Hello\n");
    assert!(short.err.contains("--max-tokens allows more"), "{short:?}");
}

#[test]
fn ctrl_c_twice_ends_a_chat() {
    let place = Workplace::new();
    let mut command = place.tiergate(&["model", "chat", "--model", "starter"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // While it is open there may be another message.
    let _input = child.stdin.take();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |words: &str| {
        let line = told.find(|line| line.as_ref().unwrap().contains(words));
        assert!(line.is_some(), "the chat never says `{words}`");
    };
    until("/help tells the rest");
    interrupt(&child);
    until("Ctrl-C again ends");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
