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
