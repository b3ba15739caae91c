//! What goes wrong with streams and proxies, and where each of it has its test:
//!
//! | hazard | tests |
//! |---|---|
//! | the client hangs up | `life::who_hangs_up_is_not_worked_for`, `messages::who_hangs_up_in_the_midst_of_a_stream_stops_the_vendor`, upstream's `cancel` |
//! | an engine that goes on writing | llama's `generate::cancelled_from_another_thread`, `scoring::a_cancelled_score_ends_and_the_next_one_is_right` |
//! | characters and JSON split between pieces | [`every_vendors_text_arrives_whole_however_it_comes`], wire's `pairs`, `recorded` and `sse` |
//! | odd ends of lines | wire's `sse` |
//! | headers sent before the answer is certain | `streams::what_fails_before_the_first_text_has_a_status`, unit tests of `http::stream` |
//! | another attempt after the first text | `streams::a_stream_that_breaks_says_so_and_has_no_end_mark`, `pools::after_the_first_text_no_other_server_is_asked`, upstream's `retries` |
//! | a status of success, and then nothing | upstream's `faults` (stall-before, stall-after, ping-after) |
//! | errors within a stream | upstream's `faults` (error-before, error-after) |
//! | usage told twice, too late or not at all | [`usage_that_comes_twice_is_booked_once`], [`usage_that_never_comes_keeps_the_hold`] |
//! | 429, 529 and money | upstream's `faults` and `classify`, `outward::anthropics_failures_mean_what_its_rules_say` |
//! | a storm of retries | upstream's `retries::attempts_and_budget_end` |
//! | an endpoint in trouble | upstream's `retries` and `breaker`, `pools` |
//! | a local tier with too much to do | `limits::more_requests_than_places_are_refused_and_not_queued`, llama's `engine` |
//! | a client that does not read | [`a_client_that_reads_nothing_is_left_with_its_vendor`], unit tests of `answer::live` |
//! | a client that does not write, giant heads | `limits::a_client_that_is_too_slow_is_not_waited_for`, [`heads_that_are_odd_or_without_end_are_refused`] |
//! | bodies that are too large, or packed | `limits::a_body_that_is_too_large_is_refused`, [`a_packed_body_is_not_unpacked`] |
//! | a stop in the midst of a stream | [`a_stop_ends_a_stream_with_an_error_and_no_end_mark`], `life` |

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::{and, asks, document, openly, with};
use crate::recorder::Recorder;
use crate::server::{Response, Server, chat, post, streamed, until};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

const PROTOCOLS: [(&str, &str); 4] = [
    ("openai", "/v1"),
    ("openai-responses", "/v1"),
    ("anthropic", "/v1"),
    ("google", "/v1beta"),
];

/// The sections of a vendor that speaks this protocol and may be asked directly.
fn speaks((protocol, base): (&str, &str), vendor: &Vendor) -> String {
    let said = format!("{base}\"\nprotocol = \"{protocol}\"");
    let config = openly(vendor).replacen("/v1\"", &said, 1);
    config.replace("output = ", "cache_write = \"0.25\"\noutput = ")
}

fn manner(faults: &'static [&'static str]) -> Manner {
    Manner {
        faults,
        ..Manner::default()
    }
}

#[test]
fn every_vendors_text_arrives_whole_however_it_comes() {
    let answer = "Grüße, 漢字 und 🦀🦀 – ja";
    for protocol in PROTOCOLS {
        let place = Workplace::new();
        let known = [("Was?".to_owned(), answer.to_owned())];
        let vendor = Vendor::knowing(&place, &manner(&["drip every 1"]), known.into_iter());
        let server = Server::start(&place, &with(&["llama"], &speaks(protocol, &vendor), ""));
        let request = and(asks("tier:frontier", "Was?"), "stream", true);
        let chunks = server.chat(&request).chunks();
        assert_eq!(streamed(&chunks), answer, "{protocol:?}");
        server.stop();
    }
}

/// What a streamed answer cost and what is booked, beside what the vendor bills.
fn booked(protocol: (&str, &str), faults: &'static [&'static str]) -> [domain::Picodollars; 3] {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &manner(faults));
    let server = Server::start(&place, &with(&["llama"], &speaks(protocol, &vendor), ""));
    let request = and(asks("tier:frontier", &document(3).0), "stream", true);
    let chunks = server.chat(&request).chunks();
    assert_eq!(streamed(&chunks), document(3).1, "{protocol:?}");
    server.stop();
    let (billed, answers) = vendor.close();
    assert_eq!(answers, 1);
    let ledger = place.ledger();
    let usd = |field: &str| {
        let usd = ledger["spend"][0][field].as_str().unwrap();
        domain::Picodollars::from_usd(usd).unwrap()
    };
    [billed, usd("settled_usd"), usd("kept_usd")]
}

