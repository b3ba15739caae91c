//! What one client may take.

use std::io::{Read as _, Write as _};

use super::{asks, document, with};
use crate::server::{Response, Server, chat, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

#[test]
fn a_body_that_is_too_large_is_refused() {
    let place = Workplace::new();
    let sections = "[server]\nbody_bytes_max = 2048\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let body = asks("task:classify", &"x".repeat(4000)).to_string();
    let declared = server.send(&chat(&body, ""));
    let declared = (declared.status, declared.code());
    assert_eq!(declared, (413, "request_too_large".into()));
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(server.send(&chunked).status, 413);
    let small = asks("task:classify", &document(0).0).to_string();
    assert_eq!(server.send(&chat(&small, "")).status, 200);
    server.stop();
}

#[test]
fn a_client_that_is_too_slow_is_not_waited_for() {
    let place = Workplace::new();
    let sections = "[server]\nheader_seconds = 2\nbody_seconds = 2\n";
    let server = Server::start(&place, &with(&["llama"], sections, ""));
    let mut connection = server.connect();
    let whole = chat(&asks("task:classify", "x").to_string(), "");
    let (begun, _) = whole.split_at(whole.len() - 5);
    connection.write_all(begun.as_bytes()).unwrap();
    let response = Response::read(connection);
    assert_eq!(
        (response.status, response.code().as_str()),
        (408, "request_timeout")
    );

    let mut connection = server.connect();
    connection.write_all(b"GET /healthz HTT").unwrap();
    let mut said = Vec::new();
    connection.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"", "the connection is closed");
    server.stop();
}

#[test]
fn more_requests_than_places_are_refused_and_not_queued() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["stall-before every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let sections = format!("[server]\nrequests_max = 1\n{}", vendor.config());
    let task = "sensitivity = \"internal\"";
    let server = Server::start(&place, &with(&["frontier"], &sections, task));
    let request = asks("task:classify", "x").to_string();
    let mut first = server.connect();
    first.write_all(chat(&request, "").as_bytes()).unwrap();
    until("the first is at the vendor", || vendor.requests() == 1);
    let second = server.send(&chat(&request, ""));
    assert_eq!(
        (second.status, second.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    assert!(second.header("retry-after").is_some());
    // Probes and the list take no place.
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.get("/v1/models").status, 200);
    drop(first);
    until("the place is free again", || {
        // Without a body there is nothing to be worked on, so that no further one is stalled.
        server.send(&chat("", "")).status != 429
    });
}
