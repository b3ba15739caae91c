//! `tiergate run`: one result for each document, whatever happens.

use serde_json::Value;

use crate::vendor::{Manner, Vendor, frontier};
use crate::workplace::{LLAMA, Workplace, config, matters, tally};

const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];

#[test]
fn no_result_replaces_the_documents_that_it_is_about() {
    let place = Workplace::new();
    place.write("tiergate.toml", config(&["llama"], LLAMA, ""));
    let documents = matters(3);
    place.write("in.jsonl", &documents);
    std::os::unix::fs::symlink("in.jsonl", place.path("link.jsonl")).unwrap();
    for output in ["in.jsonl", "link.jsonl"] {
        let ran = place.run(&["run", "classify", "in.jsonl", "-o", output, "--again"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("is a file of the input"), "{ran:?}");
    }
    assert_eq!(place.read("in.jsonl"), documents);
}

#[test]
fn what_the_engine_is_unsure_of_goes_to_the_frontier_and_the_money_adds_up() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!("{LLAMA}{}", vendor.config());
    let task = "sensitivity = \"internal\"\nthreshold = 0.9";
    place.write(
        "tiergate.toml",
        config(&["llama", "frontier"], &sections, task),
    );
    place.write("in.jsonl", matters(200));

    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = place.results("out.jsonl");
    let tiers = tally(&results, "tier");
    assert_eq!(tiers["llama"] + tiers["frontier"], 200);
    assert!(tiers["llama"] > 100 && tiers["frontier"] > 10, "{tiers:?}");
    for (ordinal, result) in results.iter().enumerate() {
        assert_eq!(
            result["row"], ordinal,
            "results stand in the order of the input"
        );
        let first = &result["decision"][0];
        let sure = first["confidence"].as_f64().unwrap() >= 0.9;
        assert_eq!(result["tier"] == "llama", sure, "{result}");
        if result["tier"] == "frontier" {
            assert_eq!(
                result["answer"], result["gold"],
                "this vendor is always right"
            );
            assert_eq!(
                (&result["escalations"], &first["verdict"]),
                (&1.into(), &"escalated".into())
            );
        }
    }
    let summary = ran.summary();
    assert_eq!(summary["share_in_house"], tiers["llama"] as f64 / 200.0);
    assert!(summary["accuracy"].as_f64().unwrap() > 0.95, "{summary}");

    let (billed, answers) = vendor.close();
    assert_eq!(answers, tiers["frontier"]);
    assert_eq!(summary["cost_usd"], billed.to_usd(), "to the picodollar");
    let ledger = place.ledger();
    let lines = ledger["spend"].as_array().unwrap();
    let line = lines
        .iter()
        .find(|line| line["tier"] == "frontier")
        .unwrap();
    assert_eq!(line["settled_usd"], billed.to_usd());
    assert_eq!(
        (&line["held_usd"], &line["kept_usd"]),
        (&"0".into(), &"0".into())
    );
    let compared = &ledger["tasks"][0]["all_frontier"];
    assert_eq!(
        (&compared["requests"], &compared["cost_usd"]),
        (&200.into(), &billed.to_usd().into())
    );
    assert_eq!(compared["estimated"], tiers["llama"]);
}

#[test]
fn a_vendor_that_is_down_loses_nothing() {
    let place = Workplace::new();
    let address = standin::own_address();
    let sections = format!("{LLAMA}{}", frontier(address));
    let task = "sensitivity = \"internal\"\nthreshold = 0.9";
    place.write(
        "tiergate.toml",
        config(&["llama", "frontier"], &sections, task),
    );
    place.write("in.jsonl", matters(60));

    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    let failed = ran.summary()["retryable"].as_u64().unwrap();
    assert!(
        failed > 0 && ran.err.contains("the same command tries them again"),
        "{ran:?}"
    );
    let results = place.results("out.jsonl");
    let first: Vec<&Value> = results.iter().filter(|r| r["status"] == "failed").collect();
    assert_eq!((results.len(), first.len() as u64), (60, failed));
    let reason = first[0]["error"].as_str().unwrap();
    assert!(
        reason.contains("tier frontier") && reason.contains("can't be reached"),
        "{reason}"
    );

    let manner = Manner {
        listen: Some(address),
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.summary()["already"], 60 - failed, "{ran:?}");
    let results = place.results("out.jsonl");
    assert_eq!(
        (results.len(), tally(&results, "status")["answered"]),
        (60, 60)
    );
    let (billed, answers) = vendor.close();
    assert_eq!(
        answers as u64, failed,
        "only what had failed is asked again"
    );
    assert_eq!(ran.summary()["cost_usd"], billed.to_usd());
}

#[test]
fn a_spent_budget_stops_the_spending_and_not_the_work_inside() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!("{LLAMA}{}", vendor.config());
    let task = "sensitivity = \"internal\"\nthreshold = 0.9\nmax_completion_tokens = 16\n\
                budget = { usd = \"0.001\", per = \"day\" }";
    place.write(
        "tiergate.toml",
        config(&["llama", "frontier"], &sections, task),
    );
    place.write("in.jsonl", matters(200));

    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    let results = place.results("out.jsonl");
    let refused = results.iter().find(|r| r["status"] == "failed").unwrap();
    let reason = refused["error"].as_str().unwrap();
    assert!(
        reason.contains("task:classify") && reason.contains("budget"),
        "{reason}"
    );
    let (billed, answers) = vendor.close();
    let limit = domain::Picodollars::from_usd("0.001").unwrap();
    assert!(
        answers > 0 && billed <= limit,
        "{answers} answers for {billed}"
    );
    assert_eq!(ran.summary()["cost_usd"], billed.to_usd());
}

