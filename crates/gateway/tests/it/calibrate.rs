//! `tiergate calibrate`: what is kept was proven, and nothing is kept that was not.

use serde_json::Value;
use sha2::Digest as _;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Ran, Workplace, config, documents, labelled, lines, tally};

const STUDENT: &str = "[tiers.student]\nkind = \"student\"\n";
const REVIEWER: &str = "[tiers.reviewer]\nkind = \"person\"\n";
const CALIBRATE: [&str; 5] = [
    "calibrate",
    "classify",
    "--records",
    "proof.jsonl",
    "--json",
];
const RUN: [&str; 6] = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--json"];
const CERTIFICATE: &str = "tiergate-data/certificates/classify.json";

/// A place with a student of 600 records, 800 records that certify, and 300 documents to answer.
fn place(target: &str) -> Workplace {
    let place = Workplace::new();
    place.write("labelled.jsonl", lines(&labelled()[..600]));
    place.write("proof.jsonl", lines(&documents()[..800]));
    place.write("in.jsonl", lines(&documents()[800..1100]));
    write_config(
        &place,
        &format!("{STUDENT}{REVIEWER}"),
        &["student", "reviewer"],
        target,
    );
    place
}

fn write_config(place: &Workplace, sections: &str, tiers: &[&str], target: &str) {
    let records = "records = { path = \"labelled.jsonl\" }";
    let task = format!("sensitivity = \"internal\"\n{records}\ntarget = {target}");
    place.write("tiergate.toml", config(tiers, sections, &task));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// How many answers of this tier there are in a run anew, and how many are wrong.
fn kept(place: &Workplace, tier: &str) -> (usize, usize) {
    let ran = place.run(&[&RUN[..], &["--again"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = place.results("out.jsonl");
    let kept: Vec<_> = results
        .iter()
        .filter(|result| result["tier"] == tier)
        .collect();
    let wrong = kept
        .iter()
        .filter(|result| result["answer"] != result["gold"])
        .count();
    (kept.len(), wrong)
}

#[test]
fn what_is_certified_is_kept_and_the_run_says_so() {
    let place = place("{ max_error = 0.05, confidence = 0.9 }");
    // Before there is a certificate nothing is kept.
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("demands a certificate, and there is none")
            && ran.err.contains("tiergate calibrate classify --records"),
        "{ran:?}"
    );
    assert_eq!(ran.summary()["thresholds"], "unproven");
    assert_eq!(tally(&place.results("out.jsonl"), "status")["review"], 300);

    let report = report(&place.run(&CALIBRATE));
    assert_eq!(
        (&report["certified"], &report["records"]),
        (&true.into(), &800.into())
    );
    let tier = &report["tiers"][0];
    let threshold = tier["threshold"].as_f64().unwrap();
    assert!(tier["bound"].as_f64().unwrap() <= 0.05, "{tier}");
    let share = report["share_kept"].as_f64().unwrap();
    assert!(share > 0.2, "{share}");

    let ledger = place.ledger();
    assert_eq!(ledger["thresholds"][0]["thresholds"], "certified");
    assert_eq!(ledger["thresholds"][0]["certificate"]["records"], 800);

    // Certified again with the same thresholds, the run is still the same.
    let mid = place.run(&["run", "classify", "in.jsonl", "-o", "same.jsonl", "--json"]);
    assert_eq!(mid.summary()["thresholds"], "certified", "{mid:?}");
    assert_eq!(place.run(&CALIBRATE).code, Some(0));
    let mid = place.run(&["run", "classify", "in.jsonl", "-o", "same.jsonl", "--json"]);
    assert_eq!(mid.summary()["already"], 300, "{mid:?}");

    // The same run goes on from other thresholds, so it has to be told to begin anew.
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "anew.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rule =
        format!("student from {threshold:.4} (certified: ≤ 5 % wrong, 90 % sure, 800 records)");
    assert!(ran.err.contains(&rule), "{} has no {rule}", ran.err);
    assert!(!ran.err.contains("WARN"), "{}", ran.err);
    let results = place.results("anew.jsonl");
    for result in &results {
        let confidence = result["decision"][0]["confidence"].as_f64().unwrap();
        assert_eq!(
            result["tier"] == "student",
            confidence >= threshold,
            "{result}"
        );
    }
    let kept = results.iter().filter(|result| result["tier"] == "student");
    let wrong = kept
        .clone()
        .filter(|result| result["answer"] != result["gold"])
        .count();
    // 5 % and four standard errors.
    let n = kept.count() as f64;
    assert!(
        (wrong as f64) <= 0.05 * n + 4.0 * (0.05 * 0.95 * n).sqrt(),
        "{wrong} of {n}"
    );
}

#[test]
fn what_is_kept_of_fresh_documents_is_as_good_as_was_promised() {
    let place = place("{ max_error = 0.1, confidence = 0.9 }");
    place.write("in.jsonl", lines(&documents()[1_200..]));
    place.write("proof.jsonl", lines(&documents()[..1_200]));
    for rows in ["..400", "400..800", "800..1200"] {
        let ran = place.run(&[&CALIBRATE[..], &["--rows", rows]].concat());
        assert_eq!(report(&ran)["records"], 400);
        let (kept, wrong) = kept(&place, "student");
        let (n, wrong) = (kept as f64, wrong as f64);
        assert!(n > 100.0, "{rows}: {n}");
        // Four standard errors: what is promised holds for all documents, and these are some.
        let most = 0.1 * n + 4.0 * (0.1 * 0.9 * n).sqrt();
        assert!(wrong <= most, "{rows}: {wrong} of {n}");
    }
}

#[test]
fn a_change_of_anything_it_rests_on_voids_it() {
    let place = place("{ max_error = 0.05, confidence = 0.9 }");
    report(&place.run(&CALIBRATE));
    let good = place.read("tiergate.toml");
    let (many, _) = kept(&place, "student");
    assert!(many > 30, "{many}");

    let check = |config: String, named: &str| {
        place.write("tiergate.toml", config);
        let ran = place.run(&[&RUN[..], &["--again"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains(named), "{} has no {named}", ran.err);
        assert_eq!(
            tally(&place.results("out.jsonl"), "status")["review"],
            300,
            "{named}"
        );
        place.write("tiergate.toml", &good);
    };
    let change = |from: &str, to: &str| {
        assert_eq!(good.matches(from).count(), 1, "{from} must stand once");
        good.replace(from, to)
    };
    check(
        change("Which matter", "What matter"),
        "changed since: prompt",
    );
    check(
        change("the origin or owner of money", "where money comes from"),
        "changed since: labels",
    );
    check(
        change("confidence = 0.9", "confidence = 0.8"),
        "changed since: target",
    );
    check(
        change("labelled.jsonl", "fewer.jsonl")
            .replace("fewer.jsonl\"", "labelled.jsonl\", rows = \"..599\""),
        "changed since: student.learned",
    );
    let (tiers, with_llama) = (
        "tiers = [\"student\", \"reviewer\"]",
        "tiers = [\"student\", \"llama\", \"reviewer\"]",
    );
    check(
        change(tiers, with_llama) + LLAMA,
        "llama.model, llama.quantisation, tiers",
    );

    // An edited certificate.
    let certificate = place.read(CERTIFICATE);
    let threshold = serde_json::from_str::<Value>(&certificate).unwrap();
    let threshold = threshold["claim"]["tiers"][0]["threshold"].to_string();
    assert_eq!(certificate.matches(&threshold).count(), 1);
    place.write(CERTIFICATE, certificate.replace(&threshold, "0.01"));
    check(good.clone(), "its signature is wrong");
    // Another data folder's key.
    let key = place.path("tiergate-data/certificates/signing-key.pk8");
    let own = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    place.write(CERTIFICATE, &certificate);
    check(
        good.clone(),
        "signing key, with which it is checked, is gone",
    );
    std::fs::write(&key, own).unwrap();
    assert_eq!(kept(&place, "student").0, many, "all is as it was");
}

#[test]
fn another_model_voids_it_and_tiers_share_the_records_and_not_delta() {
    let place = place("{ max_error = 0.1, confidence = 0.9 }");
    let starter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/tiergate-starter.gguf"
    );
    std::fs::copy(starter, place.path("model.gguf")).unwrap();
    let sections = format!(
        "{STUDENT}{REVIEWER}{}",
        LLAMA.replace("starter", "model.gguf")
    );
    let target = "{ max_error = 0.1, confidence = 0.9 }";
    write_config(&place, &sections, &["student", "llama", "reviewer"], target);
    let report = report(&place.run(&CALIBRATE));
    let tiers = report["tiers"].as_array().unwrap();
    assert_eq!(tiers.len(), 2);
    assert_eq!(tiers[0]["records"], 800);
    let left = 800 - tiers[0]["kept"].as_u64().unwrap();
    assert_eq!(
        tiers[1]["records"], left,
        "the engine proves itself on all that is left"
    );
    for tier in tiers {
        assert!(
            (tier["delta"].as_f64().unwrap() - 0.05).abs() < 1e-9,
            "{tier}"
        );
        let starts = tier["starts"].as_array().unwrap();
        let spent: f64 = starts
            .iter()
            .map(|start| start["delta"].as_f64().unwrap())
            .sum();
        assert!(spent <= 0.05 + 1e-9, "{tier}");
    }
    assert!(kept(&place, "llama").0 > 0);

    let file = place.path("model.gguf");
    let mut model = std::fs::read(&file).unwrap();
    let weights: Value = serde_json::from_str(&place.read("tiergate-data/weights.json")).unwrap();
    let (_, parts) = weights["models"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let certificate: Value = serde_json::from_str(&place.read(CERTIFICATE)).unwrap();
    let proven = &certificate["claim"]["provenance"]["llama.model"];
    assert_eq!(proven, &parts[0]["sha256"]);
    assert_eq!(*proven, hex(&sha2::Sha256::digest(&model)));

    // Written anew it is another file with the same weights.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, &model).unwrap();
    let many = kept(&place, "llama").0;
    assert!(many > 0);

    // One bit of the weights far behind the first megabyte, in a file of the same size.
    let middle = model.len() / 2;
    model[middle] ^= 1;
    std::fs::write(&file, model).unwrap();
    let ran = place.run(&[&RUN[..], &["--again"]].concat());
    assert!(ran.err.contains("changed since: llama.model"), "{ran:?}");
    assert_eq!(tally(&place.results("out.jsonl"), "status")["review"], 300);
}

#[test]
fn each_tier_proves_itself_on_all_that_reaches_it_whichever_stands_first() {
    let place = place("{ max_error = 0.1, confidence = 0.9 }");
    let second = LLAMA.replace("tiers.llama", "tiers.second");
    let sections = format!("{STUDENT}{REVIEWER}{LLAMA}{second}");
    let target = "{ max_error = 0.3, confidence = 0.9 }";
    let tiers = ["llama", "student", "second", "reviewer"];
    write_config(&place, &sections, &tiers, target);
    let report = report(&place.run(&CALIBRATE));
    let mut left = 800;
    for tier in report["tiers"].as_array().unwrap() {
        assert_eq!(tier["records"], left, "{tier}");
        left -= tier["kept"].as_u64().unwrap();
    }
    let kept = report["kept"].as_u64().unwrap();
    assert!(kept > 0 && left == 800 - kept, "{report}");
    assert!(report["tiers"][0]["kept"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn an_answer_is_ranked_when_it_is_given_as_it_was_when_that_was_proven() {
    let place = place("{ max_error = 0.1, confidence = 0.9 }");
    // Here routine is a matter of complaint, which the model does not know: it is sure and wrong.
    let other = |lines: String| lines.replace(":\"routine\"", ":\"complaint\"");
    place.write("labelled.jsonl", other(lines(&labelled()[..600])));
    place.write("proof.jsonl", other(lines(&documents()[..800])));
    let sections = format!("{STUDENT}{REVIEWER}{LLAMA}");
    let tiers = ["student", "llama", "reviewer"];
    let target = "{ max_error = 0.1, confidence = 0.9 }";
    write_config(&place, &sections, &tiers, target);
    let kept = place.read("tiergate.toml").replace(
        "records = { path = \"labelled.jsonl\" }",
        "records = { path = \"labelled.jsonl\", keep = true, days = 5 }",
    );
    place.write("tiergate.toml", kept);
    let report = report(&place.run(&CALIBRATE));
    // What the student says of an answer is evidence for or against it.
    let ranked = report["tiers"][1]["ranked"].as_str().unwrap();
    assert!(ranked.contains("by a head of"), "{ranked}");
    let proven: Value = serde_json::from_str(&place.read(CERTIFICATE)).unwrap();
    let head = &proven["claim"]["tiers"][1]["head"];
    assert_eq!(head["heard"], serde_json::json!(["student"]), "{proven}");

    let ran = place.run(&[
        "run",
        "classify",
        "proof.jsonl",
        "-o",
        "out.jsonl",
        "--json",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let results = place.results("out.jsonl");
    for tier in report["tiers"].as_array().unwrap() {
        let answered = results.iter().filter(|it| it["tier"] == tier["tier"]);
        let wrong = answered.clone().filter(|it| it["answer"] != it["gold"]);
        assert_eq!(tier["kept"], answered.count(), "{tier}");
        assert_eq!(tier["errors"], wrong.count(), "{tier}");
    }
    assert!(report["tiers"][1]["kept"].as_u64() > Some(0), "{report}");
    // Both numbers are kept, and what is exported is read again.
    let export = ["records", "export", "classify", "--out", "live.jsonl"];
    assert_eq!(place.run(&export).code, Some(0));
    let live = place.results("live.jsonl");
    let llama = |line: &&Value| line["models"]["llama"]["score"].is_f64();
    let heard = live.iter().find(llama).unwrap();
    assert!(heard["models"]["llama"]["confidence"].is_f64(), "{heard}");
    assert!(heard["models"]["student"]["score"].is_null(), "{heard}");

    // With few records of its own the task is told that they are too few for a head.
    place.write("labelled.jsonl", other(lines(&labelled()[..150])));
    let report = self::report(&place.run(&CALIBRATE));
    let ranked = report["tiers"][1]["ranked"].as_str().unwrap();
    assert!(
        ranked.contains("too few for a head; 200 would do"),
        "{ranked}"
    );
}

#[test]
fn records_that_the_student_learned_from_are_refused() {
    let place = place("{ max_error = 0.05, confidence = 0.9 }");
    let shared = lines(&labelled()[590..600]) + &lines(&documents()[..50]);
    place.write("proof.jsonl", shared);
    let ran = place.run(&CALIBRATE);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err
            .contains("the student learned from 10 of these 60 texts"),
        "{ran:?}"
    );
    assert!(!place.path(CERTIFICATE).exists());
    // Its other rows do.
    let ran = place.run(&[&CALIBRATE[..], &["--rows", "10.."]].concat());
    assert_eq!(report(&ran)["records"], 50);
}

#[test]
fn where_nothing_can_be_proven_everything_goes_on_and_it_says_what_is_missing() {
    let place = place("{ max_error = 0.01, confidence = 0.99 }");
    place.write("proof.jsonl", lines(&documents()[..100]));
    let ran = place.run(&CALIBRATE[..4]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Nothing could be proven"), "{ran:?}");
    let certificate: Value = serde_json::from_str(&place.read(CERTIFICATE)).unwrap();
    assert_eq!(certificate["claim"]["tiers"][0]["threshold"], Value::Null);
    let ran = place.run(&RUN);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("proves nothing"), "{ran:?}");
    assert_eq!(tally(&place.results("out.jsonl"), "status")["review"], 300);
}

#[test]
fn a_task_that_asks_for_no_certificate_gets_none() {
    let place = place("{ max_error = 0.05 }");
    let ran = place.run(&CALIBRATE);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err
            .contains("target = { max_error = 0.05, confidence = 0.95 }"),
        "{ran:?}"
    );
    let ran = place.run(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]);
    assert!(ran.err.contains("(not certified)"), "{ran:?}");
}

#[test]
fn a_label_that_must_not_be_missed_has_a_claim_of_its_own() {
    let place = place("{ max_error = 0.1, confidence = 0.9 }");
    let free = report(&place.run(&CALIBRATE));
    let with = |share: &str| {
        let target = format!(
            "{{ max_error = 0.1, confidence = 0.9, max_missed = {{ sanctions = {share} }} }}"
        );
        write_config(
            &place,
            &format!("{STUDENT}{REVIEWER}"),
            &["student", "reviewer"],
            &target,
        );
        report(&place.run(&CALIBRATE))
    };
    let threshold = |report: &Value| report["tiers"][0]["threshold"].as_f64();
    let strict = with("0.05");
    let tier = &strict["tiers"][0];
    assert!(
        threshold(&strict) >= threshold(&free),
        "it can only be stricter"
    );
    assert_eq!(
        (&tier["delta"], &tier["missed"][0]["delta"]),
        (&0.05.into(), &0.05.into())
    );
    let sanctions = documents()[..800]
        .iter()
        .filter(|d| d["classify"] == "sanctions")
        .count();
    assert_eq!(tier["missed"][0]["records"], sanctions);
    assert!(
        tier["missed"][0]["bound"].as_f64().unwrap() <= 0.05,
        "{tier}"
    );
    let statement = strict["statement"].as_str().unwrap();
    assert!(
        statement.contains("at most 5 % of the documents that are sanctions"),
        "{statement}"
    );
    assert!(kept(&place, "student").0 > 50);

    // So few records can't prove that, and then nothing is kept at all.
    let hopeless = with("0.001");
    assert_eq!(
        (&hopeless["certified"], threshold(&hopeless)),
        (&false.into(), None)
    );
    assert!(
        hopeless["records_wanting"].as_u64().unwrap() > 5_000,
        "{hopeless}"
    );
    assert_eq!(kept(&place, "student").0, 0);
}

#[test]
fn the_report_is_a_page_that_needs_nothing_else() {
    let place = place("{ max_error = 0.05, confidence = 0.9 }");
    let config = place
        .read("tiergate.toml")
        .replace("name = \"fraud\"", "name = \"fraud<b>\"");
    place.write("tiergate.toml", config);
    for file in ["labelled.jsonl", "proof.jsonl"] {
        let records = place
            .read(file)
            .replace("\"gold\":\"fraud\"", "\"gold\":\"fraud<b>\"");
        place.write(file, records);
    }
    let args = [&CALIBRATE[..4], &["--report", "report.html"]].concat();
    let ran = place.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let page = place.read("report.html");
    assert!(page.starts_with("<!doctype html>"));
    assert_eq!(
        page.matches("<svg").count(),
        3,
        "risk, reliability, cost against quality"
    );
    for outside in ["href=", "src=", "url(", "@import", "<script", "fraud<b>"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for said in [
        "With 90 % confidence",
        "fraud&lt;b&gt;",
        "student.learned",
        "Ed25519",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn the_frontier_can_be_the_reference_and_is_paid_to_the_picodollar() {
    let place = place("{ max_error = 0.05, confidence = 0.9 }");
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!("{STUDENT}{}", vendor.config());
    let target = "{ max_error = 0.05, confidence = 0.9 }";
    write_config(&place, &sections, &["student", "frontier"], target);
    // Its right answers are not in the file.
    let texts = place.read("proof.jsonl").replace("\"gold\"", "\"other\"");
    place.write("proof.jsonl", texts);
    let ran = place.run(
        &[
            &CALIBRATE[..],
            &["--reference", "frontier", "--rows", "..400"],
        ]
        .concat(),
    );
    let report = report(&ran);
    assert_eq!(
        (&report["reference"], &report["records"]),
        (&"frontier".into(), &400.into())
    );
    assert!(
        report["statement"]
            .as_str()
            .unwrap()
            .contains("what frontier answers"),
        "{report}"
    );
    let cost = report["reference_cost_usd"].clone();
    assert!(
        report["cost"]["all_frontier_usd_per_thousand"]
            .as_f64()
            .unwrap()
            > 0.0,
        "{report}"
    );
    let ledger = place.ledger();
    let (billed, answers) = vendor.close();
    assert_eq!((cost, answers), (billed.to_usd().into(), 400));
    assert_eq!(ledger["spend"][0]["settled_usd"], billed.to_usd());
    let ran = place.run(&[&CALIBRATE[..], &["--reference", "student"]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("these can be: frontier"), "{ran:?}");
    // It keeps without asking the vendor, who is gone.
    assert!(report["share_kept"].as_f64().unwrap() > 0.2, "{report}");
    let ran = place.run(&CALIBRATE);
    assert!(ran.err.contains("gold"), "{ran:?}");
}
