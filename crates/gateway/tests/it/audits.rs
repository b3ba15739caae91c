//! Certificates in production: watched by audits, revoked when they no longer hold, paid exactly.

use std::io::Write as _;
use std::process::Stdio;

use domain::Picodollars;
use serde_json::{Value, json};

use crate::server::{Response, Server, until};
use crate::vendor::{Manner, Vendor, frontier};
use crate::workplace::{MATTERS, Ran, Workplace, config, documents, good, labelled, lines};

const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";
const REVIEWER: &str = "[tiers.reviewer]\nkind = \"person\"\n";
pub(crate) const TARGET: &str = "target = { max_error = 0.1, confidence = 0.9 }";
pub(crate) const CALIBRATE: [&str; 5] = [
    "calibrate",
    "classify",
    "--records",
    "proof.jsonl",
    "--json",
];
pub(crate) const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];

/// A place with a student of 600 records, 800 records that certify, and 300 documents to answer.
pub(crate) fn place() -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    place.write("proof.jsonl", lines(&documents()[..800]));
    place.write("in.jsonl", lines(&documents()[800..1100]));
    place
}

/// A config with these tiers behind the student.
pub(crate) fn with(sections: &str, behind: &str, audit: &str) -> String {
    let task = format!(
        "sensitivity = \"internal\"\nmax_completion_tokens = 16\n{TARGET}\n\
         records = {{ path = \"labelled.jsonl\", keep = true }}\naudit = {audit}"
    );
    config(&["student", behind], &format!("{STUDENT}{sections}"), &task)
}

/// What `tiergate certificates` says of the one task.
pub(crate) fn certificates(place: &Workplace) -> Value {
    let ran = good(place.run(&["certificates", "--json"]));
    ran.summary()["certificates"][0].clone()
}

fn usd(value: &Value) -> Picodollars {
    Picodollars::from_usd(value.as_str().unwrap()).unwrap()
}

/// A vendor that contradicts whatever is right.
fn contradicting(place: &Workplace, manner: &Manner) -> Vendor {
    let other = |matter: &Value| {
        let at = MATTERS.iter().position(|it| matter == it).unwrap();
        MATTERS[(at + 1) % MATTERS.len()].to_owned()
    };
    let documents = documents();
    let known = documents.iter().map(|it| {
        (
            it["text"].as_str().unwrap().to_owned(),
            other(&it["classify"]),
        )
    });
    Vendor::knowing(place, manner, known)
}

#[test]
fn audits_are_chosen_by_their_lot_and_paid_to_the_picodollar() {
    let place = place();
    let vendor = Vendor::start(&place, &Manner::default());
    let audit = "{ share = 0.2, near = 0.6, by = \"frontier\" }";
    place.write("tiergate.toml", with(&vendor.config(), "frontier", audit));
    good(place.run(&CALIBRATE));
    let unwatched = certificates(&place);
    assert_eq!(
        (&unwatched["standing"], &unwatched["watched"]),
        (&"certified".into(), &Value::Null)
    );
    good(place.run(&RUN));
    let export = ["records", "export", "classify", "--out", "live.jsonl"];
    good(place.run(&export));

    let (mut chosen, mut kept, mut expected) = (0, 0, 0.0);
    for record in place.results("live.jsonl") {
        let lot = &record["audit"];
        if record["tier"] != "student" {
            assert_eq!(
                lot,
                &Value::Null,
                "only what a threshold lets through: {record}"
            );
            continue;
        }
        let threshold = record["thresholds"]["student"].as_f64().unwrap();
        let confidence = record["confidence"].as_f64().unwrap();
        let probability = 0.6 - 0.4 * (confidence - threshold) / (1.0 - threshold);
        let logged = lot["probability"].as_f64().unwrap();
        assert!((logged - probability).abs() < 1e-9, "{record}");
        let is_chosen = lot["chosen"].as_bool().unwrap();
        assert_eq!(lot.get("reference").is_some(), is_chosen, "{record}");
        chosen += u64::from(is_chosen);
        kept += 1;
        expected += probability;
    }
    // Five standard deviations of a sum of independent lots are less than this.
    assert!(kept > 100 && (chosen as f64 - expected).abs() < 2.5 * f64::from(kept).sqrt());

    let watched = &certificates(&place)["watched"];
    assert_eq!(
        (&watched["audits"], &watched["due"]),
        (&chosen.into(), &0.into())
    );
    assert!(watched["e_value"].as_f64().unwrap() < 10.0, "{watched}");
    let risk = &watched["risk"]["interval_95"];
    assert!(risk[0].as_f64().unwrap() <= 0.1, "{watched}");
    let ledger = place.ledger();
    let (billed, answers) = vendor.close();
    assert_eq!(answers as u64, chosen + 300 - kept as u64);
    let spent = |purpose: &str| {
        let lines = ledger["spend"].as_array().unwrap().iter();
        let mut lines = lines.filter(|it| it["tier"] == "frontier" && it["purpose"] == purpose);
        let line = lines.next().unwrap();
        assert_eq!(
            (usd(&line["held_usd"]), usd(&line["kept_usd"])),
            (Picodollars::ZERO, Picodollars::ZERO)
        );
        usd(&line["settled_usd"])
    };
    assert_eq!(spent("audit"), usd(&watched["cost_usd"]));
    assert_eq!(spent("audit").plus(spent("answer")).unwrap(), billed);
    assert_eq!(
        usd(&ledger["tasks"][0]["cost_usd"]),
        spent("answer"),
        "audits are no cost of answers"
    );
}

