//! Labels that must not be missed, watched in production.

use serde_json::Value;

use crate::audits::{CALIBRATE, RUN, TARGET, certificates, place, with};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{documents, good, lines};

#[test]
fn a_label_that_is_missed_too_often_revokes_though_little_is_wrong() {
    let place = place();
    place.write("in.jsonl", lines(&documents()[800..]));
    // From now on every complaint is one of fraud, which the student has not learned.
    let known = documents().into_iter().map(|it| {
        let now = it["classify"]
            .as_str()
            .unwrap()
            .replace("complaint", "fraud");
        (it["text"].as_str().unwrap().to_owned(), now)
    });
    let vendor = Vendor::knowing(&place, &Manner::default(), known);
    let target = "target = { max_error = 0.3, confidence = 0.9, max_missed = { fraud = 0.3 } }";
    let audit = "{ share = 1, by = \"frontier\" }";
    let config = with(&vendor.config(), "frontier", audit).replace(TARGET, target);
    place.write("tiergate.toml", config);
    good(place.run(&CALIBRATE));
    good(place.run(&RUN));
    vendor.close();
    let report = certificates(&place);
    assert_eq!(report["standing"], "revoked", "{report}");
    let (watched, missed) = (&report["watched"], &report["watched"]["missed"][0]);
    assert_eq!(
        (&missed["label"], &missed["max_missed"]),
        (&"fraud".into(), &0.3.into())
    );
    // Half of δ is for what is kept, and half for the label.
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap();
    assert!(
        (number(missed, "revokes_at") - 20.0).abs() < 1e-9,
        "{missed}"
    );
    assert!(number(missed, "e_value") >= 20.0, "{missed}");
    assert!(number(watched, "e_value") < 1.0, "{watched}");
    let why = watched["why"].as_str().unwrap();
    let expected = "30.0 % of fraud missed reached 20";
    assert!(why.contains(expected), "{why}");
    assert!(
        good(place.run(&["certificates"]))
            .out
            .contains("of fraud: ")
    );
}
