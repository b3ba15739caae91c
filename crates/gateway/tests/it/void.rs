//! Certificates of another program, engine, quantisation or snapshot, each signed with the data
//! folder's own key: what voids them is what they say they were proven for.

use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Workplace, config, documents, tally};

const CERTIFICATE: &str = "tiergate-data/certificates/classify.json";
const CALIBRATE: [&str; 4] = ["calibrate", "classify", "--records", "proof.jsonl"];
const REVIEWER: &str = "[tiers.reviewer]\nkind = \"person\"\n";

fn place(sections: &str, behind: &str) -> Workplace {
    let place = Workplace::new();
    let line = |document: &Value| {
        let (text, gold) = (&document["text"], &document["classify"]);
        format!("{}\n", serde_json::json!({ "text": text, "gold": gold }))
    };
    let documents = documents();
    let lines = |part: &[Value]| part.iter().map(line).collect::<String>();
    place.write("proof.jsonl", lines(&documents[..300]));
    place.write("in.jsonl", lines(&documents[300..350]));
    let target = "sensitivity = \"internal\"\ntarget = { max_error = 0.2, confidence = 0.9 }";
    let config = config(&["llama", behind], &format!("{LLAMA}{sections}"), target);
    place.write("tiergate.toml", config);
    place
}

/// A JSON text without space between its parts.
fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let mut keep = |letter: &char| {
        let is_kept = in_text || !letter.is_whitespace();
        in_text ^= *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        is_kept
    };
    json.chars().filter(|letter| keep(letter)).collect()
}

/// The certificate with one thing that it was proven for changed, and signed anew.
fn proven_for(place: &Workplace, good: &str, part: &str, other: &str) {
    let file: Value = serde_json::from_str(good).unwrap();
    let value = file["claim"]["provenance"][part].as_str().unwrap();
    let compact = compact(good);
    let end = compact.find(",\"public_key\":").unwrap();
    let claim = &compact["{\"claim\":".len()..end];
    let (from, to) = (
        format!("\"{part}\":\"{value}\""),
        format!("\"{part}\":\"{other}\""),
    );
    let changed = claim.replace(&from, &to);
    assert_eq!(claim.matches(&from).count(), 1, "{claim}");
    let key = std::fs::read(place.path("tiergate-data/certificates/signing-key.pk8")).unwrap();
    let signature = Ed25519KeyPair::from_pkcs8(&key)
        .unwrap()
        .sign(changed.as_bytes());
    let digits = signature.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let (public, signature) = (&file["public_key"], digits.collect::<String>());
    place.write(
        CERTIFICATE,
        format!("{{\"claim\":{changed},\"public_key\":{public},\"signature\":\"{signature}\"}}"),
    );
}

#[test]
fn another_program_engine_or_quantisation_voids_it() {
    let place = place(REVIEWER, "reviewer");
    assert_eq!(place.run(&CALIBRATE).code, Some(0));
    let good = place.read(CERTIFICATE);
    let kept = || {
        let run = ["run", "classify", "in.jsonl", "-o", "out.jsonl", "--again"];
        let ran = place.run(&run);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let review = tally(&place.results("out.jsonl"), "status")
            .get("review")
            .copied();
        (50 - review.unwrap_or(0), ran.err)
    };
    assert!(kept().0 > 20);
    for part in ["program", "engine", "llama.quantisation"] {
        proven_for(&place, &good, part, "another");
        let (kept, said) = kept();
        assert!(
            said.contains(&format!("is void: changed since: {part}")),
            "{said}"
        );
        assert_eq!(kept, 0, "{part}");
    }
    // What was signed anew without a change still holds.
    let engine: Value = serde_json::from_str(&good).unwrap();
    let engine = engine["claim"]["provenance"]["engine"]
        .as_str()
        .unwrap()
        .to_owned();
    proven_for(&place, &good, "engine", &engine);
    assert!(kept().0 > 20);
}

#[test]
fn another_snapshot_of_the_reference_voids_it() {
    let unused = Workplace::new();
    let vendor = Vendor::start(&unused, &Manner::default());
    let place = place(&vendor.config(), "frontier");
    let by_frontier = [&CALIBRATE[..], &["--reference", "frontier"]].concat();
    let ran = place.run(&by_frontier);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    vendor.close();
    let standing = || place.run(&["certificates", "--json"]).summary()["certificates"][0].clone();
    assert_eq!(standing()["standing"], "certified");
    let config = place.read("tiergate.toml");
    place.write("tiergate.toml", config.replace("standin-1", "standin-2"));
    let void = standing();
    assert_eq!(void["standing"], "unproven", "{void}");
    let why = void["in_words"].as_str().unwrap();
    assert!(why.contains("is void: changed since: reference"), "{why}");
}
