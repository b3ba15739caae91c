//! Streamed answers.

use serde_json::{Value, json};

use super::{and, asks, document, openly, with};
use crate::server::{Server, attempts, streamed};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

fn stream(request: Value) -> Value {
    and(request, "stream", true)
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    for request in [
        and(
            asks("tier:llama", "The card was stolen in Vienna."),
            "max_tokens",
            12,
        ),
        asks("task:classify", &document(0).0),
    ] {
        let whole = server.chat(&request);
        let response = server.chat(&stream(request));
        let chunks = response.chunks();
        assert_eq!(streamed(&chunks), whole.content());
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let (last, whole) = (chunks.last().unwrap(), whole.json());
        let reason = |body: &Value| body["choices"][0]["finish_reason"].clone();
        assert_eq!(reason(last), reason(&whole));
        assert!(chunks.iter().all(|chunk| chunk["model"] == "tier:llama"));
        assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
        assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
        assert_eq!(attempts(&place, &response.id()).len(), 1);
    }
    server.stop();
}

#[test]
fn a_stream_ends_with_the_usage_if_that_is_asked_for() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let request = and(asks("tier:llama", "A letter."), "max_tokens", 5);
    let usage = server.chat(&request).json()["usage"].clone();
    let request = and(
        stream(request),
        "stream_options",
        json!({"include_usage": true}),
    );
    let chunks = server.chat(&request).chunks();
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"]["completion_tokens"],
        usage["completion_tokens"]
    );
    assert_eq!(last["usage"]["prompt_tokens"], usage["prompt_tokens"]);
    assert!(others.iter().all(|chunk| chunk["usage"].is_null()));
    server.stop();
}

#[test]
fn nothing_is_shown_before_the_tier_is_chosen() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let task = "sensitivity = \"internal\"\nthreshold = 1.0";
    let config = with(&["llama", "frontier"], &vendor.config(), task);
    let server = Server::start(&place, &config);
    let (text, matter) = document(3);
    let response = server.chat(&stream(asks("task:classify", &text)));
    assert_eq!(streamed(&response.chunks()), matter);
    assert!(
        response
            .chunks()
            .iter()
            .all(|chunk| chunk["model"] == "tier:frontier")
    );
    assert_eq!(response.header("x-tiergate-tier"), Some("frontier"));
    assert_eq!(response.header("x-tiergate-escalations"), Some("1"));
    assert!(response.header("x-tiergate-cost-usd").is_some());
    server.stop();
}

#[test]
fn what_fails_before_the_first_text_has_a_status() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["status:500 every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    let sections = openly(&vendor);
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let response = server.chat(&stream(asks("tier:frontier", "Hello")));
    assert_eq!(
        (response.status, response.code().as_str()),
        (503, "tier_busy")
    );
    assert!(response.header("retry-after").is_some());
    server.stop();
}

#[test]
fn a_stream_that_breaks_says_so_and_has_no_end_mark() {
    let place = Workplace::new();
    let manner = Manner {
        faults: &["cut-mid-event every 1"],
        ..Manner::default()
    };
    let vendor = Vendor::start(&place, &manner);
    // The second tier could answer, but its words can't follow what was shown of the first's.
    let task = "[tasks.chat]\nkind = \"chat\"\nprompt = \"Answer.\"\nsensitivity = \"public\"\n\
                tiers = [\"frontier\", \"llama\"]\n";
    let config = with(&["llama"], &format!("{}{task}", vendor.config()), "");
    let server = Server::start(&place, &config);
    let response = server.chat(&stream(asks("task:chat", "Hello")));
    assert_eq!(response.status, 200);
    let events: Vec<Value> = response
        .events()
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let (last, shown) = events.split_last().unwrap();
    assert!(!streamed(shown).is_empty());
    assert_eq!(last["error"]["code"], "tier_failed", "{last}");
    let made = attempts(&place, &response.id());
    assert!(
        made.iter().all(|it| it.tier.as_str() == "frontier"),
        "{made:?}"
    );
    server.stop();
}
