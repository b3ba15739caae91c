//! `tiergate records`: kept only where it is said, read by `eval` and `calibrate`, and forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::server::Server;
use crate::vendor::{Manner, Vendor};
use crate::workplace::{Ran, Workplace, config, documents, good, labelled, matters};

const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";
const REVIEWER: &str = "[tiers.reviewer]\nkind = \"person\"\n";
const EXPORT: [&str; 5] = ["records", "export", "classify", "--out", "live.jsonl.gz"];
const LEDGER: &str = "tiergate-data/ledger.sqlite";

/// A place with a student of 600 records and 200 documents to answer.
fn place(sections: &str, tiers: &[&str], records: &str) -> Workplace {
    let place = Workplace::new();
    let line = |document: &Value| {
        let line = json!({"text": document["text"], "gold": document["classify"]});
        format!("{line}\n")
    };
    let learned: String = labelled()[..600].iter().map(line).collect();
    place.write("labelled.jsonl", learned);
    place.write("in.jsonl", matters(200));
    write_config(&place, sections, tiers, records);
    place
}

fn write_config(place: &Workplace, sections: &str, tiers: &[&str], records: &str) {
    let task = format!(
        "sensitivity = \"internal\"\nthreshold = 0.9\nmax_completion_tokens = 16\n\
         records = {{ path = \"labelled.jsonl\"{records} }}"
    );
    let sections = format!("{STUDENT}{sections}");
    place.write("tiergate.toml", config(tiers, &sections, &task));
}

fn run(place: &Workplace) {
    good(place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]));
}

fn list(place: &Workplace) -> Value {
    good(place.run(&["records", "list", "classify", "--json"])).summary()
}

/// The lines of a packed file.
fn unpacked(place: &Workplace, name: &str) -> Vec<Value> {
    let mut text = String::new();
    let packed = std::fs::File::open(place.path(name)).unwrap();
    let mut unpacking = flate2::read::GzDecoder::new(packed);
    unpacking.read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The right answer to each of the demo's texts.
fn gold() -> BTreeMap<String, String> {
    let text = |document: &Value, field: &str| document[field].as_str().unwrap().to_owned();
    let all = documents();
    all.iter()
        .map(|it| (text(it, "text"), text(it, "classify")))
        .collect()
}

/// Whether a text stands anywhere in the data folder.
fn on_disk(place: &Workplace, text: &str) -> bool {
    let files = std::fs::read_dir(place.path("tiergate-data")).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|file| file.is_file())
        .any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
}

#[test]
fn no_text_is_kept_unless_it_is_said() {
    let place = place(REVIEWER, &["student", "reviewer"], "");
    run(&place);
    assert!(!on_disk(&place, documents()[3]["text"].as_str().unwrap()));
    assert_eq!(list(&place)["records"], 0);
    let ran = place.run(&EXPORT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err
            .contains("it keeps none; add records = { keep = true"),
        "{ran:?}"
    );
    assert!(!place.path("live.jsonl.gz").exists());
}