/// One document over the network.
fn ask(server: &Server<'_>, index: usize) -> Response {
    let text = documents()[index]["text"].clone();
    let message = json!({"role": "user", "content": text});
    server.chat(&json!({"model": "task:classify", "messages": [message]}))
}

fn is_revoked(server: &Server<'_>) -> bool {
    server.metric("tiergate_certificate_revoked{task=\"classify\"}") == 1
}

fn by(place: &Workplace, name: &str, tier: &str) -> usize {
    let results = place.results(name);
    results.iter().filter(|it| it["tier"] == tier).count()
}

/// A place whose certificate the vendor's answers have revoked, with the vendor and the config.
fn revoked() -> (Workplace, Vendor, String) {
    let place = place();
    let vendor = contradicting(&place, &Manner::default());
    let audit = "{ share = 1, by = \"frontier\" }";
    let config = with(&vendor.config(), "frontier", audit);
    place.write("tiergate.toml", &config);
    good(place.run(&CALIBRATE));
    let server = Server::start(&place, &config);
    assert!(!is_revoked(&server));
    let mut index = 800;
    until("the certificate is revoked", || {
        assert_eq!(ask(&server, index).status, 200);
        index += 1;
        is_revoked(&server)
    });
    // From now on every answer is the frontier's, whose last word is wrong here.
    for index in 1_100..1_110 {
        let answer = ask(&server, index);
        assert_eq!(answer.header("x-tiergate-tier"), Some("frontier"));
    }
    let page = server.get("/metrics").text();
    for line in [
        "tiergate_certificate_e_value{task=\"classify\"} ",
        "tiergate_audit_cost_picodollars_total{task=\"classify\"} ",
    ] {
        assert!(page.contains(line), "{page}");
    }
    let log = server.stop();
    let said = log.matches("audits have revoked the task's certificate");
    assert_eq!(said.count(), 1, "{log}");
    (place, vendor, config)
}

#[test]
fn a_revoked_task_escalates_everything_and_says_so_also_after_a_restart() {
    let (place, vendor, config) = revoked();
    let report = certificates(&place);
    let watched = &report["watched"];
    assert_eq!(report["standing"], "revoked");
    assert!(watched["e_value"].as_f64().unwrap() >= 10.0, "{watched}");
    let why = watched["why"].as_str().unwrap();
    let expected = "the evidence against at most 10.0 % wrong reached 10";
    assert!(why.contains(expected), "{why}");
    let told = good(place.run(&["certificates"]));
    assert!(
        told.out.contains("revoked") && told.out.contains("$0.0"),
        "{told:?}"
    );

    let server = Server::start(&place, &config);
    assert!(is_revoked(&server));
    assert_eq!(
        ask(&server, 1_110).header("x-tiergate-tier"),
        Some("frontier")
    );
    server.stop();
    place.write("few.jsonl", lines(&documents()[1_100..1_105]));
    let run = [
        "run",
        "classify",
        "few.jsonl",
        "-o",
        "few-out.jsonl",
        "--json",
    ];
    let ran = good(place.run(&run));
    assert!(
        ran.err.contains("audits have revoked the one of"),
        "{ran:?}"
    );
    assert_eq!(ran.summary()["thresholds"], "revoked");
    assert_eq!(by(&place, "few-out.jsonl", "frontier"), 5);
    let (billed, _) = vendor.close();
    let spend = place.ledger();
    let spend = spend["spend"].as_array().unwrap().iter();
    let add = |sum: Picodollars, line: &Value| sum.plus(usd(&line["settled_usd"])).unwrap();
    assert_eq!(spend.fold(Picodollars::ZERO, add), billed);
}

