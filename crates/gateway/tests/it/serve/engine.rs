//! The engine's process: what ends it, and what it can reach.

use std::io::Write as _;

use super::{asks, document, with};
use crate::server::{Response, Server, chat, lives, signal, until};
use crate::workplace::Workplace;

/// The starter model as a file of its own.
fn model_file(place: &Workplace) -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/tiergate-starter.gguf"
    );
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(place.path("model.gguf"), &bytes).unwrap();
    bytes
}

/// A config whose one tier has the model in that file.
fn with_file() -> String {
    with(&["llama"], "", "").replace("\"starter\"", "\"model.gguf\"")
}

fn ask(server: &Server<'_>) -> Response {
    server.chat(&asks("task:classify", &document(0).0))
}

#[test]
fn a_killed_engine_fails_its_request_and_answers_the_next() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let before = ask(&server).content();
    for _ in 0..2 {
        let engine = server.engine().unwrap();
        // So that the request is still in it when it dies.
        signal(engine, "-STOP");
        let mut connection = server.connect();
        let request = chat(&asks("task:classify", &document(0).0).to_string(), "");
        connection.write_all(request.as_bytes()).unwrap();
        until("the request is in work", || {
            server.metric("tiergate_requests_in_flight ") == 1
        });
        signal(engine, "-KILL");
        let failed = Response::read(connection);
        assert_eq!(
            (failed.status, failed.code().as_str()),
            (503, "tier_unavailable")
        );
        assert!(failed.header("retry-after").is_some());
        // A request waits two seconds for a new engine and not longer; a busy machine takes longer.
        until("the next is answered", || ask(&server).status == 200);
        assert_eq!(ask(&server).content(), before);
        assert_ne!(server.engine().unwrap(), engine);
    }
    let log = server.stop();
    assert!(log.contains("the engine's process ended"), "{log}");
}

#[test]
fn an_engine_that_does_not_come_up_again_is_told_of() {
    let place = Workplace::new();
    let sound = model_file(&place);
    let server = Server::start(&place, &with_file());
    assert_eq!(ask(&server).status, 200);
    std::fs::write(place.path("model.gguf"), b"GGUF and no more").unwrap();
    signal(server.engine().unwrap(), "-KILL");
    until("it is not ready", || server.get("/readyz").status == 503);
    let told = server.get("/readyz").text();
    assert!(told.contains("starting its engine again"), "{told}");
    assert!(told.contains("tier llama"), "{told}");
    let failed = ask(&server);
    assert_eq!(
        (failed.status, failed.code().as_str()),
        (503, "tier_unavailable")
    );
    assert_eq!(server.get("/healthz").status, 200);
    std::fs::write(place.path("model.gguf"), sound).unwrap();
    until("it is ready again", || server.get("/readyz").status == 200);
    assert_eq!(ask(&server).status, 200);
    server.stop();
}

#[test]
fn a_stop_that_every_process_is_told_of_lets_requests_in_work_finish() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let answer = ask(&server).content();
    let engine = server.engine().unwrap();
    signal(engine, "-STOP");
    let mut connection = server.connect();
    let request = chat(&asks("task:classify", &document(0).0).to_string(), "");
    connection.write_all(request.as_bytes()).unwrap();
    until("the request is in work", || {
        server.metric("tiergate_requests_in_flight ") == 1
    });
    // As a terminal and a service manager do it.
    signal(engine, "-INT");
    signal(engine, "-TERM");
    server.signal("-TERM");
    signal(engine, "-CONT");
    assert_eq!(Response::read(connection).content(), answer);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(!lives(engine));
}

#[test]
fn the_engine_goes_with_the_server() {
    let place = Workplace::new();
    let stopped = Server::start(&place, &with(&["llama"], "", ""));
    let engine = stopped.engine().unwrap();
    stopped.stop();
    assert!(!lives(engine));
    let killed = Server::start(&place, &with(&["llama"], "", ""));
    let engine = killed.engine().unwrap();
    drop(killed);
    until("the engine has gone", || !lives(engine));
}

#[test]
fn the_engine_reaches_its_model_and_nothing_else() {
    let place = Workplace::new();
    model_file(&place);
    let ran = place.run(&["engine-exposure", "model.gguf"]);
    let (gaps, attempts): (Vec<&str>, Vec<&str>) = ran
        .out
        .lines()
        .partition(|line| line.starts_with("lacking: "));
    if !gaps.is_empty() {
        eprintln!("skipped, because this kernel can't: {gaps:?}");
        return;
    }
    let done: Vec<&str> = attempts
        .iter()
        .filter_map(|line| line.strip_suffix(": done"))
        .collect();
    assert_eq!(done, ["read the model", "start a thread"], "{ran:?}");
    assert!(attempts.len() > 10, "{ran:?}");
    assert!(!place.path("made-by-the-engine").exists());
}

#[test]
fn who_starts_an_engine_by_hand_is_told_that_it_is_none() {
    let place = Workplace::new();
    let ran = place.run(&["engine-worker"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("not the one that starts a worker"),
        "{ran:?}"
    );
}
