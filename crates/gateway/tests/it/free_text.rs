//! Tasks without labels: what is kept of free text was proven, and watched.

use serde_json::{Value, json};

use crate::serve::{and, asks};
use crate::server::{Server, streamed};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{LLAMA, Ran, Workplace, documents, good};

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

/// What the starter model answers to each document with so many tokens, and how sure it is.
fn answers(place: &Workplace, tokens: usize) -> Vec<Value> {
    let without_target = config("reviewer", REVIEWER, "").replace("target =", "threshold = 0.0 #");
    let tokens = format!("max_completion_tokens = {tokens}");
    let config = without_target.replace("max_completion_tokens = 6", &tokens);
    place.write("tiergate.toml", config);
    let line = |document: &Value| {
        let line = json!({ "id": document["id"], "text": document["text"] });
        format!("{line}\n")
    };
    place.write(
        "all.jsonl",
        documents().iter().map(line).collect::<String>(),
    );
    answers_to(place, "..600")
}

/// What it answers to these documents.
fn answers_to(place: &Workplace, rows: &str) -> Vec<Value> {
    let run = [
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "answers.jsonl",
        "--rows",
        rows,
    ];
    good(place.run(&[&run[..], &["--again"]].concat()));
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
    let is_sure = |answer: &Value| answer["confidence"].as_f64().unwrap() >= sure;
    let right: Vec<bool> = answers.iter().map(is_sure).collect();
    records_where(answers, &right, judged)
}

