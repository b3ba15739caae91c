//! Who is let in, and what stays out of the log.

use super::{asks, document, with};
use crate::server::{Server, chat, get};
use crate::workplace::Workplace;

const KEY: &str = "authorization: Bearer sk-right-3141\r\n";

#[test]
fn only_who_has_a_key_is_let_in() {
    let place = Workplace::new();
    let sections = "[server]\nkeys = [\"env:TIERGATE_KEY\"]\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let body = asks("task:classify", &document(0).0).to_string();
    let wrong = "authorization: Bearer sk-wrong-2718\r\n";
    let basic = "authorization: Basic sk-right-3141\r\n";
    for headers in ["", wrong, basic] {
        for request in [
            chat(&body, headers),
            chat("no json", headers),
            get("/v1/models", headers),
            get("/v1/models/task:classify", headers),
            get("/metrics", headers),
        ] {
            let response = server.send(&request);
            assert_eq!(
                (response.status, response.code().as_str()),
                (401, "invalid_api_key")
            );
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        }
        for open in ["/healthz", "/readyz"] {
            assert_eq!(server.send(&get(open, headers)).status, 200);
        }
    }
    assert_eq!(server.send(&chat(&body, KEY)).status, 200);
    assert_eq!(server.send(&get("/v1/models", KEY)).status, 200);
    assert_eq!(server.send(&get("/metrics", KEY)).status, 200);
    server.stop();
}

#[test]
fn a_web_page_cannot_use_a_server_without_keys_by_a_name_of_its_own() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let body = asks("task:classify", "x").to_string();
    let lured = chat(&body, "").replace("host: localhost", "host: attacker.example");
    let response = server.send(&lured);
    assert_eq!(
        (response.status, response.code().as_str()),
        (403, "host_not_allowed")
    );
    let named = chat(&body, "").replace("localhost", &server.address.to_string());
    assert_eq!(server.send(&named).status, 200);
    server.stop();
}

#[test]
fn no_key_and_no_text_is_logged() {
    let place = Workplace::new();
    let sections = "[server]\nkeys = [\"env:TIERGATE_KEY\"]\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let text = "Zebedee Quillfeather disputes invoice 88771.";
    let ok = server.send(&chat(&asks("task:classify", text).to_string(), KEY));
    assert_eq!(ok.status, 200);
    let odd = asks("Zebedee Quillfeather", text).to_string();
    assert_eq!(server.send(&chat(&odd, KEY)).status, 404);
    assert_eq!(server.send(&get("/v1/Zebedee", KEY)).status, 404);
    let log = server.stop();
    assert!(!log.contains("Zebedee") && !log.contains("sk-"), "{log}");
    let line = log.lines().find(|line| line.contains(&ok.id().0)).unwrap();
    for field in [
        "http.status=200",
        "task.id=\"classify\"",
        "tier.id=\"llama\"",
        "tokens.prompt=",
        "cost_picodollars=0",
        "duration_ms=",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
}
