//! Whole answers: what comes back, and what the ledger says of it.

use domain::Picodollars;
use ledger::AttemptState;
use serde_json::json;

use super::{and, asks, document, with};
use crate::server::{Server, attempts, books, get};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

#[test]
fn a_task_labels_the_users_text_in_house() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let (text, _) = document(0);
    let response = server.chat(&asks("task:classify", &text));
    assert!(
        MATTERS.contains(&response.content().as_str()),
        "{response:?}"
    );
    let body = response.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "tier:llama");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    assert_eq!(response.header("x-tiergate-escalations"), Some("0"));
    assert_eq!(response.header("x-tiergate-cost-usd"), Some("0"));
    let confidence: f64 = response
        .header("x-tiergate-confidence")
        .unwrap()
        .parse()
        .unwrap();
    assert!((0.0..=1.0).contains(&confidence));
    let made = attempts(&place, &response.id());
    let [attempt] = made.as_slice() else {
        panic!("{made:?}")
    };
    let AttemptState::Settled { usage, cost } = attempt.state else {
        panic!("{attempt:?}")
    };
    assert_eq!((attempt.tier.as_str(), cost), ("llama", Picodollars::ZERO));
    assert_eq!(body["usage"]["prompt_tokens"], usage.prompt.0);
    assert_eq!(body["usage"]["completion_tokens"], usage.completion.0);
    server.stop();
}

#[test]
fn an_answer_that_is_not_sure_enough_comes_from_the_frontier_and_is_paid_for() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!("[server]\nauto = \"classify\"\n{}", vendor.config());
    let task = "sensitivity = \"internal\"\nthreshold = 1.0";
    let server = Server::start(&place, &with(&["llama", "frontier"], &sections, task));
    let (text, matter) = document(3);
    let response = server.chat(&asks("auto", &text));
    assert_eq!(response.content(), matter);
    assert_eq!(response.json()["model"], "tier:frontier");
    assert_eq!(response.header("x-tiergate-tier"), Some("frontier"));
    assert_eq!(response.header("x-tiergate-escalations"), Some("1"));
    assert_eq!(response.header("x-tiergate-confidence"), None);
    let told = response.header("x-tiergate-cost-usd").unwrap();
    let told = Picodollars::from_usd(told).unwrap();
    server.stop();
    let (billed, answers) = vendor.close();
    assert_eq!((told, answers), (billed, 1));
    assert!(billed > Picodollars::ZERO);
    let made = attempts(&place, &response.id());
    assert_eq!(made.len(), 2);
    let paid = made
        .iter()
        .find(|it| it.tier.as_str() == "frontier")
        .unwrap();
    assert!(matches!(paid.state, AttemptState::Settled { cost, .. } if cost == billed));
}

#[test]
fn a_tier_answers_alone_what_no_task_describes() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let server_section = "[server]\ndirect_sensitivity = \"public\"\n";
    let sections = format!("{server_section}{}", vendor.config());
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let (text, matter) = document(1);
    let response = server.chat(&asks("tier:frontier", &text));
    assert_eq!(response.content(), matter);
    // Fields of the protocol that nobody here knows are for the vendor to judge.
    let response = server.chat(&and(asks("tier:frontier", &text), "top_p", 0.5));
    assert_eq!(response.content(), matter);
    let response = server.chat(&and(asks("tier:llama", "hello there"), "max_tokens", 3));
    assert_eq!(response.json()["usage"]["completion_tokens"], 3);
    assert_eq!(response.json()["choices"][0]["finish_reason"], "length");
    server.stop();
    assert_eq!(vendor.close().1, 2);
}

#[test]
fn a_conversation_begins_with_the_tasks_instruction() {
    let place = Workplace::new();
    let chat = "[tasks.chat]\nkind = \"chat\"\nprompt = \"Reply in the words of a bank clerk who \
                has been asked something.\"\ntiers = [\"llama\"]\nmax_completion_tokens = 4\n";
    let server = Server::start(&place, &with(&["llama"], chat, ""));
    let conversation = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is my card?"},
        {"role": "assistant", "content": "On its way."},
        {"role": "user", "content": "Since when?"},
    ]);
    let prompt_tokens = |model: &str, messages: &serde_json::Value| {
        let response = server.chat(&json!({"model": model, "messages": messages, "max_tokens": 4}));
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let alone = prompt_tokens("tier:llama", &conversation);
    let instructed = prompt_tokens("task:chat", &conversation);
    let first = json!([{"role": "user", "content": "Where is my card?"}]);
    assert!(instructed > alone + 10, "{instructed} after {alone}");
    assert!(prompt_tokens("task:chat", &first) < instructed);
    server.stop();
}

#[test]
fn what_can_be_asked_for_is_listed() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = format!(
        "[server]\nauto = \"classify\"\n[tiers.reviewers]\nkind = \"person\"\n{}",
        vendor.config()
    );
    let config = with(&["llama", "reviewers"], &sections, "threshold = 0.5");
    let server = Server::start(&place, &config);
    let list = server.get("/v1/models").json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    // A confidential text may not reach the frontier, and nobody converses with a review queue.
    assert_eq!(names, ["auto", "task:classify", "tier:llama"]);
    assert_eq!(
        server.get("/v1/models/task:classify").json(),
        list["data"][1]
    );
    assert_eq!(
        server.get("/v1/models/task%3Aclassify").json(),
        list["data"][1]
    );
    // A client of Anthropic's is told the same in its own form.
    let version = "anthropic-version: 2023-06-01\r\n";
    let ask = |path: &str| server.send(&get(path, version));
    let theirs = ask("/v1/models").json();
    let names = theirs["data"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["auto", "task:classify", "tier:llama"]);
    assert_eq!(theirs["data"][0]["type"], "model");
    assert_eq!(theirs["has_more"], false);
    assert_eq!(ask("/v1/models/tier:llama").json(), theirs["data"][2]);
    let response = server.get("/v1/models/gpt-9");
    assert_eq!(
        (response.status, response.code().as_str()),
        (404, "model_not_found")
    );
    server.stop();
}

#[test]
fn what_happens_is_counted() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for index in 0..3 {
        server
            .chat(&asks("task:classify", &document(index).0))
            .content();
    }
    server.chat(&asks("task:none", "x"));
    let page = server.get("/metrics");
    let kind = page.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(page.text().ends_with("# EOF\n"));
    for (line, count) in [
        (
            "tiergate_requests_total{task=\"classify\",outcome=\"answered\"}",
            3,
        ),
        (
            "tiergate_attempts_total{tier=\"llama\",verdict=\"accepted\"}",
            3,
        ),
        (
            "tiergate_http_responses_total{route=\"/v1/chat/completions\",status=\"200\"}",
            3,
        ),
        (
            "tiergate_http_responses_total{route=\"/v1/chat/completions\",status=\"404\"}",
            1,
        ),
        ("tiergate_requests_in_flight", 0),
    ] {
        assert_eq!(server.metric(line), count, "{line}");
    }
    server.stop();
    let decided = books(&place).decisions(ledger::TimeRange::ALL).unwrap();
    assert_eq!(decided.iter().map(|task| task.requests).sum::<u64>(), 3);
}
