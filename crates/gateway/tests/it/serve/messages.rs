//! Anthropic's protocol: answers, streams, errors, keys and counts.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::{and, asks, document, openly, with};
use crate::server::{Response, Server, attempts, post, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

fn says(model: &str, text: &str) -> Value {
    and(asks(model, text), "max_tokens", 64)
}

fn ask(server: &Server<'_>, request: &Value) -> Response {
    server.post("/v1/messages", request, "anthropic-version: 2023-06-01\r\n")
}

/// The type of an error in Anthropic's form, which names the request.
fn kind(response: &Response) -> String {
    let body = response.json();
    assert_eq!(body["type"], "error", "{body}");
    assert!(body["error"]["message"].is_string(), "{body}");
    assert_eq!(body["request_id"], response.id().0.as_str());
    assert_eq!(
        response.header("request-id"),
        Some(response.id().0.as_str())
    );
    body["error"]["type"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_is_answered_by_a_task_and_by_a_tier() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let (text, _) = document(0);
    let response = ask(&server, &says("task:classify", &text));
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(
        (&body["type"], &body["role"]),
        (&json!("message"), &json!("assistant"))
    );
    assert_eq!(body["model"], "tier:llama");
    assert_eq!(body["id"], format!("msg_{}", response.id().0));
    assert_eq!(body["stop_reason"], "end_turn");
    let label = body["content"][0]["text"].as_str().unwrap();
    assert!(MATTERS.contains(&label), "{label}");
    assert!(body["usage"]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    assert_eq!(attempts(&place, &response.id()).len(), 1);
    // The same text, asked in the other protocol, gets the same label.
    assert_eq!(server.chat(&asks("task:classify", &text)).content(), label);
    let response = ask(
        &server,
        &and(says("tier:llama", "hello there"), "max_tokens", 3),
    );
    assert_eq!(response.json()["stop_reason"], "max_tokens");
    assert_eq!(response.json()["usage"]["output_tokens"], 3);
    server.stop();
}

#[test]
fn a_stream_of_messages_has_the_protocols_events_and_its_usage() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for request in [
        and(
            says("tier:llama", "The card was stolen in Vienna."),
            "max_tokens",
            12,
        ),
        says("task:classify", &document(0).0),
    ] {
        let whole = ask(&server, &request).json();
        let response = ask(&server, &and(request, "stream", true));
        let events = response.named_events();
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["message_start", "content_block_start"]);
        assert_eq!(
            names[names.len() - 3..],
            ["content_block_stop", "message_delta", "message_stop"]
        );
        assert!(
            events
                .iter()
                .all(|(name, data)| data["type"] == name.as_str())
        );
        let texts = events
            .iter()
            .filter_map(|(_, it)| it["delta"]["text"].as_str());
        assert_eq!(
            texts.collect::<String>(),
            whole["content"][0]["text"].as_str().unwrap()
        );
        let end = &events[events.len() - 2].1;
        assert_eq!(end["delta"]["stop_reason"], whole["stop_reason"]);
        assert_eq!(
            end["usage"]["output_tokens"],
            whole["usage"]["output_tokens"]
        );
        assert_eq!(events[0].1["message"]["model"], "tier:llama");
        assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    }
    server.stop();
}

#[test]
fn a_stream_of_messages_that_breaks_says_so_and_does_not_stop() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["cut-mid-event every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let sections = openly(&vendor);
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let request = and(says("tier:frontier", "Hello"), "stream", true);
    let response = ask(&server, &request);
    assert_eq!(response.status, 200);
    let events = response.named_events();
    let (name, last) = events.last().unwrap();
    assert_eq!((name.as_str(), &last["type"]), ("error", &json!("error")));
    assert!(last["error"]["message"].is_string(), "{last}");
    assert!(events.iter().all(|(name, _)| name != "message_stop"));
    server.stop();
}

#[test]
fn every_error_has_the_form_of_the_protocol() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["status:429;retry-after=1 every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let sections = openly(&vendor);
    let task = "sensitivity = \"internal\"\nbudget = { usd = \"0.000000001\", per = \"day\" }";
    let server = Server::start(&place, &with(&["frontier"], &sections, task));
    let cases = [
        (
            json!({"model": "tier:frontier"}),
            400,
            "invalid_request_error",
        ),
        (
            asks("tier:frontier", "no limit"),
            400,
            "invalid_request_error",
        ),
        (says("gpt-9", "x"), 404, "not_found_error"),
        (says("tier:frontier", "x"), 529, "overloaded_error"),
        (says("task:classify", "x"), 429, "rate_limit_error"),
    ];
    for (request, status, expected) in cases {
        let response = ask(&server, &request);
        assert_eq!(
            (response.status, kind(&response).as_str()),
            (status, expected)
        );
    }
    let broke = ask(&server, &says("task:classify", "x"));
    assert_eq!(broke.header("x-should-retry"), Some("false"));
    let busy = ask(&server, &says("tier:frontier", "x"));
    assert!(busy.header("retry-after").is_some());
    let wrong = server.send(&post("/v1/messages", "{\"model\": ", ""));
    assert_eq!(
        (wrong.status, kind(&wrong).as_str()),
        (400, "invalid_request_error")
    );
    let method = server.get("/v1/messages");
    assert_eq!(
        (method.status, kind(&method).as_str()),
        (405, "invalid_request_error")
    );
    let nowhere = server.post("/v1/files", &json!({}), "anthropic-version: 2023-06-01\r\n");
    assert_eq!(
        (nowhere.status, kind(&nowhere).as_str()),
        (404, "not_found_error")
    );
    server.stop();
}

#[test]
fn a_key_may_come_in_either_header() {
    let place = Workplace::new();
    let sections = "[server]\nkeys = [\"env:TIERGATE_KEY\"]\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let request = says("task:classify", &document(0).0);
    for path in ["/v1/messages", "/v1/chat/completions"] {
        for (header, status) in [
            ("x-api-key: sk-right-3141\r\n", 200),
            ("authorization: Bearer sk-right-3141\r\n", 200),
            ("x-api-key: sk-wrong-2718\r\n", 401),
            ("", 401),
        ] {
            assert_eq!(
                server.post(path, &request, header).status,
                status,
                "{path} {header}"
            );
        }
    }
    let refused = server.post("/v1/messages", &request, "");
    assert_eq!(kind(&refused), "authentication_error");
    server.stop();
}

#[test]
fn tokens_are_counted_and_nothing_is_asked() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = openly(&vendor);
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let count = |request: &Value| {
        let response = server.post("/v1/messages/count_tokens", request, "");
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["input_tokens"].as_u64().unwrap()
    };
    let short = count(&asks("tier:frontier", "How many tokens?"));
    let tool = json!([{"name": "look_up", "input_schema": {"type": "object"}}]);
    let with_tool = count(&and(
        asks("tier:frontier", "How many tokens?"),
        "tools",
        tool,
    ));
    assert!(short > 0 && with_tool > short);
    let unknown = server.post("/v1/messages/count_tokens", &asks("gpt-9", "x"), "");
    assert_eq!(
        (unknown.status, kind(&unknown).as_str()),
        (404, "not_found_error")
    );
    server.stop();
    assert_eq!(vendor.close().1, 0);
}

#[test]
fn who_hangs_up_in_the_midst_of_a_stream_stops_the_vendor() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["ping-after every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let sections = openly(&vendor);
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let request = and(says("tier:frontier", "Hello"), "stream", true).to_string();
    for (count, path) in [(1, "/v1/messages"), (2, "/v1/chat/completions")] {
        let mut connection = server.connect();
        connection
            .write_all(post(path, &request, "").as_bytes())
            .unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\n\n\r\n") {
            let mut piece = [0; 512];
            let length = connection.read(&mut piece).unwrap();
            heard.extend_from_slice(&piece[..length]);
        }
        drop(connection);
        until("the vendor's answer is cut", || vendor.cut() == count);
    }
    server.stop();
}
