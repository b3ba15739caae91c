//! Tasks without labels: what is kept of free text was proven, and watched.

use serde_json::{Value, json};

use crate::serve::{and, asks};
use crate::server::Server;
use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Ran, Workplace, documents};

const CALIBRATE: [&str; 5] = ["calibrate", "gist", "--records", "proof.jsonl", "--json"];

/// A config with a task whose answers are free text, of the starter model and a tier behind it.
fn config(behind: &str, sections: &str, more: &str) -> String {
    format!(
        "{LLAMA}{sections}\n[tasks.gist]\nkind = \"summarise\"\nprompt = \"What is it about?\"\n\
         tiers = [\"llama\", \"{behind}\"]\nsensitivity = \"internal\"\n\
         max_completion_tokens = 6\ntarget = {{ max_error = 0.1, confidence = 0.9 }}\n{more}\n"
    )
}

const REVIEWER: &str = "[tiers.reviewer]\nkind = \"person\"\n";

fn good(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// What the starter model answers to each document, and how sure it is.
fn answers(place: &Workplace) -> Vec<Value> {
    let without_target = config("reviewer", REVIEWER, "").replace("target =", "threshold = 0.0 #");
    place.write("tiergate.toml", without_target);
    let all: String = documents()
        .iter()
        .map(|it| {
            let line = json!({ "id": it["id"], "text": it["text"] });
            format!("{line}\n")
        })
        .collect();
    place.write("all.jsonl", all);
    good(place.run(&[
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "answers.jsonl",
        "--rows",
        "..600",
    ]));
    place.results("answers.jsonl")
}

/// The confidence that a share of the answers reaches.
fn quantile(answers: &[Value], share: f64) -> f64 {
    let mut all: Vec<f64> = answers
        .iter()
        .map(|it| it["confidence"].as_f64().unwrap())
        .collect();
    all.sort_by(f64::total_cmp);
    all[((1.0 - share) * all.len() as f64) as usize]
}

/// Records in which the tier's answers are right where it is sure, and wrong elsewhere.
fn records(answers: &[Value], sure: f64, judged: bool) -> String {
    let line = |answer: &Value| {
        let text = documents()
            .iter()
            .find(|it| it["id"] == answer["id"])
            .unwrap()["text"]
            .clone();
        let right = answer["confidence"].as_f64().unwrap() >= sure;
        let said = answer["answer"].as_str().unwrap();
        let record = match judged {
            true => json!({ "text": text, "models": {
                "llama": { "answer": said, "correct": right } } }),
            // What makes no difference is not counted as one.
            false if right => {
                json!({ "text": text, "gold": format!("  {}.", said.to_uppercase()) })
            }
            false => json!({ "text": text, "gold": "something else" }),
        };
        format!("{record}\n")
    };
    answers.iter().map(line).collect()
}

fn report(ran: Ran) -> Value {
    serde_json::from_str(&good(ran).out).unwrap()
}

/// A place with 400 records that certify, of which the surer half is right, and the answers to
/// them and 200 more.
fn place(behind: &str, sections: &str, more: &str) -> (Workplace, Vec<Value>, f64) {
    let place = Workplace::new();
    let answers = answers(&place);
    let sure = quantile(&answers, 0.5);
    place.write("proof.jsonl", records(&answers[..400], sure, false));
    place.write("tiergate.toml", config(behind, sections, more));
    (place, answers, sure)
}

#[test]
fn what_is_proven_of_free_text_is_kept_and_no_more() {
    let (place, answers, sure) = place("reviewer", REVIEWER, "");
    let proven = report(place.run(&CALIBRATE));
    assert_eq!(
        (&proven["certified"], &proven["records"], &proven["classes"]),
        (&true.into(), &400.into(), &json!([]))
    );
    let tier = &proven["tiers"][0];
    let threshold = tier["threshold"].as_f64().unwrap();
    assert!(tier["bound"].as_f64().unwrap() <= 0.1, "{tier}");
    assert!(proven["share_kept"].as_f64().unwrap() > 0.3, "{proven}");

    let run = [
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "out.jsonl",
        "--rows",
        "400..600",
    ];
    good(place.run(&run));
    let results = place.results("out.jsonl");
    let (mut kept, mut wrong) = (0, 0);
    for (result, answer) in results.iter().zip(&answers[400..]) {
        let confidence = answer["confidence"].as_f64().unwrap();
        assert_eq!(
            result["tier"] == "llama",
            confidence >= threshold,
            "{result}"
        );
        kept += usize::from(confidence >= threshold);
        wrong += usize::from(confidence >= threshold && confidence < sure);
    }
    // 10 % and four standard errors.
    let n = kept as f64;
    assert!(
        kept > 50 && (wrong as f64) < 0.1 * n + 4.0 * (0.09 * n).sqrt(),
        "{wrong} of {kept}"
    );

    // A person's judgement of the same answers proves the same.
    place.write("proof.jsonl", records(&answers[..400], sure, true));
    let judged = report(place.run(&CALIBRATE));
    assert_eq!(judged["tiers"][0]["threshold"], threshold);
    assert_ne!(judged["records_sha256"], proven["records_sha256"]);

    // What was judged is not what another instruction or another length brings.
    let config = place.read("tiergate.toml");
    place.write("tiergate.toml", config.replace("tokens = 6", "tokens = 7"));
    let ran = good(place.run(&[&run[..], &["--again", "--json"]].concat()));
    assert_eq!(ran.summary()["thresholds"], "unproven");
    assert!(ran.err.contains("changed since: writing"), "{}", ran.err);
}

#[test]
fn judged_answers_of_another_model_prove_nothing() {
    let (place, answers, sure) = place("reviewer", REVIEWER, "");
    let others =
        records(&answers[..400], sure, true).replace("\"answer\":\"", "\"answer\":\"other ");
    place.write("proof.jsonl", others);
    let ran = good(place.run(&CALIBRATE));
    assert!(
        ran.err.contains("judge other answers of this tier"),
        "{}",
        ran.err
    );
    let proven: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(proven["certified"], false);
    place.write("proof.jsonl", "{\"text\": \"A letter.\"}\n");
    let ran = place.run(&CALIBRATE);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("row 0: no field `gold`, and no tier's answer that is judged"),
        "{}",
        ran.err
    );
}

