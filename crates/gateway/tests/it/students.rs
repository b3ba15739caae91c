//! Students that go on learning: from what becomes known, and only where they can prove it.

use serde_json::{Value, json};

use crate::server::{Server, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{Workplace, config, documents, good, labelled, lines};

const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";
const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];
const TEACH: [&str; 3] = ["student", "teach", "classify"];
const EXPORT: [&str; 6] = [
    "records",
    "export",
    "classify",
    "--again",
    "--out",
    "live.jsonl",
];

/// A place with a student of so many records, certified on 400 answers of the vendor.
fn certified(records: usize, learn: &str) -> (Workplace, Vendor) {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    place.write("labelled.jsonl", lines(&labelled()[..records]));
    place.write("proof.jsonl", lines(&documents()[..400]));
    place.write("in.jsonl", lines(&documents()[400..1600]));
    let task = format!(
        "sensitivity = \"internal\"\nmax_completion_tokens = 16\n\
         target = {{ max_error = 0.1, confidence = 0.9 }}\naudit = {{ share = 0.5 }}\n\
         records = {{ path = \"labelled.jsonl\", keep = true }}\n{learn}"
    );
    let sections = format!("{STUDENT}{}", vendor.config());
    place.write(
        "tiergate.toml",
        config(&["student", "frontier"], &sections, &task),
    );
    let calibrate = [
        "calibrate",
        "classify",
        "--records",
        "proof.jsonl",
        "--reference",
        "frontier",
        "--json",
    ];
    let report = good(place.run(&calibrate)).summary();
    assert_eq!(report["certified"], true, "{report}");
    (place, vendor)
}

fn list(place: &Workplace) -> Value {
    good(place.run(&["student", "list", "classify", "--json"])).summary()
}

fn certificate(place: &Workplace) -> Value {
    let ran = good(place.run(&["certificates", "--json"]));
    ran.summary()["certificates"][0].clone()
}

/// How many of fresh documents the student keeps, and how many of those are wrong.
fn kept(place: &Workplace, output: &str) -> (usize, usize) {
    place.write("fresh.jsonl", lines(&documents()[1600..]));
    good(place.run(&["run", "classify", "fresh.jsonl", "-o", output]));
    let results = place.results(output);
    let kept = results.iter().filter(|it| it["tier"] == "student");
    let wrong = kept.clone().filter(|it| it["answer"] != it["gold"]);
    (kept.count(), wrong.count())
}

/// A place whose student has had a lesson, how much the student from the file kept of fresh
/// documents, and that one's certificate.
fn taught() -> (Workplace, Vendor, usize, Value) {
    let (place, vendor) = certified(150, "");
    let ran = place.run(&TEACH);
    assert!(ran.err.contains("too little is known"), "{ran:?}");
    good(place.run(&RUN));
    // Persons have looked at some.
    good(place.run(&EXPORT));
    let records = place.results("live.jsonl").into_iter();
    let escalated = records.filter(|it| it["tier"] == "frontier");
    let row = |it: Value| {
        let gold = &it["models"]["frontier"]["answer"];
        format!("{}\n", json!({"id": it["id"], "gold": gold}))
    };
    let rows: String = escalated.take(60).map(row).collect();
    place.write("gold.jsonl", rows);
    good(place.run(&["records", "label", "classify", "--from", "gold.jsonl"]));
    let (before, _) = kept(&place, "before.jsonl");
    let first = certificate(&place);
    let asked = vendor.requests();
    let ran = good(place.run(&TEACH));
    assert!(ran.out.contains("student 1 keeps"), "{ran:?}");
    assert_eq!(vendor.requests(), asked, "a lesson costs no request");
    (place, vendor, before, first)
}

