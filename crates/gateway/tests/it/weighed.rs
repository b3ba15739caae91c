//! Certifying from so many audits that weighing them proves more than thinning them out.

use serde_json::Value;

use crate::audits::{CALIBRATE, FROM_AUDITS, RUN, TARGET, certificates, place, with};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{Workplace, documents, good, lines};

/// A place whose 1,200 requests were decided and audited, the unsure ones all, the surest seldom.
fn audited() -> Workplace {
    let place = place();
    let vendor = Vendor::start(&place, &Manner::default());
    let audit = "{ share = 0.12, near = 1, by = \"frontier\" }";
    let config = with(&vendor.config(), "frontier", audit);
    let target = TARGET.replace("0.1,", "0.22,");
    place.write("tiergate.toml", config.replace(TARGET, &target));
    good(place.run(&CALIBRATE));
    place.write("in.jsonl", lines(&documents()[800..]));
    good(place.run(&RUN));
    vendor.close();
    place
}

fn certificate(place: &Workplace) -> Value {
    let text = place.read("tiergate-data/certificates/classify.json");
    serde_json::from_str::<Value>(&text).unwrap()["claim"].clone()
}

#[test]
fn of_many_audits_each_counts_as_it_was_improbable_and_all_say_so() {
    let place = audited();
    let from = [&FROM_AUDITS[..], &["--reference", "frontier"]].concat();
    let report = good(place.run(&from)).summary();
    let tier = &report["tiers"][0];
    assert_eq!(
        (&report["records_weighed"], &report["certified"]),
        (&true.into(), &true.into()),
        "{report}"
    );
    // A tenth of what is known is the pilot, and the rest proves.
    let (known, proving) = (
        report["records_known"].as_f64().unwrap(),
        tier["records"].as_f64().unwrap(),
    );
    assert!((proving - 0.9 * known).abs() < 5.0 * (0.09 * known).sqrt());
    let effective = tier["weighing"]["effective"].as_f64().unwrap();
    assert!(effective > 0.12 * 1_200.0 && effective < proving, "{tier}");
    let number = |field: &str| tier[field].as_f64().unwrap();
    assert!(
        number("bound") <= 0.22 && number("share_wrong") < number("bound"),
        "{tier}"
    );
    // The unsure are audited more often, and more of them are wrong.
    let plain = number("errors") / number("kept");
    assert!(number("share_wrong") < plain, "{tier}");

    // The signed certificate says the same, and whatever answers next relies on it.
    let signed = certificate(&place);
    assert_eq!(signed["known"], report["records_known"], "{signed}");
    let statement = signed["statement"].as_str().unwrap();
    let like = format!("come as the requests did of which {known} are the records");
    assert!(statement.contains(&like), "{statement}");
    let (of_file, of_report) = (&signed["tiers"][0]["weighing"], &tier["weighing"]);
    assert_eq!(of_file["effective"], of_report["effective"]);
    assert_eq!(certificates(&place)["standing"], "certified");

    // Once more it is the same to the last bit, in words and as a page.
    let words = [
        "calibrate",
        "classify",
        "--from-audits",
        "--reference",
        "frontier",
    ];
    let ran = good(place.run(&[&words[..], &["--report", "report.html"]].concat()));
    let said = "by a betting test that weighs each";
    assert!(ran.out.contains(said), "{}", ran.out);
    let page = place.read("report.html");
    assert!(
        page.contains(said) && page.contains("a bet on each record"),
        "{page}"
    );
    let again = certificate(&place);
    for field in ["tiers", "records_sha256", "known", "records"] {
        assert_eq!(again[field], signed[field], "{field}");
    }
}