#[test]
fn what_was_kept_is_exported_with_its_evidence_and_its_exact_cost() {
    let place = place(REVIEWER, &["student", "reviewer"], "");
    let vendor = Vendor::start(&place, &Manner::default());
    let tiers = ["student", "frontier"];
    write_config(&place, &vendor.config(), &tiers, ", keep = true");
    run(&place);
    good(place.run(&EXPORT));
    let lines = unpacked(&place, "live.jsonl.gz");
    let results = place.results("out.jsonl");
    assert_eq!(lines.len(), 200);
    let ids: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 200);
    let by_text: BTreeMap<&str, &Value> = lines
        .iter()
        .map(|line| (line["text"].as_str().unwrap(), line))
        .collect();
    let mut cost = 0.0;
    for (document, result) in documents().iter().zip(&results) {
        let line = by_text[document["text"].as_str().unwrap()];
        for field in ["tier", "confidence"] {
            assert_eq!(line[field], result[field], "{line}");
        }
        let student = &line["models"]["student"];
        assert_eq!(student["answer"], result["decision"][0]["answer"]);
        assert_eq!(student["confidence"], result["decision"][0]["confidence"]);
        let logits = student["logits"].as_array().unwrap();
        let sum: f64 = logits.iter().map(|x| x.as_f64().unwrap().exp()).sum();
        assert!(logits.len() == 7 && (sum - 1.0).abs() < 1e-9, "{student}");
        let frontier = line["models"].get("frontier");
        assert_eq!(frontier.is_some(), result["tier"] == "frontier", "{line}");
        cost += frontier.map_or(0.0, |it| it["cost_usd"].as_f64().unwrap());
        assert_eq!(line["thresholds"], json!({"student": 0.9}));
        assert_eq!(line["gold"], Value::Null);
    }
    let (billed, answers) = vendor.close();
    assert!(answers > 20, "{answers}");
    assert!((cost - billed.as_usd_f64()).abs() < 1e-9, "{cost} {billed}");

    // What `eval` reads of it: the requests that both have answered.
    let eval = [
        "eval",
        "certificate",
        "--records",
        "live.jsonl.gz",
        "--local",
        "student",
        "--reference",
        "frontier",
        "--alpha",
        "0.2",
        "--draws",
        "20",
        "--json",
    ];
    let report = good(place.run(&eval)).summary();
    assert_eq!(report["population"], answers, "{report}");

    let again = place.run(&EXPORT);
    assert!(
        again.code == Some(1) && again.err.contains("is there already"),
        "{again:?}"
    );
    good(place.run(&[&EXPORT[..], &["--again", "--since", "2020-01-01"]].concat()));
    let none = place.run(&[&EXPORT[..], &["--again", "--until", "2020-01-01"]].concat());
    assert!(none.err.contains("each is kept for 30 days"), "{none:?}");
    assert_eq!(
        unpacked(&place, "live.jsonl.gz").len(),
        200,
        "the earlier file stays"
    );
}

/// A place with 200 records, and the rows that give their right answers.
fn answered() -> (Workplace, String) {
    let place = place(REVIEWER, &["student", "reviewer"], ", keep = true");
    run(&place);
    good(place.run(&EXPORT));
    let gold = gold();
    let correction = |line: &Value| {
        let gold = &gold[line["text"].as_str().unwrap()];
        format!(
            "{}\n",
            json!({"id": line["id"], "gold": gold.to_uppercase()})
        )
    };
    let lines = unpacked(&place, "live.jsonl.gz");
    (place, lines.iter().map(correction).collect())
}

const LABEL: [&str; 5] = ["records", "label", "classify", "--from", "gold.jsonl"];

#[test]
fn a_file_of_right_answers_is_taken_whole_or_not_at_all_but_for_unknown_ids() {
    let (place, corrections) = answered();
    // A row without a label is told, and then none is taken.
    let wrong = corrections.clone() + "{\"id\": \"x\", \"gold\": \"tax\"}\n";
    place.write("gold.jsonl", wrong);
    let ran = place.run(&LABEL);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let fault = "row 200: `tax` is none of the labels fraud,";
    assert!(ran.err.contains(fault), "{ran:?}");
    place.write("gold.jsonl", "{\"gold\": \"fraud\"}\n");
    let ran = place.run(&LABEL);
    assert!(ran.err.contains("row 0: no field `id`"), "{ran:?}");
    assert_eq!(list(&place)["labelled"], 0);
    // An id that is none is told, and the others are taken.
    let unknown = corrections + "{\"id\": \"x\", \"gold\": \"fraud\"}\n";
    place.write("gold.jsonl", unknown);
    let ran = place.run(&LABEL);
    assert_eq!(ran.code, Some(65), "{ran:?}");
    assert!(ran.out.contains("200 right answers"), "{ran:?}");
    assert!(ran.err.contains("1 ids are of no"), "{ran:?}");
    assert_eq!(list(&place)["labelled"], 200);
}

