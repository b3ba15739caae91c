//! `tiergate sufficiency`: three ways of answering the same records, and what each costs.

use serde_json::Value;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Ran, Workplace, config, documents, labelled, lines};

const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";
const COMMAND: [&str; 6] = [
    "sufficiency",
    "classify",
    "--records",
    "records.jsonl",
    "--volume",
    "3000000",
];

/// A place with a student of 600 records, and 400 records to compare on.
fn place(frontier: &str, tiers: &[&str]) -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    place.write("records.jsonl", lines(&documents()[..400]));
    let priced = LLAMA.replace(
        "kind = \"local\"",
        "kind = \"local\"\nmachine_usd_per_hour = \"0.36\"",
    );
    let task = "sensitivity = \"internal\"\nrecords = { path = \"labelled.jsonl\" }\n\
                target = { max_error = 0.02 }";
    let sections = format!("{STUDENT}{priced}{frontier}");
    place.write("tiergate.toml", config(tiers, &sections, task));
    place
}

fn report(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_three_ways_are_compared_and_the_bill_is_the_vendors() {
    let workplace = Workplace::new();
    let vendor = Vendor::start(&workplace, &Manner::default());
    let place = place(&vendor.config(), &["student", "llama", "frontier"]);
    let first = report(&place.run(&[&COMMAND[..], &["--json", "--report", "r.html"]].concat()));
    let [inside, cascade, frontier] = [0, 1, 2].map(|i| &first["ways"][i]);
    // The vendor knows every right answer.
    assert_eq!(frontier["right"], 1.0);
    assert_eq!(frontier["in_house"], 0.0);
    assert!(number(&cascade["right"]) >= number(&inside["right"]));
    let beside = number(&inside["beside_frontier"]["difference"]);
    assert!((beside - (number(&inside["right"]) - 1.0)).abs() < 1e-9);
    assert!((number(&first["lead"]["share"]) + beside).abs() < 1e-9);
    assert_eq!(first["lead"]["before"], Value::Null);

    // What the cascade pays is what the frontier charges for what isn't kept.
    let (all, some) = (
        number(&frontier["frontier_usd_per_thousand"]),
        number(&cascade["frontier_usd_per_thousand"]),
    );
    let passed_on = 1.0 - number(&cascade["in_house"]);
    assert!(
        passed_on > 0.0 && (some / all - passed_on).abs() < 0.05,
        "{first}"
    );
    let machine = &first["machine"];
    let per_thousand = 0.36 / number(&machine["documents_per_hour"]) * 1e3;
    assert!((number(&inside["machine_usd_per_thousand"]) - per_thousand).abs() < 1e-9);
    let volume = number(&first["break_even"]["documents_per_month"]);
    let saved = (all - some) / 1e3 * volume;
    assert!((saved - 0.36 * 730.0).abs() < 0.01, "{saved}");
    let month = &first["month"];
    assert!((number(&month["frontier_usd"]) - all * 3000.0).abs() < 1e-6);
    assert_eq!(month["machines"], 1);

    // The next report knows the last one.
    let second = report(&place.run(&[&COMMAND[..], &["--json"]].concat()));
    let before = &second["lead"]["before"];
    assert_eq!(
        (&before["made"], &before["same_records"]),
        (&first["made"], &true.into())
    );
    assert_eq!(before["moved"], 0.0);

    let page = place.read("r.html");
    assert!(
        page.contains("Is the local tier enough") && !page.contains("http"),
        "{page}"
    );
    let ledger = place.ledger();
    let (billed, answers) = vendor.close();
    assert_eq!(answers, 800);
    assert_eq!(ledger["spend"][0]["settled_usd"], billed.to_usd());
    let one = billed.to_usd().parse::<f64>().unwrap() / 2.0;
    assert!((first["cost_usd"].as_str().unwrap().parse::<f64>().unwrap() - one).abs() < 1e-12);
}

#[test]
fn the_verdict_follows_from_margin_and_records() {
    let frontier = "[tiers.frontier]\nkind = \"frontier\"\nurl = \"https://vendor.invalid/v1\"\n\
                    model = \"m\"\nkey = \"env:KEY\"\nprice = \"m\"\n\
                    [prices.m]\ninput = \"1\"\noutput = \"2\"\n";
    let place = place(frontier, &["student", "llama", "frontier"]);
    let verdict = |margin: &str, more: &[&str]| {
        let simulated = ["--json", "--simulate-frontier", "0.03", "--margin", margin];
        let ran = place.run(&[&COMMAND[..], &simulated, more].concat());
        let report = report(&ran);
        assert_eq!(report["simulated_wrong_rate"], 0.03);
        report["ways"][0]["beside_frontier"].clone()
    };
    assert_eq!(verdict("0.5", &[])["verdict"], "enough");
    let little = verdict("0.04", &["--sample", "40"]);
    assert_eq!(little["verdict"], "open", "{little}");
    assert!(little["records_wanted"].as_u64().unwrap() > 40);
    let text = place.run(&[&COMMAND[..], &["--simulate-frontier", "0.03"]].concat());
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(
        text.out.contains("The cascade:") && text.out.contains("a month"),
        "{text:?}"
    );
    // Simulated money and reports are apart from real ones.
    assert!(
        place
            .path("tiergate-data/simulated/sufficiency/classify")
            .is_dir()
    );
    assert!(!place.path("tiergate-data/sufficiency").exists());
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = place("", &["student", "llama"]);
    let ran = place.run(&COMMAND);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("tasks.classify.tiers: none is a frontier"),
        "{ran:?}"
    );
    let workplace = Workplace::new();
    let vendor = Vendor::start(&workplace, &Manner::default());
    let place = self::place(&vendor.config(), &["student", "llama", "frontier"]);
    place.write("records.jsonl", lines(&labelled()[500..700]));
    let ran = place.run(&COMMAND);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("learned from 100 of these 200 texts"),
        "{ran:?}"
    );
    let ran = place.run(&[&COMMAND[..], &["--rows", "150..160"]].concat());
    assert!(ran.err.contains("10 record(s) are too few"), "{ran:?}");
    assert_eq!(
        vendor.requests(),
        0,
        "nothing is paid before all this is known"
    );
}
