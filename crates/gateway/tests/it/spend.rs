//! `tiergate ledger`.

use domain::Picodollars;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Workplace, config, good, matters};

#[test]
fn a_ledger_is_shown_by_day_and_told_when_it_is_not_there() {
    let place = Workplace::new();
    place.write(
        "tiergate.toml",
        config(&["llama"], LLAMA, "sensitivity = \"internal\""),
    );
    let ran = place.run(&["ledger"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there is no ledger at"), "{ran:?}");

    place.write("in.jsonl", matters(10));
    assert_eq!(
        place
            .run(&["run", "classify", "in.jsonl", "-o", "out.jsonl"])
            .code,
        Some(0)
    );
    let ran = place.run(&["ledger"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("classify") && ran.out.contains("llama"),
        "{ran:?}"
    );
    let ledger = place.ledger();
    assert_eq!(ledger["tasks"][0]["requests"], 10);
    assert_eq!(ledger["spend"][0]["attempts"], 10);

    let ran = place.run(&["ledger", "--json", "--to", "2020-01-01"]);
    let before: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, before["spend"].as_array().unwrap().len()),
        (Some(0), 0)
    );
    let ran = place.run(&["ledger", "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("--from is after --to"), "{ran:?}");
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let place = Workplace::new();
    place.write(
        "tiergate.toml",
        config(&["llama"], LLAMA, "sensitivity = \"internal\""),
    );
    place.write(
        "tiergate-data/ledger.sqlite",
        "this is no database, and never was one".repeat(99),
    );
    place.write("in.jsonl", matters(1));
    for args in [
        &["ledger"][..],
        &["run", "classify", "in.jsonl", "-o", "out.jsonl"],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("ledger.sqlite"), "{ran:?}");
    }
}

#[test]
fn what_others_billed_before_the_frontier_is_no_cost_of_the_frontier_alone() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let pool = format!(
        "[tiers.pool]\nkind = \"pool\"\nurl = \"http://{}/v1\"\nmodel = \"standin-1\"\n\
         price = \"standin\"\n{}",
        vendor.address(),
        vendor.config()
    );
    // The pool brings no evidence, so that each of its answers is passed on.
    let task = "sensitivity = \"public\"\nthreshold = 0.5";
    place.write("tiergate.toml", config(&["pool", "frontier"], &pool, task));
    place.write("in.jsonl", matters(3));
    good(place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]));
    let (billed, answers) = vendor.close();
    assert_eq!(answers, 6);
    let compared = place.ledger()["tasks"][0]["all_frontier"].take();
    let usd = |field: &str| Picodollars::from_usd(compared[field].as_str().unwrap()).unwrap();
    assert_eq!(usd("cost_usd"), billed);
    assert_eq!(usd("instead_usd").plus(usd("instead_usd")).unwrap(), billed);
    assert_eq!(compared["estimated"], 0);
}
