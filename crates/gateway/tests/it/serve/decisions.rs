//! Typed questions, answered with probabilities.

use serde_json::{Value, json};

use super::{and, with};
use crate::server::{Response, Server, books};
use crate::workplace::Workplace;

const INPUT: &str = "The bank of Nordic Timber AB was added to the asset freeze on Monday.";

fn request() -> Value {
    json!({"model": "tier:llama", "input": INPUT, "safety_identifier": "u1", "questions": [
        {"type": "predicate", "name": "frozen", "instructions": "Assets are frozen."},
        {"type": "choice", "instructions": [
            {"type": "input_text", "text": "What is the text about?"},
            {"type": "input_json", "data": {"lang": "en"}}],
            "choices": [{"value": "sanctions", "description": "Lists and freezes."},
                {"value": "fraud"}, {"value": true}]},
        {"type": "score", "name": "urgency", "instructions": "How urgent is it?",
            "levels": [{"label": "low"}, {"label": "middle"}, {"label": "high"}]},
    ]})
}

fn decide(server: &Server<'_>, request: &Value) -> Response {
    server.post("/v1/decisions", request, "")
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

/// Asks what is refused, with this status and code and this field's name.
fn refused(server: &Server<'_>, request: &Value, told: (u16, &str, &str)) {
    let response = decide(server, request);
    let (code, error) = (response.code(), response.json()["error"].clone());
    let param = error["param"].as_str().unwrap_or_default();
    assert_eq!(
        (response.status, code.as_str(), param),
        told,
        "{request}: {error}"
    );
}

/// The probabilities of an answer; they sum to one.
fn probabilities(answer: &Value) -> Vec<f64> {
    let list = answer["probabilities"].as_array().unwrap().iter();
    let list: Vec<f64> = list.map(|it| it["probability"].as_f64().unwrap()).collect();
    assert!(close(list.iter().sum(), 1.0), "{answer}");
    assert!(list.iter().all(|it| (0.0..=1.0).contains(it)), "{answer}");
    list
}

#[test]
fn each_question_is_answered_in_its_own_form() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let response = decide(&server, &request());
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(body["model"], "tier:llama");
    assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    assert_eq!(response.header("x-tiergate-cost-usd"), Some("0"));
    let answers = body["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    let kinds: Vec<(&Value, &Value)> = answers
        .iter()
        .map(|it| (&it["type"], &it["name"]))
        .collect();
    assert_eq!(
        kinds,
        [
            (&json!("predicate"), &json!("frozen")),
            (&json!("choice"), &Value::Null),
            (&json!("score"), &json!("urgency")),
        ]
    );
    let probability = answers[0]["probability"].as_f64().unwrap();
    assert!(probability > 0.0 && probability < 1.0, "{body}");
    let choice = probabilities(&answers[1]);
    let values: Vec<&Value> = answers[1]["probabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["value"])
        .collect();
    assert_eq!(values, [&json!("sanctions"), &json!("fraud"), &json!(true)]);
    let top = (0..3)
        .max_by(|&a, &b| choice[a].total_cmp(&choice[b]))
        .unwrap();
    assert_eq!(&answers[1]["choice"], values[top]);
    assert!(close(
        answers[1]["confidence"].as_f64().unwrap(),
        choice[top]
    ));
    let score = probabilities(&answers[2]);
    let mean = score[1] + 2.0 * score[2];
    assert!(close(answers[2]["score"].as_f64().unwrap(), mean), "{body}");
    let levels = &answers[2]["probabilities"];
    assert_eq!(
        (&levels[2]["value"], &levels[2]["label"]),
        (&json!(2), &json!("high"))
    );
    let usage = &body["usage"];
    let (read, written) = (
        usage["input_tokens"].as_u64(),
        usage["output_tokens"].as_u64(),
    );
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(read.unwrap() + written.unwrap())
    );
    // Asked again it is answered the same, whatever else is asked beside it.
    let alone = and(request(), "questions", json!([request()["questions"][2]]));
    let again = decide(&server, &alone).json();
    assert_eq!(again["answers"][0], answers[2]);
    server.stop();
    // Each question stands in the books.
    for number in 1..=3 {
        let id = ledger::RequestId(format!("{}-{number}", response.id().0));
        assert_eq!(books(&place).attempts_of(&id).unwrap().len(), 1);
    }
}

#[test]
fn conversations_are_decided_about_and_many_questions_get_their_turn() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let input = json!([
        {"role": "system", "content": "A bank's mail."},
        {"role": "user", "type": "message", "content": [{"type": "input_text", "text": INPUT}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Noted."}], "phase": "final_answer"},
    ]);
    let question = json!({"type": "predicate", "instructions": "It is noted."});
    let many = and(
        and(request(), "input", input),
        "questions",
        json!(vec![question; 40]),
    );
    let body = decide(&server, &many).json();
    let answers = body["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 40);
    assert!(answers.iter().all(|it| it == &answers[0]));
    server.stop();
}

#[test]
fn what_the_engine_can_not_be_asked_is_refused_by_name() {
    let place = Workplace::new();
    let pool = "[tiers.pool]\nkind = \"pool\"\nurl = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\n";
    let server = Server::start(&place, &with(&["llama"], pool, ""));
    for model in ["tier:pool", "gpt-6-luna", "auto"] {
        let request = and(request(), "model", model);
        refused(&server, &request, (404, "model_not_found", "model"));
        let told = decide(&server, &request).text();
        assert!(
            told.contains("kind local") && told.contains("tier:llama"),
            "{told}"
        );
    }
    let image = json!({"type": "input_image", "image_url": "https://a"});
    let image = json!([{"role": "user", "content": [image]}]);
    let call = json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]);
    let unsupported = "unsupported_parameter";
    for (field, value, code, param) in [
        ("input", json!(""), "invalid_value", "input"),
        ("input", image, unsupported, "input[0].content[0]"),
        ("input", call, unsupported, "input[0].type"),
        ("temperature", json!(1), unsupported, "temperature"),
        ("questions", json!([]), "invalid_value", "questions"),
    ] {
        refused(&server, &and(request(), field, value), (400, code, param));
    }
    server.stop();
}

#[test]
fn what_is_no_question_is_refused_by_name() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let choice =
        |choices: Value| json!({"type": "choice", "instructions": "x", "choices": choices});
    let both = |one: Value, other: Value| choice(json!([{"value": one}, {"value": other}]));
    let (invalid, other) = ("invalid_value", "choices[1].value");
    for (question, code, param) in [
        (json!({"type": "box", "instructions": "x"}), invalid, "type"),
        (
            json!({"type": "predicate"}),
            "missing_required_parameter",
            "instructions",
        ),
        (choice(json!([{"value": "a"}])), invalid, "choices"),
        (both(json!("a"), json!("A")), invalid, other),
        (both(json!("true"), json!(true)), invalid, other),
        (both(json!("a"), json!(" b")), invalid, other),
        (
            choice(json!([{"value": "a"}, {"value": "b", "weight": 1}])),
            "unsupported_parameter",
            "choices[1].weight",
        ),
    ] {
        let request = and(request(), "questions", json!([question]));
        refused(
            &server,
            &request,
            (400, code, &format!("questions[0].{param}")),
        );
    }
    server.stop();
}
