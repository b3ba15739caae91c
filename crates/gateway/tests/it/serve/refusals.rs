//! Requests that get no answer, each with its status, its code and what to do.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{and, asks, document, with};
use crate::server::{Response, Server, attempts, chat};
use crate::vendor::{Manner, Vendor, frontier};
use crate::workplace::Workplace;

/// Its status, its code and the field at fault.
fn refusal(response: &Response) -> (u16, String, Value) {
    (
        response.status,
        response.code(),
        response.json()["error"]["param"].clone(),
    )
}

fn message(response: &Response) -> String {
    response.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Sends bodies to a server with the starter model alone, and holds what is told of each.
fn check(cases: &[(String, u16, &str, &str)]) {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for (body, status, code, param) in cases {
        let response = server.send(&chat(body, ""));
        let param = match *param {
            "" => Value::Null,
            path => json!(path),
        };
        let shown = &body[..body.len().min(200)];
        assert_eq!(
            refusal(&response),
            (*status, (*code).to_owned(), param),
            "{shown}"
        );
        assert!(response.header("x-request-id").is_some());
    }
    server.stop();
}

#[test]
fn a_wrong_request_is_told_what_is_wrong_with_it() {
    let direct = || asks("tier:llama", "x");
    let long = asks("tier:llama", &"word ".repeat(40_000));
    check(&[
        ("{\"model\": ".to_owned(), 400, "invalid_json", ""),
        ("{}".to_owned(), 400, "missing_required_parameter", "model"),
        (
            and(direct(), "temperature", 3).to_string(),
            400,
            "invalid_value",
            "temperature",
        ),
        (
            and(direct(), "reasoning_effort", "high").to_string(),
            400,
            "unsupported_parameter",
            "reasoning_effort",
        ),
        (long.to_string(), 400, "request_not_answerable", ""),
    ]);
}

#[test]
fn a_model_that_there_is_not_is_told_those_there_are() {
    let ask = |model: &str| {
        (
            asks(model, "x").to_string(),
            404,
            "model_not_found",
            "model",
        )
    };
    check(
        &[
            "gpt-9",
            "auto",
            "task:none",
            "task:",
            "tier:none",
            "tier:Tier?",
        ]
        .map(ask),
    );
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let told = message(&server.chat(&asks("gpt-9", "x")));
    assert!(told.contains("task:classify, tier:llama"), "{told}");
    server.stop();
}

#[test]
fn a_task_with_labels_takes_one_text_and_nothing_beside_it() {
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let ask = |messages: &[Value]| json!({"model": "task:classify", "messages": messages});
    let with_system = ask(&[message("system", "Be brief."), message("user", "x")]);
    let two = ask(&[message("user", "x"), message("user", "y")]);
    let field = and(ask(&[message("user", "x")]), "top_k", 5);
    let unsupported = "unsupported_parameter";
    check(&[
        (
            with_system.to_string(),
            400,
            unsupported,
            "messages[0].role",
        ),
        (two.to_string(), 400, unsupported, "messages"),
        (field.to_string(), 400, unsupported, "top_k"),
        (
            ask(&[message("user", " \n")]).to_string(),
            400,
            "invalid_value",
            "messages[0].content",
        ),
    ]);
}

#[test]
fn a_wrong_path_method_or_form_is_told_the_right_one() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let response = server.get("/v1/complete");
    assert_eq!(refusal(&response), (404, "unknown_url".into(), json!(null)));
    let response = server.get("/v1/chat/completions");
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("POST"))
    );
    assert_eq!(response.code(), "method_not_allowed");
    let body = asks("task:classify", "x").to_string();
    let form = chat(&body, "").replace("application/json", "text/plain");
    let response = server.send(&form);
    assert_eq!(
        refusal(&response),
        (415, "unsupported_media_type".into(), json!(null))
    );
    server.stop();
}

#[test]
fn a_text_that_must_stay_inside_does_not_leave() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    for sensitivity in ["confidential", "restricted"] {
        let server_section = format!("[server]\ndirect_sensitivity = \"{sensitivity}\"\n");
        let sections = format!("{server_section}{}", vendor.config());
        let server = Server::start(&place, &with(&["llama"], &sections, ""));
        for request in [
            asks("tier:frontier", "x"),
            and(asks("tier:frontier", "x"), "stream", true),
        ] {
            let response = server.chat(&request);
            let code = "sensitivity_not_allowed".to_owned();
            assert_eq!(refusal(&response), (403, code, json!("model")));
            assert!(message(&response).contains(sensitivity));
        }
        server.stop();
    }
    assert_eq!(vendor.requests(), 0);
}