#[test]
fn a_lesson_makes_a_student_that_keeps_more_and_proves_it() {
    let (place, vendor, before, _) = taught();
    let listed = list(&place);
    let (student, lesson) = (&listed["students"][0], &listed["lessons"][0]);
    assert_eq!(
        (&listed["in_use"], &student["in_use"]),
        (&1.into(), &true.into())
    );
    let by_persons = student["taught_by_persons"].as_u64().unwrap();
    assert!(
        (10..=50).contains(&by_persons),
        "half of 60, by lot: {student}"
    );
    let share = |field: &str| lesson[field].as_f64().unwrap();
    assert!(share("share_after") >= share("share_before"), "{lesson}");
    let count = |field: &str| lesson[field].as_u64().unwrap();
    assert!(count("taught") > 100 && count("proof") > 50, "{lesson}");
    assert!(
        count("taught") + count("proof") <= count("labels"),
        "{lesson}"
    );

    let second = certificate(&place);
    assert_eq!(second["standing"], "certified");
    assert_eq!(second["certificate"]["id"], lesson["certificate"]);
    let (after, wrong) = kept(&place, "after.jsonl");
    assert!(after > before, "{after} after, {before} before");
    let n = after as f64;
    assert!(
        (wrong as f64) <= 0.1 * n + 4.0 * (0.09 * n).sqrt(),
        "{wrong} of {after}"
    );

    // What taught it can't certify it.
    good(place.run(&EXPORT));
    let calibrate = [
        "calibrate",
        "classify",
        "--records",
        "live.jsonl",
        "--reference",
        "frontier",
    ];
    let ran = place.run(&calibrate);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("the student learned from"), "{ran:?}");
    vendor.close();
}

#[test]
fn one_can_go_back_to_an_earlier_student_and_its_certificate() {
    let (place, vendor, before, first) = taught();
    let (after, _) = kept(&place, "after.jsonl");
    let none = place.run(&["student", "use", "classify", "7"]);
    assert!(none.err.contains("has no student 7"), "{none:?}");
    good(place.run(&["student", "use", "classify", "0"]));
    let back = certificate(&place);
    assert_eq!(back["certificate"]["id"], first["certificate"]["id"]);
    assert_eq!(kept(&place, "back.jsonl").0, before);
    good(place.run(&["student", "use", "classify", "1"]));
    assert_eq!(kept(&place, "again.jsonl").0, after);
    vendor.close();
}

#[test]
fn a_student_that_would_keep_less_stays_out() {
    let (place, vendor) = certified(600, "");
    good(place.run(&RUN));
    good(place.run(&EXPORT));
    // Somebody has called everything routine.
    let row = |it: &Value| format!("{}\n", json!({"id": it["id"], "gold": "routine"}));
    let rows: String = place.results("live.jsonl").iter().map(row).collect();
    place.write("gold.jsonl", rows);
    good(place.run(&["records", "label", "classify", "--from", "gold.jsonl"]));
    let before = certificate(&place)["certificate"]["id"].clone();
    let ran = good(place.run(&TEACH));
    assert!(
        ran.out.contains("the present one keeps") && ran.out.contains("and stays"),
        "{ran:?}"
    );
    let listed = list(&place);
    assert_eq!(
        (
            &listed["in_use"],
            listed["students"].as_array().unwrap().len()
        ),
        (&0.into(), 0)
    );
    let lesson = &listed["lessons"][0];
    assert!(
        lesson["share_after"].as_f64() < lesson["share_before"].as_f64(),
        "{lesson}"
    );
    assert_eq!(certificate(&place)["certificate"]["id"], before);
    vendor.close();
}

#[test]
fn a_server_teaches_in_the_background_and_answers_with_the_new_student_at_once() {
    let (place, vendor) = certified(150, "learn = { online = true, every = 150 }");
    let config = place.read("tiergate.toml");
    let server = Server::start(&place, &config);
    let ask = |index: usize| {
        let message = json!({"role": "user", "content": documents()[index]["text"]});
        server.chat(&json!({"model": "task:classify", "messages": [message]}))
    };
    let mut index = 400;
    until("a lesson was given", || {
        assert_eq!(ask(index).status, 200);
        index += 1;
        index.is_multiple_of(20) && list(&place)["in_use"] == 1
    });
    let first = list(&place)["lessons"][0].clone();
    assert!(first["labels"].as_u64().unwrap() >= 100, "{first}");
    let answers: Vec<_> = (index..index + 40).map(ask).collect();
    assert!(
        answers
            .iter()
            .any(|it| it.header("x-tiergate-tier") == Some("student"))
    );
    let log = server.stop();
    assert!(log.contains("a lesson was given"), "{log}");
    good(place.run(&EXPORT));
    let records = place.results("live.jsonl");
    let last = records.last().unwrap();
    let lessons = list(&place)["lessons"].clone();
    let of_lesson = |record: &Value| {
        let mut lessons = lessons.as_array().unwrap().iter();
        record["certificate"].is_string()
            && lessons.any(|it| it["certificate"] == record["certificate"])
    };
    assert!(of_lesson(last), "without a restart: {last}");
    assert!(!of_lesson(&records[0]));
    vendor.close();
}
