//! `tiergate eval`: measured on records.

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

/// Records as other programs write them: numbers as ids, a mark of the byte order, 1 and 0 for true
/// and false, labels beyond ASCII, and here and there something that is missing.
fn odd_records(place: &Workplace, name: &str) {
    let odd = |(index, document): (usize, &Value)| {
        let label = |at: usize| ["straße", "中文", "🙂 ok"][at % 3];
        let at = document["text"].as_str().unwrap().len();
        let answer = |right_of: usize| match index % right_of {
            0 => label(at + 1),
            _ => label(at),
        };
        let model = |right_of: usize| {
            let answer = answer(right_of);
            let correct = u8::from(answer == label(at));
            // Half of all are as sure as each other.
            let confidence = if index % 2 == 0 {
                0.9
            } else {
                (index % 89) as f64 / 89.0
            };
            json!({ "answer": answer, "correct": correct, "confidence": confidence })
        };
        let mut record = json!({
            "id": index, "text": format!("{} {}", label(at), document["text"]), "gold": label(at),
            "models": { "weak": model(4), "strong": model(10) },
        });
        match index % 50 {
            7 => drop(record["models"].as_object_mut().unwrap().remove("weak")),
            17 => drop(record["models"].as_object_mut().unwrap().remove("strong")),
            27 => record["text"] = Value::Null,
            37 => record["gold"] = Value::Null,
            _ => {}
        }
        format!("{record}\r\n")
    };
    let lines: String = documents()[..600].iter().enumerate().map(odd).collect();
    place.write(name, format!("\u{feff}{lines}\r\n"));
}

#[test]
fn every_command_takes_odd_records_and_says_how_many_it_left_out() {
    let place = Workplace::new();
    odd_records(&place, "odd.jsonl");
    let certificate = "certificate --records odd.jsonl --local weak --reference strong --alpha 0.4 \
                       --n 300 --draws 20";
    let cascade =
        "cascade --train odd.jsonl --test odd.jsonl --tiers student,weak --frontier strong";
    let router = "router --records odd.jsonl --weak weak --strong strong";
    let online = "online --records odd.jsonl --teacher strong --flag 中文 --calls 0.5";
    let cases: [(&str, &[&str], u64); 6] = [
        (
            certificate,
            &[
                "violation_rate",
                "share_kept",
                "oracle_share",
                "certified_draws",
            ],
            24,
        ),
        (
            cascade,
            &[
                "accuracy",
                "frontier_share",
                "frontier_accuracy",
                "disagreement",
            ],
            48,
        ),
        (
            &format!("{cascade} --in-turn"),
            &["accuracy", "frontier_share"],
            48,
        ),
        (router, &["apgr", "cpt50", "cpt80"], 36),
        (online, &["agreement", "recall", "call_share"], 24),
        ("student --data odd.jsonl", &["accuracy", "macro_f1"], 24),
    ];
    for (command, keys, left_out) in cases {
        let words: Vec<&str> = ["eval"].into_iter().chain(command.split(' ')).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let ran = place.run(&[&words[..], &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        let report = ran.summary();
        for key in keys {
            assert!(report[*key].is_number(), "{command}: {key} in {report}");
        }
        assert_eq!(report["records_left_out"], left_out, "{command}: {report}");
        let people = place.run(&words);
        assert_eq!(people.code, Some(0), "{command}: {people:?}");
        assert!(!people.out.contains("NaN"), "{people:?}");
    }
}

#[test]
fn records_that_can_tell_nothing_are_refused_with_the_reason() {
    let place = Workplace::new();
    let line = |index: usize| {
        let model = json!({ "answer": "a", "correct": true, "confidence": 0.5 });
        let record = json!({
            "id": index, "text": "one and the same", "gold": "a",
            "models": { "weak": model, "strong": model },
        });
        format!("{record}\n")
    };
    place.write("same.jsonl", (0..100).map(line).collect::<String>());
    place.write("few.jsonl", (0..3).map(line).collect::<String>());
    for (command, reason) in [
        (
            "router --records same.jsonl --weak weak --strong strong",
            "nothing to choose",
        ),
        (
            "student --data same.jsonl",
            "a classifier needs at least two",
        ),
        ("student --data few.jsonl", "can't be cut into 5 folds"),
        (
            "online --records same.jsonl --teacher strong",
            "a classifier needs at least two",
        ),
        (
            "cascade --train few.jsonl --test same.jsonl --tiers weak --frontier strong",
            "a deferral head needs 200 or more",
        ),
        (
            "certificate --records same.jsonl --local weak --reference none --alpha 0.1",
            "no record has answers of both `weak` and `none`",
        ),
    ] {
        let words: Vec<&str> = ["eval"].into_iter().chain(command.split(' ')).collect();
        let ran = place.run(&words);
        assert_eq!(ran.code, Some(1), "{command}: {ran:?}");
        assert!(ran.err.contains(reason), "{command}: {ran:?}");
    }
}
