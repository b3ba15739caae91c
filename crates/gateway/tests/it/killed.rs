//! A run that is stopped in its midst, by a kill or by its user, and taken up again.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use domain::Picodollars;
use serde_json::Value;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{Workplace, config, interrupt, matters, tally};

const ROWS: usize = 120;
const RUN: [&str; 8] = [
    "run",
    "classify",
    "in.jsonl",
    "-o",
    "out.jsonl",
    "--json",
    "--concurrency",
    "8",
];

/// A place in which every document goes to a vendor that takes this time for each, so that a run
/// lasts far longer than what is done to it meanwhile.
fn place(first_token_ms: u64) -> (Workplace, Vendor) {
    let place = Workplace::new();
    let vendor = Vendor::start(
        &place,
        &Manner {
            first_token_ms,
            ..Manner::default()
        },
    );
    let task = "sensitivity = \"internal\"\nmax_completion_tokens = 16";
    place.write(
        "tiergate.toml",
        config(&["frontier"], &vendor.config(), task),
    );
    place.write("in.jsonl", matters(ROWS));
    (place, vendor)
}

fn start(place: &Workplace) -> Child {
    let mut command = place.tiergate(&RUN);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the vendor has been asked so often.
fn until_asked(vendor: &Vendor, requests: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while vendor.requests() < requests {
        assert!(Instant::now() < deadline, "{} requests", vendor.requests());
        std::thread::yield_now();
    }
}

fn usd(value: &Value) -> Picodollars {
    Picodollars::from_usd(value.as_str().unwrap()).unwrap()
}

#[test]
fn a_killed_run_goes_on_and_the_counts_add_up() {
    let (place, vendor) = place(100);
    for kill in 1..=3 {
        let mut child = start(&place);
        until_asked(&vendor, 25 * kill);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            !place.path("out.jsonl").exists(),
            "an output is whole or not there"
        );
    }
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let already = ran.summary()["already"].as_u64().unwrap();
    assert!(already > 0 && already < ROWS as u64, "{already}");

    let results = place.results("out.jsonl");
    let rows: Vec<u64> = results
        .iter()
        .map(|result| result["row"].as_u64().unwrap())
        .collect();
    assert_eq!(
        rows,
        (0..ROWS as u64).collect::<Vec<_>>(),
        "each document once"
    );
    assert_eq!(tally(&results, "status")["answered"], ROWS);

    let (billed, answers) = vendor.close();
    let ledger = place.ledger();
    let line = &ledger["spend"][0];
    let (settled, kept) = (usd(&line["settled_usd"]), usd(&line["kept_usd"]));
    assert!(answers >= ROWS);
    // What was under way at a kill may have been billed; it stays booked at its worst case.
    assert!(
        settled <= billed && billed <= settled.plus(kept).unwrap(),
        "{billed}: {line}"
    );
    assert!(
        kept > Picodollars::ZERO && usd(&line["held_usd"]) == Picodollars::ZERO,
        "{line}"
    );
    let attempts = line["attempts"].as_u64().unwrap();
    assert!(
        attempts as usize >= answers,
        "no answer without a hold: {answers}, {line}"
    );
}

#[test]
fn an_interrupted_run_finishes_what_it_began() {
    let (place, vendor) = place(100);
    let child = start(&place);
    until_asked(&vendor, 30);
    interrupt(&child);
    let ran = crate::workplace::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    let done = ran.summary()["answered"].as_u64().unwrap();
    assert!(done >= 8 && done < ROWS as u64, "{ran:?}");
    assert!(
        ran.err.contains("documents in work are finished"),
        "{ran:?}"
    );
    assert!(!place.path("out.jsonl").exists());

    let ran = place.run(&RUN);
    assert_eq!(
        (ran.code, &ran.summary()["already"]),
        (Some(0), &done.into()),
        "{ran:?}"
    );
    let (billed, answers) = vendor.close();
    assert_eq!(answers, ROWS, "nothing was asked twice");
    assert_eq!(usd(&place.ledger()["spend"][0]["settled_usd"]), billed);
}

#[test]
fn two_runs_never_write_one_output() {
    let (place, vendor) = place(300);
    let mut first = start(&place);
    until_asked(&vendor, 5);
    let second = place.run(&RUN);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("out.jsonl") && second.err.contains(&first.id().to_string()));
    assert!(first.wait().unwrap().success());
    assert_eq!(place.results("out.jsonl").len(), ROWS);
}