/// Records in which these of the tier's answers are right.
fn records_where(answers: &[Value], right: &[bool], judged: bool) -> String {
    let documents = documents();
    let line = |(answer, &right): (&Value, &bool)| {
        let of = documents.iter().find(|it| it["id"] == answer["id"]);
        let text = of.unwrap()["text"].clone();
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
    answers.iter().zip(right).map(line).collect()
}

fn report(ran: Ran) -> Value {
    serde_json::from_str(&good(ran).out).unwrap()
}

/// A place with 400 records that certify, of which the surer half is right, and the answers to
/// them and 200 more.
fn place(behind: &str, sections: &str, more: &str) -> (Workplace, Vec<Value>, f64) {
    let place = Workplace::new();
    let answers = answers(&place, 6);
    let sure = quantile(&answers, 0.5);
    place.write("proof.jsonl", records(&answers[..400], sure, false));
    place.write("tiergate.toml", config(behind, sections, more));
    (place, answers, sure)
}

#[test]
fn with_many_records_some_are_put_aside_for_a_deferral_head() {
    let place = Workplace::new();
    answers(&place, 6);
    let answers = answers_to(&place, "..1000");
    // Short answers are wrong, whatever the model thinks of them: it takes more than the raw
    // confidence to see that.
    let length = |it: &Value| it["answer"].as_str().unwrap().len();
    let mut lengths: Vec<usize> = answers.iter().map(length).collect();
    lengths.sort_unstable();
    let right: Vec<bool> = answers
        .iter()
        .map(|it| length(it) >= lengths[400])
        .collect();
    place.write("proof.jsonl", records_where(&answers, &right, false));
    place.write("tiergate.toml", config("reviewer", REVIEWER, ""));
    let proven = report(place.run(&CALIBRATE));
    assert_eq!(proven["records"], 750, "{proven}");
    let tier = &proven["tiers"][0];
    let ranked = tier["ranked"].as_str().unwrap();
    assert!(ranked.contains("250 records"), "{ranked}");
    // What is kept of the same documents is what was proven, and of those put aside no more.
    let run = [
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "out.jsonl",
        "--rows",
        "..1000",
    ];
    good(place.run(&run));
    let kept = place
        .results("out.jsonl")
        .iter()
        .filter(|it| it["tier"] == "llama")
        .count() as u64;
    let least = tier["kept"].as_u64().unwrap();
    assert!((least..=least + 250).contains(&kept), "{kept} of {least}");
}

#[test]
fn a_model_is_asked_about_its_own_answers_and_another_way_voids_the_certificate() {
    let (place, ..) = place(
        "reviewer",
        REVIEWER,
        "self_check = true\nrecords = { keep = true }",
    );
    report(place.run(&CALIBRATE));
    let run = [
        "run",
        "gist",
        "all.jsonl",
        "-o",
        "out.jsonl",
        "--rows",
        "..20",
    ];
    good(place.run(&run));
    good(place.run(&["records", "export", "gist", "--out", "live.jsonl"]));
    for line in place.results("live.jsonl") {
        let checked = line["models"]["llama"]["token_log_probabilities"]["self_check"].as_f64();
        assert!(
            checked.is_some_and(|it| (0.0..=1.0).contains(&it)),
            "{line}"
        );
    }
    place.write("tiergate.toml", config("reviewer", REVIEWER, ""));
    let ran = good(place.run(&[&run[..], &["--again"]].concat()));
    assert!(
        ran.err.contains("is void: changed since: writing"),
        "{ran:?}"
    );
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

/// A config whose streamed answers are decided on after their first token.
fn early(vendor: &Vendor) -> String {
    config(
        "frontier",
        &vendor.config(),
        "stream = \"early\"\nearly_tokens = 1\nrecords = { keep = true }",
    )
    .replace("tokens = 6", "tokens = 24")
}

/// What a stream of a document's answer shows, and in how many pieces; and who answered.
fn shown(server: &Server, text: &Value) -> (String, usize, String) {
    let request = and(asks("task:gist", text.as_str().unwrap()), "stream", true);
    let response = server.chat(&request);
    assert_eq!(response.status, 200, "{}", response.text());
    let chunks = response.chunks();
    let is_text = |chunk: &&Value| {
        let text = chunk["choices"][0]["delta"]["content"].as_str();
        text.is_some_and(|text| !text.is_empty())
    };
    let tier = chunks[0]["model"].as_str().unwrap().to_owned();
    (
        streamed(&chunks),
        chunks.iter().filter(is_text).count(),
        tier,
    )
}

fn text_of(answer: &Value) -> Value {
    let documents = documents();
    let of = documents.iter().find(|it| it["id"] == answer["id"]);
    of.unwrap()["text"].clone()
}

#[test]
fn a_stream_begins_when_its_first_tokens_are_proven_good_enough() {
    let nothing = Workplace::new();
    let vendor = Vendor::start(&nothing, &Manner::default());
    let place = Workplace::new();
    let beginnings = answers(&place, 1);
    let whole = answers(&place, 24);
    let sure = quantile(&beginnings, 0.5);
    let confidence = |answer: &Value| answer["confidence"].as_f64().unwrap();
    let right: Vec<bool> = beginnings[..500]
        .iter()
        .map(|it| confidence(it) >= sure)
        .collect();
    place.write("proof.jsonl", records_where(&whole[..500], &right, false));
    place.write("tiergate.toml", early(&vendor));
    let proven = report(place.run(&CALIBRATE));
    let of = &proven["early"]["tiers"][0];
    let threshold = of["threshold"].as_f64().unwrap();
    assert!(
        of["bound"].as_f64().unwrap() <= 0.1 && threshold < sure + 0.05,
        "{of}"
    );
    assert_eq!(
        (&proven["early_tokens"], &proven["early"]["early_tokens"]),
        (&Value::Null, &1.into())
    );

    let server = Server::start(&place, &early(&vendor));
    let (mut local, mut passed_on) = (0, 0);
    for (beginning, whole) in beginnings.iter().zip(&whole).skip(500).take(40) {
        let (text, _, tier) = shown(&server, &text_of(whole));
        if confidence(beginning) >= threshold {
            assert_eq!(
                (text.as_str(), tier.as_str()),
                (whole["answer"].as_str().unwrap(), "tier:llama")
            );
            local += 1;
        } else {
            assert_eq!(tier, "tier:frontier");
            passed_on += 1;
        }
    }
    assert!(local > 5 && passed_on > 5, "{local} {passed_on}");
    server.stop();

    // What was kept shows both rules' evidence, and of a beginning no answer.
    good(place.run(&["records", "export", "gist", "--out", "live.jsonl"]));
    for record in place.results("live.jsonl") {
        let model = &record["models"]["llama"];
        assert_eq!(model["first_tokens"]["tokens"], 1, "{record}");
        assert_eq!(
            record["tier"] == "llama",
            model["answer"].is_string(),
            "{record}"
        );
        let mean = model["first_tokens"]["mean"].as_f64().unwrap();
        assert!(
            (mean.exp() - model["confidence"].as_f64().unwrap()).abs() < 1e-9,
            "{record}"
        );
        assert_eq!(record["thresholds"]["llama"], threshold);
    }
}

/// Who answers the first text whole; and what streams of all show, in how many pieces, of whom.
fn ask(place: &Workplace, config: &str, texts: &[Value]) -> (String, Vec<(String, usize, String)>) {
    let server = Server::start(place, config);
    let whole = server.chat(&asks("task:gist", texts[0].as_str().unwrap()));
    let tier = whole.header("x-tiergate-tier").unwrap().to_owned();
    let streams = texts.iter().map(|text| shown(&server, text)).collect();
    server.stop();
    (tier, streams)
}

/// A place with both certificates, of answers that were all right, and texts whose long answers
/// both let through.
fn certified(config: &str) -> (Workplace, Vec<Value>) {
    let place = Workplace::new();
    let whole = answers(&place, 24);
    place.write(
        "proof.jsonl",
        records_where(&whole[..400], &[true; 400], false),
    );
    place.write("tiergate.toml", config);
    good(place.run(&CALIBRATE));
    let server = Server::start(&place, config);
    let is_kept = |text: &Value| {
        let whole = server.chat(&asks("task:gist", text.as_str().unwrap()));
        whole.header("x-tiergate-tier") == Some("llama") && shown(&server, text).2 == "tier:llama"
    };
    let long = |answer: &&Value| answer["answer"].as_str().unwrap().split(' ').count() > 4;
    let mut texts: Vec<Value> = whole.iter().filter(long).map(text_of).collect();
    texts.retain(is_kept);
    assert!(texts.len() > 5, "{}", texts.len());
    server.stop();
    (place, texts)
}

#[test]
fn neither_certificate_stands_for_the_other() {
    let nothing = Workplace::new();
    let vendor = Vendor::start(&nothing, &Manner::default());
    let config = early(&vendor);
    let (place, texts) = certified(&config);
    let certificates = place.path("tiergate-data/certificates");
    let file = certificates.join("gist.json");
    let early_file = certificates.join("early/gist.json");
    let kept = std::fs::read(&file).unwrap();
    let early_kept = std::fs::read(&early_file).unwrap();
    let all_by = |streams: &[(String, usize, String)], who: &str| {
        assert!(
            streams.iter().all(|(_, _, tier)| tier == who),
            "{streams:?}"
        );
    };

    // Both hold: streams are shown while they are written.
    let (_, both) = ask(&place, &config, &texts);
    assert!(both.iter().any(|(_, pieces, _)| *pieces > 1), "{both:?}");

    // Only that of whole answers: nothing is shown before the answer is complete.
    std::fs::remove_file(&early_file).unwrap();
    let (tier, streams) = ask(&place, &config, &texts);
    assert_eq!(tier, "llama");
    all_by(&streams, "tier:llama");
    assert!(
        streams.iter().all(|(_, pieces, _)| *pieces == 1),
        "{streams:?}"
    );
    assert!(streams.iter().zip(&both).all(|(a, b)| a.0 == b.0));
    assert!(
        place
            .read("serve.log")
            .contains("no streamed answer is shown early")
    );

    // Only that of beginnings.
    std::fs::write(&early_file, &early_kept).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (tier, streams) = ask(&place, &config, &texts);
    assert_eq!(tier, "frontier");
    all_by(&streams, "tier:llama");

    // Each in the other's place.
    std::fs::write(&file, &early_kept).unwrap();
    std::fs::write(&early_file, &kept).unwrap();
    let (tier, streams) = ask(&place, &config, &texts);
    assert_eq!(tier, "frontier");
    all_by(&streams, "tier:frontier");
}

#[test]
fn a_beginning_of_another_length_has_to_be_proven_anew() {
    let nothing = Workplace::new();
    let vendor = Vendor::start(&nothing, &Manner::default());
    let (place, _) = certified(&early(&vendor));
    let longer = early(&vendor).replace("early_tokens = 1", "early_tokens = 2");
    place.write("tiergate.toml", longer);
    let ran = good(place.run(&["certificates", "--json"]));
    let shown = ran.summary()["certificates"].clone();
    assert_eq!(shown[0]["standing"], "certified");
    assert_eq!(shown[1]["standing"], "unproven");
    let why = shown[1]["in_words"].as_str().unwrap();
    assert!(why.contains("void: changed since: decided"), "{why}");
}