#[test]
fn labelled_records_certify() {
    let (place, corrections) = answered();
    place.write("gold.jsonl", corrections);
    good(place.run(&LABEL));
    let export = [
        "records",
        "export",
        "classify",
        "--labelled",
        "--out",
        "gold-live.jsonl",
    ];
    good(place.run(&export));
    let gold = gold();
    for line in place.results("gold-live.jsonl") {
        let student = &line["models"]["student"];
        assert_eq!(line["gold"], gold[line["text"].as_str().unwrap()].as_str());
        assert_eq!(
            student["correct"],
            student["answer"] == line["gold"],
            "{line}"
        );
    }
    let target = "target = { max_error = 0.2, confidence = 0.9 }";
    let config = place
        .read("tiergate.toml")
        .replace("threshold = 0.9", target);
    place.write("tiergate.toml", config);
    let calibrate = [
        "calibrate",
        "classify",
        "--records",
        "gold-live.jsonl",
        "--json",
    ];
    let report = good(place.run(&calibrate)).summary();
    assert_eq!(
        (&report["records"], &report["certified"]),
        (&200.into(), &true.into()),
        "{report}"
    );

    // A record says by which certificate it was decided.
    good(place.run(&["run", "classify", "in.jsonl", "-o", "proven.jsonl"]));
    good(place.run(&[&EXPORT[..], &["--again"]].concat()));
    let lines = unpacked(&place, "live.jsonl.gz");
    let certified = |line: &&Value| {
        line["certificate"]
            .as_str()
            .is_some_and(|it| it.len() == 64)
    };
    assert_eq!(lines.iter().filter(certified).count(), 200);
}

