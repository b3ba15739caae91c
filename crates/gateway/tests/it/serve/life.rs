//! The server's life: ready, hung up on, stopped.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ledger::{AttemptState, Ledger};

use super::{and, asks, document, with};
use crate::server::{Response, Server, books, chat, serve, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{Ran, Workplace};

const STALLS: Manner = Manner {
    listen: None,
    first_token_ms: 0,
    faults: &["stall-before every 1"],
};

/// A server whose one task goes to a vendor, with these settings.
fn to_vendor<'a>(place: &'a Workplace, vendor: &Vendor, settings: &str) -> Server<'a> {
    let sections = format!("[server]\n{settings}\n{}", vendor.config());
    let task = "sensitivity = \"internal\"";
    Server::start(place, &with(&["frontier"], &sections, task))
}

/// Asks and leaves the connection open, once the vendor has the request.
fn ask_and_wait(server: &Server<'_>, vendor: &Vendor, stream: bool) -> TcpStream {
    let before = vendor.requests();
    let mut connection = server.connect();
    let request = and(asks("task:classify", &document(0).0), "stream", stream);
    let request = chat(&request.to_string(), "");
    connection.write_all(request.as_bytes()).unwrap();
    until("the vendor has it", || vendor.requests() > before);
    connection
}

/// How many attempts of the ledger came to `is_so`.
fn spend(place: &Workplace, is_so: impl Fn(&ledger::SpendLine) -> bool) -> usize {
    let lines = books(place).spend(ledger::TimeRange::ALL).unwrap();
    lines.iter().filter(|line| is_so(line)).count()
}

#[test]
fn it_lives_before_it_is_ready() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("tiergate-data")).unwrap();
    let file = place.path("tiergate-data/ledger.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ledger = Ledger::open(&file).unwrap();
    runtime.block_on(ledger.close()).unwrap();
    // While somebody else writes, the server waits for its ledger.
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let server = Server::launch(&place, &with(&["llama"], "", ""));
    assert_eq!(server.get("/healthz").status, 200);
    until("it says what it waits for", || {
        server.get("/readyz").text().contains("opening the ledger")
    });
    let requests = [
        server.get("/readyz"),
        server.chat(&asks("task:classify", "x")),
    ];
    for response in requests {
        assert_eq!(
            (response.status, response.code().as_str()),
            (503, "not_ready")
        );
        assert!(
            response.text().contains("opening the ledger"),
            "{response:?}"
        );
        assert!(response.header("retry-after").is_some());
    }
    other.execute_batch("COMMIT").unwrap();
    until("it is ready", || server.get("/readyz").status == 200);
    assert_eq!(server.chat(&asks("task:classify", "x")).status, 200);
    server.stop();
}

#[test]
fn a_server_that_is_not_ready_can_be_stopped() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("tiergate-data")).unwrap();
    let file = place.path("tiergate-data/ledger.sqlite");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ledger = Ledger::open(&file).unwrap();
    runtime.block_on(ledger.close()).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let server = Server::launch(&place, &with(&["llama"], "", ""));
    assert_eq!(server.get("/readyz").status, 503);
    server.stop();
}

#[test]
fn who_hangs_up_is_not_worked_for() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &STALLS);
    let server = to_vendor(&place, &vendor, "");
    let cancelled = "tiergate_requests_total{task=\"classify\",outcome=\"cancelled\"}";
    for (count, stream) in [(1, false), (2, true)] {
        let connection = ask_and_wait(&server, &vendor, stream);
        assert_eq!(server.metric("tiergate_requests_in_flight"), 1);
        let hung_up = Instant::now();
        drop(connection);
        // `bench/cancel.sh` says how long it takes; a busy machine may take its time.
        let seen = vendor.ended(count).duration_since(hung_up);
        assert!(
            seen < Duration::from_secs(2),
            "the vendor worked on for {seen:?}"
        );
        until("it is cancelled", || server.metric(cancelled) == count);
        assert_eq!(server.metric("tiergate_requests_in_flight"), 0);
    }
    let log = server.stop();
    let lines = log.lines().filter(|line| {
        line.contains("request ended")
            && line.contains("task.id=\"classify\" outcome=\"cancelled\"")
    });
    assert_eq!(lines.count(), 2, "{log}");
    // What the vendor bills for it is not known, so its worst case stays booked.
    assert_eq!(spend(&place, |line| line.kept.0 > 0 && line.held.0 == 0), 1);
}

#[test]
fn a_stop_lets_requests_in_work_finish() {
    let place = Workplace::new();
    let manner = Manner {
        first_token_ms: 500,
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let server = to_vendor(&place, &vendor, "");
    let whole = ask_and_wait(&server, &vendor, false);
    let streamed = ask_and_wait(&server, &vendor, true);
    server.signal("-TERM");
    until("nobody else is let in", || {
        TcpStream::connect(server.address).is_err()
    });
    let whole = Response::read(whole);
    assert_eq!(whole.content(), document(0).1);
    let streamed = Response::read(streamed);
    assert_eq!(crate::server::streamed(&streamed.chunks()), document(0).1);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    let (billed, _) = vendor.close();
    for response in [whole, streamed] {
        let made = books(&place).attempts_of(&response.id()).unwrap();
        assert!(
            matches!(made[0].state, AttemptState::Settled { .. }),
            "{made:?}"
        );
    }
    let settled = |line: &ledger::SpendLine| line.settled.0 == i128::from(billed.get());
    assert_eq!(spend(&place, settled), 1);
}

#[test]
fn a_stop_cuts_off_what_takes_too_long() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &STALLS);
    let server = to_vendor(&place, &vendor, "drain_seconds = 0.2");
    let whole = ask_and_wait(&server, &vendor, false);
    server.signal("-INT");
    let response = Response::read(whole);
    assert_eq!(
        (response.status, response.code().as_str()),
        (503, "stopping")
    );
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    let made = books(&place).attempts_of(&response.id()).unwrap();
    assert!(matches!(made[0].state, AttemptState::Unknown), "{made:?}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_books_still_add_up() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &STALLS);
    let server = to_vendor(&place, &vendor, "drain_seconds = 3600");
    let connection = ask_and_wait(&server, &vendor, false);
    server.signal("-TERM");
    until("it says that it is stopping", || {
        server.log().contains("stopping")
    });
    server.signal("-INT");
    let (code, log) = server.ended();
    assert_eq!(code, Some(130), "{log}");
    drop(connection);
    assert_eq!(spend(&place, |line| line.held.0 > 0), 1);
    // The next one keeps what nobody knows the end of.
    to_vendor(&place, &vendor, "").stop();
    assert_eq!(spend(&place, |line| line.held.0 == 0 && line.kept.0 > 0), 1);
}

#[test]
fn an_address_that_cannot_be_had_is_told_with_what_to_do() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let taken = server.address.to_string();
    let ran = Ran::from(serve(&place, &taken).output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err.contains(&taken) && ran.err.contains("--listen"),
        "{ran:?}"
    );
    let ran = Ran::from(serve(&place, "0.0.0.0:0").output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("server.keys"), "{ran:?}");
    server.stop();
}

#[test]
fn a_log_filter_that_is_none_is_told() {
    let place = Workplace::new();
    place.write("tiergate.toml", with(&["llama"], "", ""));
    let mut command = serve(&place, "127.0.0.1:0");
    let ran = Ran::from(command.env("TIERGATE_LOG", "a=b=c").output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("TIERGATE_LOG"), "{ran:?}");
}