#[test]
fn who_asks_for_another_way_of_writing_gets_nothing_that_was_not_proven() {
    let nothing = Workplace::new();
    let vendor = Vendor::start(&nothing, &Manner::default());
    let (place, answers, _) = place("frontier", &vendor.config(), "");
    good(place.run(&CALIBRATE));
    let surest = answers.iter().max_by(|a, b| {
        let confidence = |it: &Value| it["confidence"].as_f64().unwrap();
        confidence(a).total_cmp(&confidence(b))
    });
    let id = &surest.unwrap()["id"];
    let document = documents().into_iter().find(|it| it["id"] == *id).unwrap();
    let request = asks("task:gist", document["text"].as_str().unwrap());
    let server = Server::start(&place, &place.read("tiergate.toml"));
    let tier = |request: &Value| {
        let response = server.chat(request);
        assert_eq!(response.status, 200, "{}", response.text());
        response.header("x-tiergate-tier").unwrap().to_owned()
    };
    assert_eq!(tier(&request), "llama");
    assert_eq!(tier(&and(request.clone(), "max_tokens", 6)), "llama");
    for (field, value) in [
        ("temperature", json!(1.5)),
        ("max_tokens", json!(40)),
        ("stop", json!(["a"])),
        ("top_p", json!(0.5)),
    ] {
        assert_eq!(
            tier(&and(request.clone(), field, value)),
            "frontier",
            "{field}"
        );
    }
    server.stop();
}

#[test]
fn audits_compare_what_is_said_and_not_how_it_is_spelt() {
    let nothing = Workplace::new();
    let known = documents().into_iter().map(|document| {
        let text = |field: &str| document[field].as_str().unwrap().to_owned();
        (text("text"), text("classify").to_uppercase())
    });
    let vendor = Vendor::knowing(&nothing, &Manner::default(), known);
    let audit = "audit = { share = 1.0, by = \"frontier\" }";
    let (place, answers, _) = place("frontier", &vendor.config(), audit);
    let proven = report(place.run(&CALIBRATE));
    let threshold = proven["tiers"][0]["threshold"].as_f64().unwrap();
    good(place.run(&[
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "out.jsonl",
        "--rows",
        "400..420",
    ]));
    let (mut kept, mut wrong) = (0, 0);
    for answer in &answers[400..420] {
        if answer["confidence"].as_f64().unwrap() >= threshold {
            let document = documents()
                .into_iter()
                .find(|it| it["id"] == answer["id"])
                .unwrap();
            let said = answer["answer"].as_str().unwrap();
            kept += 1;
            wrong += usize::from(said.trim().trim_matches('.') != document["classify"]);
        }
    }
    assert!(kept > wrong && wrong > 0, "{wrong} of {kept}");
    let ran = good(place.run(&["certificates", "--json"]));
    let watched = &ran.summary()["certificates"][0]["watched"];
    assert_eq!(
        (&watched["audits"], &watched["wrong"]),
        (&kept.into(), &wrong.into())
    );
}
