//! Files of records that are not as they should be: each is refused with what is wrong and where,
//! or counts as what it is.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::workplace::{Workplace, config, documents, good, labelled, lines};

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    let sections = "[tiers.student]\nkind = \"student\"\n[tiers.reviewer]\nkind = \"person\"\n";
    let task = "sensitivity = \"internal\"\nrecords = { path = \"labelled.jsonl\" }\n\
                target = { max_error = 0.1, confidence = 0.9 }";
    place.write(
        "tiergate.toml",
        config(&["student", "reviewer"], sections, task),
    );
    place
}

fn calibrate(place: &Workplace, file: &str, more: &[&str]) -> Result<Value, String> {
    let command = ["calibrate", "classify", "--records", file, "--json"];
    let ran = place.run(&[&command[..], more].concat());
    match ran.code {
        Some(0) => Ok(serde_json::from_str(&ran.out).unwrap()),
        Some(_) => Err(ran.err),
        None => panic!("{ran:?}"),
    }
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn what_cannot_be_used_is_refused_with_what_is_wrong_and_where() {
    let place = place();
    let all = lines(&documents()[..300]);
    let with_line = |line: &str| format!("{}{line}\n", lines(&documents()[..7]));
    let half = packed(&all);
    let cases: [(&str, Vec<u8>, &str); 10] = [
        (
            "empty.jsonl",
            Vec::new(),
            "it holds no row; give at least one labelled record",
        ),
        ("none.csv", b"id,text,gold\n".to_vec(), "it holds no row"),
        (
            "columns.csv",
            b"id,body,gold\n1,a,fraud\n".to_vec(),
            "no column `text`",
        ),
        (
            "gold.jsonl",
            with_line(r#"{"text": "a"}"#).into(),
            "row 7: there is no field `gold`; name the right answer's field with --gold-field",
        ),
        (
            "text.jsonl",
            with_line(r#"{"gold": "fraud"}"#).into(),
            "row 7: there is no field `text`; name the text's field with --text-field",
        ),
        (
            "label.jsonl",
            with_line(r#"{"text": "a", "gold": "nonsense"}"#).into(),
            "row 7: `nonsense` is none of the labels fraud, laundering",
        ),
        (
            "nan.jsonl",
            with_line(r#"{"text": "a", "gold": NaN}"#).into(),
            "row 7: the line is no JSON object",
        ),
        (
            "blank.jsonl",
            with_line(r#"{"text": " ", "gold": "fraud"}"#).into(),
            "row 7: the text is empty",
        ),
        (
            "cut.jsonl",
            all[..all.len() - 40].into(),
            "row 299: the line is no JSON object",
        ),
        (
            "cut.jsonl.gz",
            half[..half.len() / 2].into(),
            "for gzip, that the file is whole",
        ),
    ];
    for (file, content, fault) in cases {
        place.write(file, content);
        let said = calibrate(&place, file, &[]).unwrap_err();
        assert!(
            said.contains(file) && said.contains(fault),
            "{file}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
    place.write("all.jsonl", &all);
    let said = calibrate(&place, "all.jsonl", &["--rows", "300.."]).unwrap_err();
    assert!(
        said.contains("no rows in 300..; the file is shorter than that"),
        "{said}"
    );
    // A file that is not there is told of once.
    let said = calibrate(&place, "gone.jsonl", &[]).unwrap_err();
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn the_same_records_prove_the_same_however_they_are_written() {
    let place = place();
    let documents = &documents()[..300];
    let all = lines(documents);
    let rows = documents.iter().map(|it| {
        let text = it["text"].as_str().unwrap().replace('"', "\"\"");
        format!("\"{text}\",{}\r\n", it["classify"].as_str().unwrap())
    });
    place.write("plain.jsonl", &all);
    place.write("dos.jsonl", all.replace('\n', "\r\n"));
    place.write("open.jsonl", format!("{all}\n\n  \n"));
    place.write("packed.jsonl.gz", packed(&all));
    place.write(
        "dos.csv",
        format!("\u{feff}text,gold\r\n{}", rows.collect::<String>()),
    );
    let plain = calibrate(&place, "plain.jsonl", &[]).unwrap();
    assert_eq!(plain["records"], 300);
    for file in ["dos.jsonl", "open.jsonl", "packed.jsonl.gz", "dos.csv"] {
        let other = calibrate(&place, file, &[]).unwrap();
        for part in ["records_sha256", "tiers", "classes"] {
            assert_eq!(other[part], plain[part], "{file}");
        }
    }
}

#[test]
fn few_records_prove_nothing_one_label_is_enough_and_repeated_ones_are_told() {
    let place = place();
    place.write("one.jsonl", lines(&documents()[..1]));
    let one = calibrate(&place, "one.jsonl", &[]).unwrap();
    assert_eq!(
        (&one["certified"], &one["records"]),
        (&json!(false), &json!(1))
    );
    assert!(one["records_wanting"].as_u64() > Some(10), "{one}");

    let fraud = documents()
        .into_iter()
        .filter(|it| it["classify"] == "fraud");
    place.write("fraud.jsonl", lines(&fraud.collect::<Vec<_>>()));
    let fraud = calibrate(&place, "fraud.jsonl", &[]).unwrap();
    let seen = |class: &Value| class["records"].as_u64() > Some(0);
    assert_eq!(
        fraud["classes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| seen(it))
            .count(),
        1
    );
    assert_eq!(fraud["records_repeated"], 0);

    place.write("twice.jsonl", lines(&documents()[..200]).repeat(2));
    assert_eq!(
        calibrate(&place, "twice.jsonl", &[]).unwrap()["records_repeated"],
        200
    );
    let command = [
        "calibrate",
        "classify",
        "--records",
        "twice.jsonl",
        "--report",
        "r.html",
    ];
    let said = good(place.run(&command)).out;
    let note = "200 records repeat the text of another word by word";
    assert!(
        said.contains(note) && place.read("r.html").contains(note),
        "{said}"
    );
}