#[test]
fn a_task_that_is_certified_anew_is_watched_anew() {
    let (place, vendor, _) = revoked();
    vendor.close();
    place.write("proof.jsonl", lines(&documents()[1..800]));
    good(place.run(&CALIBRATE));
    assert_eq!(certificates(&place)["standing"], "certified");
    let vendor = Vendor::start(&place, &Manner::default());
    let audit = "{ share = 1, by = \"frontier\" }";
    place.write("tiergate.toml", with(&vendor.config(), "frontier", audit));
    good(place.run(&RUN));
    assert!(by(&place, "out.jsonl", "student") > 100);
    let report = certificates(&place);
    assert_eq!(report["standing"], "certified", "{report}");
    assert!(report["watched"]["audits"].as_u64() > Some(100), "{report}");
    assert_eq!(report["earlier"].as_array().unwrap().len(), 1);
}

#[test]
fn a_kill_loses_no_audit_and_no_money_and_counts_none_twice() {
    let place = place();
    let slow = Manner {
        first_token_ms: 60,
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &slow);
    let audit = "{ share = 0.5, by = \"frontier\" }";
    place.write("tiergate.toml", with(&vendor.config(), "frontier", audit));
    good(place.run(&CALIBRATE));
    for kill in 1..=3 {
        let mut run = place.tiergate(&RUN);
        let mut child = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("it is at work", || vendor.requests() >= 30 * kill);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    good(place.run(&RUN));
    let report = certificates(&place);
    let watched = &report["watched"];
    assert_eq!(
        (&watched["due"], &watched["lapsed"]),
        (&0.into(), &0.into()),
        "{watched}"
    );
    let books = rusqlite::Connection::open(place.path("tiergate-data/ledger.sqlite")).unwrap();
    let count = |sql: &str| {
        books
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let done = count("SELECT COUNT(*) FROM audits WHERE state = 'done' AND text IS NULL");
    assert_eq!(done, count("SELECT COUNT(*) FROM audits"));
    assert_eq!(watched["audits"], done, "the monitor has seen each once");
    let (billed, answers) = vendor.close();
    let ledger = place.ledger();
    let sum = |field: &str| {
        let lines = ledger["spend"].as_array().unwrap().iter();
        lines.fold(Picodollars::ZERO, |sum, line| {
            sum.plus(usd(&line[field])).unwrap()
        })
    };
    let (settled, kept) = (sum("settled_usd"), sum("kept_usd"));
    assert!(
        settled <= billed && billed <= settled.plus(kept).unwrap(),
        "{billed}: {ledger}"
    );
    assert!(answers as i64 >= done && sum("held_usd") == Picodollars::ZERO);
    assert_eq!(
        ledger::Reader::open(&place.path("tiergate-data/ledger.sqlite"))
            .unwrap()
            .verify()
            .unwrap(),
        Vec::<String>::new()
    );
}

/// Runs `records label` one by one with these lines typed.
fn label(place: &Workplace, typed: &str) -> Ran {
    let mut command = place.tiergate(&["records", "label", "classify"]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = child.stdin.take().unwrap();
    lines.write_all(typed.as_bytes()).unwrap();
    drop(lines);
    good(Ran::from(child.wait_with_output().unwrap()))
}

/// Gives `routine` as the right answer to these requests.
fn call_routine(place: &Workplace, ids: &[String]) -> Ran {
    let row = |id: &String| format!("{}\n", json!({"id": id, "gold": "routine"}));
    place.write("gold.jsonl", ids.iter().map(row).collect::<String>());
    good(place.run(&["records", "label", "classify", "--from", "gold.jsonl"]))
}

#[test]
fn where_no_tier_may_judge_a_person_does_and_can_revoke() {
    let place = place();
    place.write("tiergate.toml", with(REVIEWER, "reviewer", "{ share = 1 }"));
    good(place.run(&CALIBRATE));
    good(place.run(&RUN));
    let watched = certificates(&place)["watched"].clone();
    let waiting = watched["awaiting_person"].as_u64().unwrap();
    let kept = by(&place, "out.jsonl", "student") as u64;
    assert!(waiting == kept && waiting > 100, "{watched}");
    assert_eq!(watched["audits"], 0);

    // The audits come first, and what the student said is not shown.
    let ran = label(&place, "1\nq\n");
    assert!(!ran.out.contains("would answer"), "{ran:?}");
    let done = "1 audits that waited for a person are done";
    assert!(ran.out.contains(done), "{ran:?}");
    assert_eq!(certificates(&place)["watched"]["audits"], 1);

    // The world has changed: all is routine now.
    good(place.run(&["records", "export", "classify", "--out", "live.jsonl"]));
    let records = place.results("live.jsonl");
    let wrong = records
        .iter()
        .filter(|it| it["tier"] == "student" && it["models"]["student"]["answer"] != "routine");
    let ids = wrong.map(|it| it["id"].as_str().unwrap().to_owned());
    let ran = call_routine(&place, &ids.take(12).collect::<Vec<_>>());
    let said = "the certificate of classify is revoked";
    assert!(ran.err.contains(said), "{ran:?}");
    assert_eq!(certificates(&place)["standing"], "revoked");
}

#[test]
fn a_server_hears_of_what_another_process_has_booked() {
    let place = place();
    let config = with(REVIEWER, "reviewer", "{ share = 1 }");
    place.write("tiergate.toml", &config);
    good(place.run(&CALIBRATE));
    let server = Server::start(&place, &config);
    let answers = (800..840).map(|index| ask(&server, index));
    let kept = answers.filter(|answer| answer.status == 200 && answer.content() != "routine");
    let ids: Vec<String> = kept.map(|answer| answer.id().0).collect();
    assert!(ids.len() >= 8, "{}", ids.len());
    call_routine(&place, &ids);
    until("it hears of the revocation", || is_revoked(&server));
    let answer = ask(&server, 801);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (422, "needs_review")
    );
}

#[test]
fn a_vendor_that_is_down_delays_audits_and_no_answer() {
    let place = place();
    let address = standin::own_address();
    let audit = "{ share = 1, by = \"frontier\" }";
    place.write("tiergate.toml", with(&frontier(address), "frontier", audit));
    good(place.run(&CALIBRATE));
    place.write("in.jsonl", lines(&documents()[800..860]));
    let ran = place.run(&RUN);
    let results = place.results("out.jsonl");
    let kept = results.iter().filter(|it| it["tier"] == "student").count();
    assert!(kept > 10, "{ran:?}");
    let watched = certificates(&place)["watched"].clone();
    assert_eq!(
        (&watched["due"], &watched["cost_usd"]),
        (&kept.into(), &"0".into()),
        "{watched}"
    );

    // It is back, and so are the audits.
    let manner = Manner {
        listen: Some(address),
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let server = Server::start(&place, &place.read("tiergate.toml"));
    until("all audits are done", || {
        server.metric("tiergate_certificate_audits{task=\"classify\"}") == kept as u64
    });
    server.stop();
    let (billed, answers) = vendor.close();
    let watched = certificates(&place)["watched"].clone();
    assert_eq!((answers, usd(&watched["cost_usd"])), (kept, billed));
}

#[test]
fn what_the_vendor_refuses_to_judge_is_for_a_person() {
    let place = place();
    let refusing = Manner {
        faults: &["status:400 every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &refusing);
    let audit = "{ share = 1, by = \"frontier\" }";
    place.write("tiergate.toml", with(&vendor.config(), "frontier", audit));
    good(place.run(&CALIBRATE));
    place.write("in.jsonl", lines(&documents()[800..860]));
    let ran = good(place.run(&RUN));
    let kept = by(&place, "out.jsonl", "student");
    assert!(kept > 10, "{kept}");
    assert_eq!(
        ran.err.matches("audits fail").count(),
        1,
        "told once: {ran:?}"
    );
    let watched = certificates(&place)["watched"].clone();
    assert_eq!(watched["awaiting_person"], kept, "{watched}");
    assert_eq!(
        (&watched["due"], &watched["cost_usd"]),
        (&0.into(), &"0".into())
    );
    let (billed, _) = vendor.close();
    assert_eq!(billed, Picodollars::ZERO);
    // They wait in the queue of persons.
    let ran = label(&place, "routine\nq\n");
    assert!(ran.out.contains("1 audits that waited"), "{ran:?}");
}

pub(crate) const FROM_AUDITS: [&str; 4] = ["calibrate", "classify", "--from-audits", "--json"];

#[test]
fn audits_and_what_was_passed_on_certify_anew_without_asking_the_vendor_again() {
    let place = place();
    let vendor = Vendor::start(&place, &Manner::default());
    // Too few requests for weighing them: some 16 errors are allowed among those that stay.
    let audit = "{ share = 0.15, near = 0.5, by = \"frontier\" }";
    let config = with(&vendor.config(), "frontier", audit);
    place.write(
        "tiergate.toml",
        config.replace("max_error = 0.1", "max_error = 0.2"),
    );
    good(place.run(&CALIBRATE));
    let before = certificates(&place);
    place.write("in.jsonl", lines(&documents()[800..1_300]));
    good(place.run(&RUN));
    let (_, answers) = vendor.close();
    let from = [&FROM_AUDITS[..], &["--reference", "frontier"]].concat();
    let report = good(place.run(&from)).summary();
    assert_eq!(report["records_known"], answers, "{report}");
    let records = report["records"].as_f64().unwrap();
    // Each of the 500 had a chance of about the lowest, and is among them or not by lot.
    assert!(
        (records - 0.16 * 500.0).abs() < 5.0 * (0.14_f64 * 500.0).sqrt(),
        "{report}"
    );
    assert_eq!(
        (&report["certified"], &report["reference_cost_usd"]),
        (&true.into(), &"0".into())
    );
    let after = certificates(&place);
    assert_ne!(after["certificate"]["id"], before["certificate"]["id"]);
    assert_eq!(after["certificate"]["reference"], "frontier");

    // What was answered to another question proves nothing about this one.
    let config = place.read("tiergate.toml");
    let other = config.replace("Which matter", "What matter");
    place.write("tiergate.toml", other);
    let ran = place.run(&from);
    assert!(
        ran.code == Some(1) && ran.err.contains("knows of no request"),
        "{ran:?}"
    );
    place.write("tiergate.toml", config);

    let none = [&FROM_AUDITS[..], &["--until", "2020-01-01"]].concat();
    let ran = place.run(&none);
    assert!(
        ran.code == Some(1) && ran.err.contains("knows of no request"),
        "{ran:?}"
    );
    let ran = place.run(&[&CALIBRATE[..], &["--since", "2020-01-01"]].concat());
    assert!(ran.err.contains("give --from-audits with them"), "{ran:?}");
}

#[test]
fn what_persons_audited_certifies_no_lower_threshold_and_unwatched_days_nothing() {
    let place = place();
    place.write("tiergate.toml", with(REVIEWER, "reviewer", "{ share = 1 }"));
    good(place.run(&CALIBRATE));
    good(place.run(&RUN));
    good(place.run(&["records", "export", "classify", "--out", "live.jsonl"]));
    let gold = |text: &Value| {
        let documents = documents();
        let mut documents = documents.iter();
        documents.find(|it| it["text"] == *text).unwrap()["classify"].clone()
    };
    let records = place.results("live.jsonl");
    let row = |it: &Value| format!("{}\n", json!({"id": it["id"], "gold": gold(&it["text"])}));
    place.write("gold.jsonl", records.iter().map(row).collect::<String>());
    good(place.run(&["records", "label", "classify", "--from", "gold.jsonl"]));
    let threshold = || certificates(&place)["certificate"]["tiers"][0]["threshold"].as_f64();
    let before = threshold().unwrap();
    let report = good(place.run(&FROM_AUDITS)).summary();
    // What was passed on and labelled later is no fair sample, and is not among them.
    assert_eq!(
        report["records"],
        by(&place, "out.jsonl", "student"),
        "{report}"
    );
    assert!(threshold().is_none_or(|after| after >= before), "{report}");

    // Answers that were kept while nobody watched.
    let unwatched = place
        .read("tiergate.toml")
        .replace("audit = { share = 1 }", "");
    place.write("tiergate.toml", unwatched);
    place.write("few.jsonl", lines(&documents()[1_100..1_200]));
    good(place.run(&CALIBRATE));
    good(place.run(&["run", "classify", "few.jsonl", "-o", "few-out.jsonl"]));
    let ran = place.run(&FROM_AUDITS);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("were kept without being watched"),
        "{ran:?}"
    );
}
