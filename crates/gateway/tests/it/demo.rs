//! `tiergate demo`, and the real headlines.

use std::path::Path;

use crate::workplace::{Ran, Workplace, tally};

fn files(place: &Workplace) -> Vec<String> {
    let entries = std::fs::read_dir(place.path("tiergate-demo")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn it_answers_every_document_and_compares_and_can_be_run_again() {
    let place = Workplace::new();
    let ran = place.run(&["demo"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for word in [
        "2,000",
        "simulated",
        "student",
        "llama",
        "frontier",
        "cascade",
        "all local",
        "all frontier",
    ] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    for file in ["tiergate-demo/answers.jsonl", "tiergate-demo/plot.svg"] {
        assert!(ran.out.contains(file), "{file}: {}", ran.out);
    }
    let results = place.results("tiergate-demo/answers.jsonl");
    let tasks = tally(&results, "task");
    assert_eq!((tasks["classify"], tasks["flag"]), (2000, 2000));
    assert_eq!(tally(&results, "status")["answered"], 4000);
    let right = results
        .iter()
        .filter(|result| result["answer"] == result["gold"])
        .count();
    let frontier = tally(&results, "tier")["frontier"];
    assert!(
        right > 3800 && frontier < 800,
        "{right} right, {frontier} sent out"
    );
    assert!(
        place
            .read("tiergate-demo/plot.svg")
            .contains("all frontier")
    );
    let whole = files(&place);
    assert!(
        whole.iter().all(|name| !name.ends_with(".part")),
        "{whole:?}"
    );

    // What it leaves is an ordinary config over ordinary documents.
    let config = ["--config", "tiergate-demo/tiergate.toml"];
    let ledger = place.run(&[&["ledger", "--simulated", "--json"], &config[..]].concat());
    let ledger: serde_json::Value = serde_json::from_str(&ledger.out).unwrap();
    assert_eq!(
        ledger["tasks"][1]["requests"], 2000,
        "the comparisons are booked elsewhere"
    );
    let input = "tiergate-demo/documents.jsonl.gz";
    let run = ["run", "flag", input, "--rows", "..50", "-o", "again.jsonl"];
    let again = place.run(&[&run[..], &["--simulate-frontier", "0.03"], &config].concat());
    assert_eq!(again.code, Some(0), "{again:?}");
    let answers = place.results("again.jsonl");
    let before = results.iter().filter(|result| result["task"] == "flag");
    assert!(
        before
            .zip(&answers)
            .all(|(before, again)| before["answer"] == again["answer"])
    );

    assert_eq!(place.run(&["demo"]).code, Some(0));
    assert_eq!(files(&place), whole);
}

#[test]
fn it_touches_no_folder_of_somebody_elses() {
    let place = Workplace::new();
    place.write("tiergate-demo/answers.jsonl", "mine");
    let ran = place.run(&["demo"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("is no folder of the demo"), "{ran:?}");
    assert_eq!(place.read("tiergate-demo/answers.jsonl"), "mine");
    let ran = place.run(&["demo", "--output", "other", "--frontier", "openai"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("OPENAI_API_KEY"), "{ran:?}");
}

fn headlines(config: &str, extra: &[&str]) -> Option<(Workplace, Ran)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let records = root.join("../shared/data/headlines-train.jsonl.gz");
    if !records.exists() {
        eprintln!("skipped: there are no headlines at {}", records.display());
        return None;
    }
    let place = Workplace::new();
    let text = std::fs::read_to_string(root.join("examples").join(config)).unwrap();
    let records = records.canonicalize().unwrap().display().to_string();
    let text = text.replace("../../shared/data/headlines-train.jsonl.gz", &records);
    assert!(text.contains(&records));
    place.write("tiergate.toml", text);
    let run = [
        "run",
        "headlines",
        &records,
        "--rows",
        "4000..",
        "-o",
        "out.jsonl",
        "--json",
    ];
    let ran = place.run(&[&run[..], extra].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    Some((place, ran))
}

#[test]
fn the_student_keeps_most_real_headlines_in_house() {
    let Some((place, ran)) = headlines("headlines.toml", &[]) else {
        return;
    };
    let summary = ran.summary();
    assert_eq!(place.results("out.jsonl").len(), 1000);
    let share = |field: &str| summary[field].as_f64().unwrap();
    assert!(
        share("share_in_house") > 0.7 && share("accuracy") > 0.93,
        "{summary}"
    );
    assert_eq!(summary["cost_usd"], "0");
}

#[test]
fn a_simulated_frontier_answers_the_other_headlines() {
    let extra = ["--simulate-frontier", "0.07"];
    let Some((place, ran)) = headlines("headlines-frontier.toml", &extra) else {
        return;
    };
    let summary = ran.summary();
    assert_eq!(summary["answered"], 1000);
    assert!(summary["accuracy"].as_f64().unwrap() > 0.93, "{summary}");
    let simulated = place.path("headlines-frontier-data/simulated");
    let bills = standin::journal::read(&simulated.join("frontier-bill.jsonl")).unwrap();
    let mut billed = domain::Picodollars::ZERO;
    for bill in bills {
        billed = billed.plus(bill.cost).unwrap();
    }
    assert_eq!(summary["cost_usd"], billed.to_usd());
}