#[test]
fn a_person_answers_one_by_one_what_waits() {
    let place = place(REVIEWER, &["student", "reviewer"], ", keep = true");
    run(&place);
    let label = |lines: &str| {
        let mut command = place.tiergate(&["records", "label", "classify"]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let mut given = child.stdin.take().unwrap();
        given.write_all(lines.as_bytes()).unwrap();
        drop(given);
        good(Ran::from(child.wait_with_output().unwrap()))
    };
    let review = |place: &Workplace| {
        let ran = place.run(&[
            "records", "list", "classify", "--review", "--most", "500", "--json",
        ]);
        good(ran).summary()["shown"].as_array().unwrap().len()
    };
    let waiting = review(&place);
    assert!(waiting > 10, "{waiting}");
    // By number, skipped, by name after a name that is none; then the end of the input.
    let ran = label("2\n\ntax\nRoutine\n");
    assert!(ran.out.contains("`tax` is none of the labels"), "{ran:?}");
    assert!(ran.out.contains("student would answer:"), "{ran:?}");
    assert!(
        ran.out.contains("2 right answers of classify are booked"),
        "{ran:?}"
    );
    assert_eq!(review(&place), waiting - 2);
    // What was skipped is the first to be asked for the next time.
    let ran = label("fraud\nq\n");
    assert!(ran.out.contains("1 right answers"), "{ran:?}");
    assert_eq!(
        (review(&place), &list(&place)["labelled"]),
        (waiting - 3, &3.into())
    );
}

#[test]
fn what_is_forgotten_or_expired_is_gone_from_the_disk() {
    let place = place(
        REVIEWER,
        &["student", "reviewer"],
        ", keep = true, days = 2",
    );
    run(&place);
    let text = |index: usize| documents()[index]["text"].as_str().unwrap().to_owned();
    assert!(on_disk(&place, &text(0)) && on_disk(&place, &text(199)));
    let listed = list(&place);
    let newest = listed["shown"][0]["id"].as_str().unwrap();
    let forget = |args: &[&str]| place.run(&[&["records", "forget", "classify"], args].concat());
    good(forget(&["--id", newest]));
    assert_eq!(list(&place)["records"], 199);
    let ran = forget(&["--id", newest]);
    assert!(
        ran.code == Some(1) && ran.err.contains("0 of these 1 records"),
        "{ran:?}"
    );
    good(forget(&["--older-than", "1"]));
    assert_eq!(list(&place)["records"], 199);

    // Days go by.
    let books = rusqlite::Connection::open(place.path(LEDGER)).unwrap();
    let two_days = 2 * 24 * 3_600 * 1_000_i64;
    let early = "UPDATE records SET at = at - ?1, expires_at = expires_at - ?1 WHERE text = ?2";
    books.execute(early, (two_days, text(7))).unwrap();
    books.close().unwrap();
    assert!(on_disk(&place, &text(7)));
    place.write("one.jsonl", matters(1));
    good(place.run(&["run", "classify", "one.jsonl", "-o", "one-out.jsonl"]));
    assert!(
        !on_disk(&place, &text(7)),
        "its time was over when the program started"
    );
    assert_eq!(list(&place)["records"], 199, "one more and one less");
    good(forget(&["--all"]));
    assert_eq!(list(&place)["records"], 0);
    assert!((0..200).all(|index| !on_disk(&place, &text(index))));
    assert_eq!(
        place.ledger()["tasks"][0]["requests"],
        201,
        "decisions stay"
    );
}

#[test]
fn a_kill_leaves_a_record_for_every_decision_and_no_other() {
    let place = place(REVIEWER, &["student", "reviewer"], ", keep = true");
    place.write("in.jsonl", matters(2_000));
    let books = || rusqlite::Connection::open(place.path(LEDGER)).unwrap();
    let count = |sql: &str| books().query_row(sql, [], |row| row.get::<_, i64>(0));
    let mut command = place.tiergate(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    crate::server::until("some are answered", || {
        place.path(LEDGER).exists()
            && count("SELECT COUNT(*) FROM decisions").is_ok_and(|decisions| decisions > 100)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let unmatched = "SELECT COUNT(*) FROM decisions d FULL JOIN records r USING (request)
                     WHERE d.task IS NULL OR r.task IS NULL";
    assert_eq!(count(unmatched).unwrap(), 0);
    assert!(count("SELECT COUNT(*) FROM records").unwrap() > 100);
}

#[test]
fn a_request_over_the_network_is_kept_under_its_id_and_a_conversation_with_its_turns() {
    let place = place(REVIEWER, &["student", "reviewer"], ", keep = true");
    let chat = "\n[tiers.llama]\nkind = \"local\"\nmodel = \"starter\"\n[tasks.talk]\nkind = \"chat\"\n\
                prompt = \"Be brief.\"\ntiers = [\"llama\"]\nmax_completion_tokens = 4\n\
                records = { keep = true }\n";
    let server = Server::start(&place, &(place.read("tiergate.toml") + chat));
    let text = documents()[0]["text"].clone();
    let message = |role: &str, content: &Value| json!({"role": role, "content": content});
    let asks = |model: &str, messages: Value| json!({"model": model, "messages": messages});
    let answered = server.chat(&asks("task:classify", json!([message("user", &text)])));
    let turns = json!([
        message("user", &"a".into()),
        message("assistant", &"b".into()),
        message("user", &"c".into())
    ]);
    let talked = server.chat(&asks("task:talk", turns));
    // A tier asked by its name is no task, and nothing of it is kept.
    server.chat(&asks("tier:llama", json!([message("user", &"d".into())])));
    server.stop();
    assert_eq!(list(&place)["shown"][0]["id"], answered.id().0);
    good(place.run(&["records", "export", "talk", "--out", "talk.jsonl"]));
    let talk = place.results("talk.jsonl");
    assert_eq!((talk.len(), &talk[0]["id"]), (1, &talked.id().0.into()));
    assert_eq!(talk[0]["text"], "user: a\n\nassistant: b\n\nuser: c");
    let llama = &talk[0]["models"]["llama"];
    assert_eq!(llama["answer"], talked.content());
    let tokens = &llama["token_log_probabilities"];
    assert_eq!(tokens["quantiles"].as_array().unwrap().len(), 11, "{llama}");
}
