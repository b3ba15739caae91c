//! Labels whose kept answers have a share of wrong ones of their own.

use serde_json::Value;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace, config, documents, good, labelled, lines};

const CALIBRATE: [&str; 5] = [
    "calibrate",
    "classify",
    "--records",
    "proof.jsonl",
    "--json",
];
const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];
const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    place.write("proof.jsonl", lines(&documents()[..1_500]));
    place.write("in.jsonl", lines(&documents()[1_500..]));
    place
}

fn certified(place: &Workplace, sections: &str, behind: &str, target: &str) -> Value {
    let task = format!(
        "sensitivity = \"internal\"\nrecords = {{ path = \"labelled.jsonl\", keep = true }}\n{target}"
    );
    let sections = format!("{STUDENT}{sections}");
    let config = config(&["student", behind], &sections, &task);
    place.write("tiergate.toml", config);
    serde_json::from_str(&good(place.run(&CALIBRATE)).out).unwrap()
}

#[test]
fn every_label_has_a_threshold_of_its_own_and_is_kept_by_it() {
    let place = place();
    let reviewer = "[tiers.reviewer]\nkind = \"person\"\n";
    let target = "target = { max_error = 0.1, of = \"label\", confidence = 0.9, \
                  max_wrong = { routine = 0.05 } }";
    let report = certified(&place, reviewer, "reviewer", target);
    let tier = &report["tiers"][0];
    let by_label = tier["by_label"].as_array().unwrap();
    let labels = by_label.iter().map(|of| of["label"].as_str().unwrap());
    assert!(labels.eq(MATTERS));
    let threshold = |label: &str| {
        let of = by_label.iter().find(|of| of["label"] == label).unwrap();
        of["threshold"].as_f64()
    };
    let mut different = std::collections::HashSet::new();
    let mut spent = 0.0;
    for of in by_label {
        let allowed = if of["label"] == "routine" { 0.05 } else { 0.1 };
        assert_eq!(of["max_wrong"], allowed);
        spent += of["delta"].as_f64().unwrap();
        match of["threshold"].as_f64() {
            Some(threshold) => {
                different.insert(threshold.to_bits());
                assert!(of["bound"].as_f64().unwrap() <= allowed, "{of}");
            }
            None => assert!(of["records_wanting"].as_u64() > Some(0), "{of}"),
        }
    }
    assert!((spent - 0.1).abs() < 1e-12 && different.len() > 2, "{tier}");
    let table = good(place.run(&CALIBRATE[..4])).out;
    assert!(
        table.contains("kept as") && table.contains("routine"),
        "{table}"
    );
    place.run(&[&CALIBRATE[..4], &["--report", "r.html"]].concat());
    assert!(place.read("r.html").contains("<th>kept as</th>"));

    good(place.run(&RUN));
    for result in place.results("out.jsonl") {
        let step = &result["decision"][0];
        let least = threshold(step["answer"].as_str().unwrap());
        let sure = step["confidence"].as_f64().unwrap();
        let is_kept = least.is_some_and(|least| sure >= least);
        assert_eq!(result["tier"] == "student", is_kept, "{result}");
        assert_eq!(step["threshold"].as_f64(), least);
    }
    // The other share of one label is another promise.
    let config = place
        .read("tiergate.toml")
        .replace("routine = 0.05", "routine = 0.04");
    place.write("tiergate.toml", config);
    let standing = good(place.run(&["certificates", "--json"])).summary();
    let why = standing["certificates"][0]["in_words"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("changed since: target"), "{why}");
}

#[test]
fn what_is_kept_as_a_label_is_watched_by_itself() {
    let place = place();
    // From now on what was a complaint is fraud, so that only what is kept as complaint is wrong.
    let known = documents().into_iter().map(|it| {
        let now = it["classify"]
            .as_str()
            .unwrap()
            .replace("complaint", "fraud");
        (it["text"].as_str().unwrap().to_owned(), now)
    });
    let vendor = Vendor::knowing(&place, &Manner::default(), known);
    let target = "target = { max_error = 0.4, confidence = 0.9, max_wrong = { complaint = 0.2 } }\n\
                  audit = { share = 1, by = \"frontier\" }";
    let report = certified(&place, &vendor.config(), "frontier", target);
    let by_label = report["tiers"][0]["by_label"].as_array().unwrap();
    assert_eq!(by_label.len(), 2);
    assert!(by_label[1]["label"].is_null());
    good(place.run(&RUN));
    vendor.close();
    let report = good(place.run(&["certificates", "--json"])).summary();
    let report = &report["certificates"][0];
    assert_eq!(report["standing"], "revoked", "{report}");
    let of = &report["watched"]["wrong_as"][0];
    assert_eq!(
        (&of["label"], &of["max_wrong"]),
        (&"complaint".into(), &0.2.into())
    );
    assert!(of["e_value"].as_f64().unwrap() >= of["revokes_at"].as_f64().unwrap());
    assert!(
        report["watched"]["e_value"].as_f64().unwrap() < 1.0,
        "{report}"
    );
    let why = report["watched"]["why"].as_str().unwrap();
    assert!(
        why.contains("20.0 % wrong of what is kept as complaint reached 20"),
        "{why}"
    );
}
