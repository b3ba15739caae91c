//! Pre-call routers: a local tier is not asked where it would be in vain, and the user sees it.

use serde_json::{Value, json};

use crate::server::Server;
use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Workplace, config, documents, good, labelled, lines};

const CALIBRATE: [&str; 5] = [
    "calibrate",
    "classify",
    "--records",
    "proof.jsonl",
    "--json",
];
const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];

/// The model calls three matters by their names, and whoever labels calls them all fraud: its
/// answers about these are in vain.
fn relabelled(documents: &[Value]) -> Vec<Value> {
    let relabel = |document: &Value| {
        let mut document = document.clone();
        let matter = document["classify"].as_str();
        if matches!(matter, Some("credit" | "disclosure" | "complaint")) {
            document["classify"] = json!("fraud");
        }
        document
    };
    documents.iter().map(relabel).collect()
}

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&relabelled(&labelled()[..600])));
    place.write("proof.jsonl", lines(&relabelled(&documents()[..1_200])));
    place.write("in.jsonl", lines(&relabelled(&documents()[1_200..1_600])));
    place
}

fn routed(vendor: &Vendor, router: &str) -> String {
    let task = format!(
        "sensitivity = \"internal\"\nrecords = {{ path = \"labelled.jsonl\" }}\n{router}\n\
         target = {{ max_error = 0.05, confidence = 0.9 }}"
    );
    let sections = format!("{LLAMA}{}", vendor.config());
    config(&["llama", "frontier"], &sections, &task)
}

fn knowing(place: &Workplace) -> Vendor {
    let known = relabelled(&documents());
    let text = |document: &Value, field: &str| document[field].as_str().unwrap().to_owned();
    let known = known
        .iter()
        .map(|it| (text(it, "text"), text(it, "classify")));
    Vendor::knowing(place, &Manner::default(), known)
}

fn report(place: &Workplace) -> Value {
    serde_json::from_str(&good(place.run(&CALIBRATE)).out).unwrap()
}

#[test]
fn what_would_be_passed_on_is_not_asked_and_the_promise_holds() {
    let place = place();
    let vendor = knowing(&place);
    place.write("tiergate.toml", routed(&vendor, "router = true"));
    let report = report(&place);
    let tier = &report["tiers"][0];
    let number = |key: &str| tier["router"][key].as_u64().unwrap();
    let (reached, skipped, lost) = (number("reached"), number("skipped"), number("lost"));
    assert_eq!((reached, number("fitted_on")), (1_200, 600));
    assert!(
        skipped > 150 && lost * 10 < skipped,
        "{skipped}, {lost} lost"
    );
    // It is certified on what is let through.
    assert_eq!(tier["records"], reached - skipped);
    assert!(tier["router"]["seconds_saved"].as_f64().unwrap() > 0.0);

    let summary = good(place.run(&RUN)).summary();
    let skipped = summary["tiers"][0]["skipped"].as_u64().unwrap();
    assert!(skipped > 40, "{summary}");
    let results = place.results("out.jsonl");
    let is_skipped = |it: &&Value| it["decision"][0]["verdict"] == "skipped";
    let passed: Vec<&Value> = results.iter().filter(is_skipped).collect();
    assert_eq!(passed.len() as u64, skipped);
    for result in passed {
        let step = &result["decision"][0];
        assert!(step.get("elapsed_ms").is_none(), "{step}");
        let chance = step["chance"].as_f64().unwrap();
        assert!(
            chance <= tier["router"]["skips_to"].as_f64().unwrap(),
            "{step}"
        );
        let reason = step["reason"].as_str().unwrap();
        assert!(
            reason.contains("the router gives its answer a chance of"),
            "{reason}"
        );
        assert_eq!(result["tier"], "frontier");
    }
    let kept = results.iter().filter(|it| it["tier"] == "llama");
    let wrong = kept.clone().filter(|it| it["answer"] != it["gold"]).count();
    let n = kept.count() as f64;
    // 5 % and four standard errors.
    assert!(n > 100.0 && wrong as f64 <= 0.05 * n + 4.0 * (0.05 * 0.95 * n).sqrt());

    // Who asks a server sees it too.
    let first = results
        .iter()
        .position(|it| it["decision"][0]["verdict"] == "skipped");
    let text = &documents()[1_200 + first.unwrap()]["text"];
    let server = Server::start(&place, &routed(&vendor, "router = true"));
    let asked =
        json!({ "model": "task:classify", "messages": [{ "role": "user", "content": text }] });
    let response = server.chat(&asked);
    assert_eq!(response.header("x-tiergate-skipped"), Some("llama"));
    assert_eq!(server.metric("tiergate_skipped_total{tier=\"llama\"}"), 1);
    server.stop();
    vendor.close();
}

#[test]
fn a_router_that_is_turned_off_voids_what_was_proven_with_it() {
    let place = place();
    let vendor = knowing(&place);
    place.write("tiergate.toml", routed(&vendor, "router = true"));
    report(&place);
    place.write("tiergate.toml", routed(&vendor, ""));
    let standing =
        good(place.run(&["certificates", "--json"])).summary()["certificates"][0].clone();
    let why = standing["in_words"].as_str().unwrap();
    assert!(why.contains("changed since: router"), "{why}");
    // Without it there is none, and all is asked.
    let report = report(&place);
    assert!(report["tiers"][0].get("router").is_none(), "{report}");
    assert_eq!(report["tiers"][0]["records"], 1_200);
    vendor.close();
}

#[test]
fn with_too_few_records_nothing_is_skipped_and_the_report_says_why() {
    let place = place();
    let vendor = knowing(&place);
    let few = routed(&vendor, "router = true").replace(
        "path = \"labelled.jsonl\"",
        "path = \"labelled.jsonl\", rows = \"..150\"",
    );
    place.write("tiergate.toml", few);
    let ran = good(place.run(&CALIBRATE[..4]));
    let said = "llama is asked whatever is passed on to it: 150 records are too few; 200 would do";
    assert!(ran.out.contains(said), "{}", ran.out);
    let summary = good(place.run(&RUN)).summary();
    assert_eq!(summary["tiers"][0]["skipped"], 0);
    vendor.close();
}
