//! What `tiergate run` reads: every form of input, and what is wrong in it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::workplace::{LLAMA, Workplace, config, documents, matters, tally};

fn place() -> Workplace {
    let place = Workplace::new();
    place.write(
        "tiergate.toml",
        config(&["llama"], LLAMA, "sensitivity = \"internal\""),
    );
    place
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn as_csv(documents: &[Value]) -> String {
    let row = |document: &Value| {
        let text = document["text"].as_str().unwrap().replace('"', "\"\"");
        format!("{},\"{text}\"\r\n", document["id"].as_str().unwrap())
    };
    std::iter::once("id,text\r\n".to_owned())
        .chain(documents.iter().map(row))
        .collect()
}

#[test]
fn the_form_of_the_input_changes_no_answer() {
    let place = place();
    let documents = &documents()[..40];
    place.write("a.jsonl", matters(40));
    place.write("b.jsonl.gz", packed(matters(40).as_bytes()));
    place.write("c.csv", as_csv(documents));
    place.write("d.csv.gz", packed(as_csv(documents).as_bytes()));
    for (index, document) in documents.iter().enumerate() {
        let kind = if index % 2 == 0 { "txt" } else { "md" };
        place.write(
            &format!("e/{index:03}.{kind}"),
            document["text"].as_str().unwrap(),
        );
    }
    place.write("e/logo.png", b"\x89PNG");
    let answers = |input: &str| -> Vec<Value> {
        let output = format!("{input}.out");
        let ran = place.run(&["run", "classify", input, "-o", &output]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        place
            .results(&output)
            .into_iter()
            .map(|result| result["answer"].clone())
            .collect()
    };
    let expected = answers("a.jsonl");
    assert_eq!(expected.len(), 40);
    for input in ["b.jsonl.gz", "c.csv", "d.csv.gz", "e"] {
        assert_eq!(answers(input), expected, "{input}");
    }
}

#[test]
fn rows_and_several_inputs_are_counted_through() {
    let place = place();
    place.write("a.jsonl", matters(10));
    place.write("b.csv", as_csv(&documents()[10..20]));
    let ran = place.run(&[
        "run", "classify", "a.jsonl", "b.csv", "-o", "o.jsonl", "--rows", "8..12",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ids: Vec<_> = place
        .results("o.jsonl")
        .iter()
        .map(|r| r["id"].clone())
        .collect();
    let expected: Vec<_> = documents()[8..12].iter().map(|d| d["id"].clone()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn each_row_that_is_wrong_gets_a_reason_and_the_others_an_answer() {
    let place = place();
    let mut rows = matters(3).into_bytes();
    rows.extend_from_slice(b"{\"id\": \"broken\", \"text\": \n");
    rows.extend_from_slice(b"{\"id\": \"no-text\", \"body\": \"x\"}\n");
    rows.extend_from_slice(b"{\"id\": \"empty\", \"text\": \"  \"}\n");
    rows.extend_from_slice(b"{\"id\": \"number\", \"text\": 5}\n");
    rows.extend_from_slice(b"{\"id\": \"latin\", \"text\": \"caf\xe9\"}\n");
    rows.extend_from_slice(matters(4).lines().last().unwrap().as_bytes());
    place.write("in.jsonl", rows);
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"]);
    assert_eq!(ran.code, Some(65), "{ran:?}");
    let results = place.results("out.jsonl");
    assert_eq!(results.len(), 9);
    let status = tally(&results, "status");
    assert_eq!((status["answered"], status["failed"]), (4, 5));
    let reason = |row: usize| results[row]["error"].as_str().unwrap();
    assert!(reason(3).contains("no JSON object"), "{}", reason(3));
    assert!(reason(4).contains("no field `text`"), "{}", reason(4));
    assert!(reason(5).contains("empty"), "{}", reason(5));
    assert!(reason(6).contains("is no string"), "{}", reason(6));
    assert!(reason(7).contains("no JSON object"), "{}", reason(7));
    // They stay what they are, and are not tried again.
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"]);
    assert_eq!(
        (ran.code, &ran.summary()["already"]),
        (Some(65), &9.into()),
        "{ran:?}"
    );
}

#[test]
fn a_text_too_long_for_the_model_fails_alone() {
    let place = place();
    let long = "word ".repeat(40_000);
    let rows = format!(
        "{}{}\n",
        matters(2),
        serde_json::json!({ "id": "long", "text": long })
    );
    place.write("in.jsonl", rows);
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]);
    assert_eq!(ran.code, Some(65), "{ran:?}");
    let results = place.results("out.jsonl");
    let reason = results[2]["error"].as_str().unwrap();
    assert!(
        reason.contains("tokens") && reason.contains("context"),
        "{reason}"
    );
    assert_eq!(tally(&results, "status")["answered"], 2);
}

#[test]
fn an_input_that_cannot_be_read_leaves_nothing_behind() {
    let place = place();
    place.write("cut.jsonl.gz", &packed(matters(500).as_bytes())[..2000]);
    place.write("no-text.csv", "id,body\n1,x\n");
    place.write("what.xyz", "x");
    let cases = [
        ("missing.jsonl", "missing.jsonl"),
        ("what.xyz", "unknown kind of input"),
        ("no-text.csv", "no column `text`; its columns are id, body"),
        ("cut.jsonl.gz", "cut.jsonl.gz"),
    ];
    for (input, message) in cases {
        let ran = place.run(&["run", "classify", input, "-o", "out.jsonl"]);
        assert_eq!(ran.code, Some(1), "{input}: {ran:?}");
        assert!(ran.err.contains(message), "{input}: {ran:?}");
        assert!(!place.path("out.jsonl").exists(), "{input}");
    }
    let ran = place.run(&[
        "run",
        "classify",
        "no-text.csv",
        "-o",
        "out.jsonl",
        "--text-field",
        "body",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