#[test]
fn a_spent_budget_refuses_before_anything_is_sent() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let task = "sensitivity = \"internal\"\nbudget = { usd = \"0.000000001\", per = \"day\" }";
    let server = Server::start(&place, &with(&["frontier"], &vendor.config(), task));
    let response = server.chat(&asks("task:classify", "x"));
    assert_eq!(
        refusal(&response),
        (429, "insufficient_quota".into(), json!(null))
    );
    assert_eq!(response.json()["error"]["type"], "insufficient_quota");
    assert_eq!(response.header("x-should-retry"), Some("false"));
    assert_eq!(response.header("x-tiergate-cost-usd"), Some("0"));
    assert_eq!(attempts(&place, &response.id()).len(), 0);
    server.stop();
    assert_eq!(vendor.requests(), 0);
}

#[test]
fn a_frontier_that_is_down_is_told_with_when_to_come_again() {
    let place = Workplace::new();
    // Nobody listens at the discard port.
    let down = frontier(SocketAddr::from(([127, 0, 0, 1], 9)));
    let task = "sensitivity = \"internal\"";
    let server = Server::start(&place, &with(&["frontier"], &down, task));
    let response = server.chat(&asks("task:classify", "x"));
    assert_eq!(
        refusal(&response),
        (503, "tier_unavailable".into(), json!(null))
    );
    assert!(response.header("retry-after").is_some());
    assert!(message(&response).contains("tier frontier"), "{response:?}");
    let log = server.stop();
    let line = log
        .lines()
        .find(|line| line.contains(&response.id().0))
        .unwrap();
    assert!(
        line.contains("outcome=\"failed\"") && line.contains("can't be reached"),
        "{line}"
    );
}

#[test]
fn a_vendors_refusal_is_the_clients_fault_only_where_it_is() {
    let cases: [(&[&str], u16, &str); 4] = [
        (&["status:400 every 1"], 400, "request_not_answerable"),
        (&["status:401 every 1"], 503, "tier_unavailable"),
        (&["status:500;final every 1"], 502, "tier_failed"),
        (&["status:429 every 1"], 503, "tier_busy"),
    ];
    for (faults, status, code) in cases {
        let place = Workplace::new();
        let faults: &'static [&'static str] = Box::leak(faults.to_vec().into_boxed_slice());
        let manner = Manner {
            faults,
            ..Manner::default()
        };
        let vendor = Vendor::start(&place, &manner);
        let task = "sensitivity = \"internal\"";
        let server = Server::start(&place, &with(&["frontier"], &vendor.config(), task));
        let response = server.chat(&asks("task:classify", "x"));
        assert_eq!(refusal(&response), (status, code.to_owned(), json!(null)));
        server.stop();
    }
}

#[test]
fn what_no_tier_is_sure_of_is_for_a_person() {
    let place = Workplace::new();
    let sections = "[tiers.reviewers]\nkind = \"person\"\n";
    let config = with(&["llama", "reviewers"], sections, "threshold = 1.0");
    let server = Server::start(&place, &config);
    for request in [
        asks("task:classify", &document(3).0),
        and(asks("task:classify", &document(3).0), "stream", true),
    ] {
        let response = server.chat(&request);
        assert_eq!(
            refusal(&response),
            (422, "needs_review".into(), json!(null))
        );
        assert!(
            message(&response).contains(&response.id().0),
            "{response:?}"
        );
        assert_eq!(response.header("x-tiergate-escalations"), Some("1"));
        assert_eq!(attempts(&place, &response.id()).len(), 1);
    }
    server.stop();
}

#[test]
fn an_answer_that_cannot_be_recorded_is_not_given_out() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let books = rusqlite::Connection::open(place.path("tiergate-data/ledger.sqlite")).unwrap();
    books.execute_batch("DROP TABLE decisions").unwrap();
    for request in [
        asks("task:classify", "x"),
        and(asks("task:classify", "x"), "stream", true),
    ] {
        let response = server.chat(&request);
        assert_eq!(
            refusal(&response),
            (500, "not_recorded".into(), json!(null))
        );
        let (log, id) = (server.log(), response.id().0);
        let cause = log
            .lines()
            .find(|line| line.contains(&id) && line.contains("ERROR"));
        assert!(
            cause.is_some_and(|line| line.contains("ledger.sqlite")),
            "{log}"
        );
    }
}