#[test]
fn usage_that_comes_twice_is_booked_once() {
    for protocol in PROTOCOLS {
        let [billed, settled, kept] = booked(protocol, &["duplicate every 1"]);
        assert_eq!(
            (settled, kept),
            (billed, domain::Picodollars::ZERO),
            "{protocol:?}"
        );
    }
}

#[test]
fn usage_that_never_comes_keeps_the_hold() {
    for protocol in PROTOCOLS {
        let [billed, settled, kept] = booked(protocol, &["no-usage every 1"]);
        assert_eq!(settled, domain::Picodollars::ZERO, "{protocol:?}");
        assert!(kept >= billed, "{protocol:?}");
    }
}

/// Nobody here counts a vendor's tokens after it, so that what it tells is what is booked; a bill that
/// says otherwise is for a person to compare.
#[test]
fn usage_that_is_told_wrong_is_booked_as_told() {
    for protocol in PROTOCOLS {
        let [billed, settled, kept] = booked(protocol, &["wrong-usage every 1"]);
        assert!(
            settled > domain::Picodollars::ZERO && settled < billed,
            "{protocol:?}"
        );
        assert_eq!(kept, domain::Picodollars::ZERO, "{protocol:?}");
    }
}

#[test]
fn a_client_that_reads_nothing_is_left_with_its_vendor() {
    let place = Workplace::new();
    let piece = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(64 << 10)}}]});
    // More than all buffers on the way hold.
    let stream = format!("data: {piece}\n\n").repeat(1_000);
    let vendor = Recorder::start(String::new(), stream);
    let sections = format!(
        "[server]\nbody_seconds = 1\n[tiers.pool]\nkind = \"pool\"\nmodel = \"m\"\nurl = \"http://{}/v1\"\n",
        vendor.address()
    );
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let request = and(asks("tier:pool", "x"), "stream", true).to_string();
    let mut connection = server.connect();
    connection.write_all(chat(&request, "").as_bytes()).unwrap();
    let failed = "tiergate_requests_total{task=\"tier.pool\",outcome=\"failed\"}";
    until("it is given up", || server.metric(failed) == 1);
    // What was on its way is there, and why there is no more.
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    assert!(said.contains("request_timeout") && !said.contains("[DONE]"));
    server.stop();
}

#[test]
fn a_stop_ends_a_stream_with_an_error_and_no_end_mark() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &manner(&["stall-after every 1"]));
    let sections = openly(&vendor).replace("[server]\n", "[server]\ndrain_seconds = 0.2\n");
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let request = and(asks("tier:frontier", "Hello"), "stream", true).to_string();
    let mut connection = server.connect();
    connection.write_all(chat(&request, "").as_bytes()).unwrap();
    let mut begun = Vec::new();
    while !begun.windows(9).any(|it| it == b"\"content\"") {
        let mut piece = [0; 512];
        let length = connection.read(&mut piece).unwrap();
        assert!(length > 0, "{}", begun.escape_ascii());
        begun.extend_from_slice(&piece[..length]);
    }
    server.signal("-TERM");
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("\"stopping\"") && !rest.contains("[DONE]"),
        "{rest}"
    );
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn heads_that_are_odd_or_without_end_are_refused() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let many: String = (0..200)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let long = format!("x-long: {}\r\n", "x".repeat(1 << 20));
    for headers in [many.as_str(), &long] {
        let mut connection = server.connect();
        let request = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        // The server may hang up before it has read all of it.
        let _cut = connection.write_all(request.as_bytes());
        let mut said = Vec::new();
        let _cut = connection.read_to_end(&mut said);
        let told = String::from_utf8_lossy(&said).into_owned();
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 431 "),
            "{told}"
        );
    }
    let folded = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: 1\r\n 2\r\n\r\n";
    let old = "GET /healthz\r\n\r\n";
    for request in [folded, old] {
        let mut connection = server.connect();
        connection.write_all(request.as_bytes()).unwrap();
        assert_eq!(Response::read(connection).status, 400, "{request}");
    }
    assert_eq!(server.get("/healthz").status, 200);
    server.stop();
}

#[test]
fn a_packed_body_is_not_unpacked() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let packed = "\u{1f}not JSON until it is unpacked";
    let request = post("/v1/chat/completions", packed, "content-encoding: gzip\r\n");
    let response = server.send(&request);
    assert_eq!(
        (response.status, response.code().as_str()),
        (400, "invalid_json")
    );
    server.stop();
}