#[test]
fn a_confidential_text_never_leaves() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!("{LLAMA}{}", vendor.config());
    let task = "sensitivity = \"confidential\"\nthreshold = 0.9";
    place.write(
        "tiergate.toml",
        config(&["llama", "frontier"], &sections, task),
    );
    place.write("in.jsonl", matters(20));
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("tasks.classify.tiers"), "{ran:?}");
    assert_eq!(vendor.close().1, 0);
}

#[test]
fn what_nobody_answers_waits_for_a_person() {
    let place = Workplace::new();
    let sections = format!("{LLAMA}[tiers.reviewer]\nkind = \"person\"\n");
    let task = "sensitivity = \"restricted\"\nthreshold = 0.99";
    place.write(
        "tiergate.toml",
        config(&["llama", "reviewer"], &sections, task),
    );
    place.write("in.jsonl", matters(100));
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = place.results("out.jsonl");
    let status = tally(&results, "status");
    assert_eq!(status["answered"] + status["review"], 100);
    let review = results
        .iter()
        .find(|result| result["status"] == "review")
        .unwrap();
    assert!(
        review["answer"].is_string(),
        "the engine's answer is the suggestion: {review}"
    );
    assert_eq!(review["tier"], Value::Null);
}

#[test]
fn the_student_learns_once_and_answers_first() {
    let place = Workplace::new();
    let sections = format!("[tiers.student]\nkind = \"student\"\n{LLAMA}");
    let task = "sensitivity = \"restricted\"\nrecords = { path = \"labelled.jsonl\" }\n\
                target = { max_error = 0.05 }";
    place.write(
        "tiergate.toml",
        config(&["student", "llama"], &sections, task),
    );
    place.write("labelled.jsonl", matters(600));
    let rest: String = matters(800)
        .lines()
        .skip(600)
        .map(|line| format!("{line}\n"))
        .collect();
    place.write("in.jsonl", rest);
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tiers = tally(&place.results("out.jsonl"), "tier");
    assert!(tiers["student"] > 50 && tiers["llama"] > 20, "{tiers:?}");

    let learned = place.path("tiergate-data/learned/classify/thresholds.json");
    let written = |path: &std::path::Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let before = written(&learned);
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "again.jsonl", "--json"]);
    assert_eq!(
        (ran.code, written(&learned)),
        (Some(0), before),
        "nothing is learned twice"
    );
    let answers = |file: &str| {
        place
            .results(file)
            .iter()
            .map(|result| result["answer"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(answers("out.jsonl"), answers("again.jsonl"));

    // One label less to learn from, and it is learned anew.
    let fewer: String = matters(599);
    place.write("labelled.jsonl", fewer);
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "anew.jsonl", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_ne!(written(&learned), before);
}

#[test]
fn an_output_belongs_to_one_run() {
    let place = Workplace::new();
    place.write(
        "tiergate.toml",
        config(&["llama"], LLAMA, "sensitivity = \"internal\""),
    );
    place.write("in.jsonl", matters(20));
    assert_eq!(place.run(&RUN).code, Some(0));

    // The same run again has nothing to do.
    let ran = place.run(&RUN);
    assert_eq!((ran.code, &ran.summary()["already"]), (Some(0), &20.into()));
    // Another input is another run.
    place.write("in.jsonl", matters(21));
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("belongs to a run of another input"),
        "{ran:?}"
    );
    assert_eq!(
        place.results("out.jsonl").len(),
        20,
        "what was there is left alone"
    );
    let again: Vec<&str> = RUN.into_iter().chain(["--again"]).collect();
    assert_eq!(place.run(&again).code, Some(0));
    assert_eq!(place.results("out.jsonl").len(), 21);

    place.write("mine.jsonl", "my own work\n");
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "mine.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("is no result of this data folder"),
        "{ran:?}"
    );
    assert_eq!(place.read("mine.jsonl"), "my own work\n");
}

#[test]
fn a_wrong_task_or_model_is_told_at_once() {
    let place = Workplace::new();
    let broken = "[tiers.llama]\nkind = \"local\"\nmodel = \"broken.gguf\"\n";
    place.write(
        "tiergate.toml",
        config(&["llama"], broken, "sensitivity = \"internal\""),
    );
    place.write("in.jsonl", matters(5));
    place.write(
        "broken.gguf",
        b"GGUF\x03\x00\x00\x00and then nothing that makes sense",
    );
    let ran = place.run(&["run", "clasify", "in.jsonl", "-o", "out.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("has no task `clasify`; its tasks are classify"),
        "{ran:?}"
    );
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("tiers.llama.model") && ran.err.contains("broken.gguf"),
        "{ran:?}"
    );
    assert!(!place.path("out.jsonl").exists());
}
