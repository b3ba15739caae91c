//! Tiers that speak another protocol than OpenAI's: what they are sent and what is made of it.

use serde_json::{Value, json};

use super::{and, asks, document, with};
use crate::recorder::Recorder;
use crate::server::{Response, Server, attempts, streamed};
use crate::vendor::{Manner, Vendor};
use crate::workplace::Workplace;

/// A config whose tier `claude` is at an address.
pub(super) fn tier(address: std::net::SocketAddr, options: &str) -> String {
    format!(
        r#"
[server]
direct_sensitivity = "public"

[tiers.claude]
kind = "frontier"
url = "http://{address}/v1"
protocol = "anthropic"
model = "claude-x"
key = "env:TIERGATE_KEY"
price = "claude"
attempts_max = 1
{options}

[prices.claude]
input = "3"
cached_input = "0.3"
cache_write = "6"
output = "15"
"#
    )
}

/// What Anthropic's vendor answers: thoughts with their seal, a text, a call.
fn whole() -> String {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "seal"},
        {"type": "text", "text": "Grüße 🦀"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"id": 7}},
    ], "stop_reason": "tool_use", "stop_sequence": null, "an_answer_of_next_year": 1,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 20,
                  "cache_read_input_tokens": 30, "output_tokens": 5}})
    .to_string()
}

/// The same as a stream, with an event and a block that nobody here knows.
fn stream() -> String {
    let begin = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let end = |index: u32| json!({"type": "content_block_stop", "index": index});
    let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30, "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude-x", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": usage}}),
        json!({"type": "ping"}),
        begin(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm."})),
        delta(0, json!({"type": "signature_delta", "signature": "seal"})),
        end(0),
        begin(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Grüße "})),
        json!({"type": "event_of_next_year"}),
        delta(1, json!({"type": "text_delta", "text": "🦀"})),
        end(1),
        begin(2, json!({"type": "block_of_next_year", "x": [1]})),
        end(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn",
            "stop_sequence": null}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let event = |event: &Value| {
        let name = event["type"].as_str().unwrap();
        format!("event: {name}\ndata: {event}\n\n")
    };
    events.iter().map(event).collect()
}

fn messages(server: &Server<'_>, request: &Value) -> Response {
    server.post("/v1/messages", request, "")
}

#[test]
fn anthropics_own_clients_and_vendors_hear_each_other_untouched() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
    let request = json!({"model": "tier:claude", "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 1024}, "a_field_of_next_year": {"x": 1},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "x", "citations": null,
            "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "So.", "signature": "old seal"},
            {"type": "text", "text": "Yes?"}]},
        {"role": "user", "content": [{"type": "block_of_next_year", "x": 1}]},
    ]});
    let response = messages(&server, &request);
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    let theirs: Value = serde_json::from_str(&whole()).unwrap();
    assert_eq!(body["content"], theirs["content"]);
    assert_eq!(body["an_answer_of_next_year"], 1);
    for count in [
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ] {
        assert_eq!(body["usage"][count], theirs["usage"][count], "{count}");
    }
    let heard = vendor.heard().pop().unwrap();
    assert!(
        heard.head.starts_with("POST /v1/messages "),
        "{}",
        heard.head
    );
    assert_eq!(heard.header("x-api-key"), Some("sk-right-3141"));
    assert_eq!(heard.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(heard.header("authorization"), None);
    for field in ["system", "thinking", "a_field_of_next_year", "max_tokens"] {
        assert_eq!(heard.body[field], request[field], "{field}");
    }
    assert_eq!(heard.body["messages"][1], request["messages"][1]);
    assert_eq!(heard.body["messages"][2], request["messages"][2]);
    let cached = &heard.body["messages"][0]["content"][0]["cache_control"];
    assert_eq!(cached["ttl"], "1h");
    // 10 read at 3, 20 written into the cache at 6, 30 from it at 0.3, 5 written at 15 dollars a
    // million.
    assert_eq!(response.header("x-tiergate-cost-usd"), Some("0.000234"));
    let events = messages(&server, &and(request, "stream", true)).named_events();
    let blocks = events
        .iter()
        .filter(|(name, _)| name == "content_block_start");
    let kinds: Vec<&str> = blocks
        .map(|(_, it)| it["content_block"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["thinking", "text", "block_of_next_year"]);
    let seal = events
        .iter()
        .find_map(|(_, it)| it["delta"]["signature"].as_str());
    assert_eq!(seal, Some("seal"));
    server.stop();
}

#[test]
fn what_is_not_there_for_everybody_yet_is_asked_of_anthropics_own_vendor() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
    let request = json!({"model": "tier:claude", "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}]});
    let beta = "anthropic-beta: context-1m-2025-08-07\r\nanthropic-beta: a,b\r\n";
    let response = server.post("/v1/messages", &request, beta);
    assert_eq!(response.status, 200, "{}", response.text());
    let heard = vendor.heard().pop().unwrap();
    assert_eq!(
        heard.header("anthropic-beta"),
        Some("context-1m-2025-08-07,a,b")
    );
    // Nobody else's client can ask for it.
    let others = server.post("/v1/chat/completions", &request, beta);
    assert_eq!(others.status, 200, "{}", others.text());
    assert_eq!(vendor.heard().pop().unwrap().header("anthropic-beta"), None);
    // A tier that knows no such thing answers without it.
    let llama = super::and(request, "model", "tier:llama");
    assert_eq!(server.post("/v1/messages", &llama, beta).status, 200);
    server.stop();
}

#[test]
fn openais_clients_are_answered_by_anthropics_vendor() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
    let request = json!({"model": "tier:claude", "max_tokens": 9, "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "look_up",
            "parameters": {"type": "object"}}}]});
    let response = server.chat(&request);
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], "Grüße 🦀");
    assert_eq!(message["reasoning_content"], "Hm.");
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"id\":7}"
    );
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    // OpenAI's count of what was read has the cache in it.
    assert_eq!(body["usage"]["prompt_tokens"], 60);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 30);
    let heard = vendor.heard().pop().unwrap().body;
    assert_eq!(
        (&heard["model"], &heard["system"]),
        (&json!("claude-x"), &json!("Be brief."))
    );
    let asked = and(request, "stream", true);
    let asked = and(asked, "stream_options", json!({"include_usage": true}));
    let chunks = server.chat(&asked).chunks();
    assert_eq!(streamed(&chunks), "Grüße 🦀");
    assert_eq!(chunks.last().unwrap()["usage"]["prompt_tokens"], 60);
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 5);
    server.stop();
}

#[test]
fn what_the_tiers_protocol_has_not_is_refused_by_name() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
    let sound = json!([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]}]);
    for (field, value, words) in [
        ("logprobs", json!(true), "no form for it"),
        ("frequency_penalty", json!(0.5), "no form for it"),
        ("logit_bias", json!({"5": 1}), "no form for it"),
        (
            "response_format",
            json!({"type": "json_object"}),
            "no form for it",
        ),
        (
            "prediction",
            json!({"type": "content"}),
            "OpenAI chat protocol",
        ),
        ("messages", sound, "audio"),
    ] {
        let response = server.chat(&and(asks("tier:claude", "x"), field, value));
        assert_eq!(response.status, 400, "{field}: {}", response.text());
        let error = response.json()["error"].clone();
        assert!(
            error["param"].as_str().unwrap().starts_with(field),
            "{error}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
    }
    server.stop();
    assert!(vendor.heard().is_empty());
}

#[test]
fn what_the_config_says_may_be_lost_is_left_out_and_media_never() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let config = tier(vendor.address(), "drops_unsupported = true");
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let request = json!({"model": "tier:claude", "messages": [{"role": "user", "content": "x"}],
        "logprobs": true, "frequency_penalty": 0.5, "a_field_of_next_year": 1});
    assert_eq!(server.chat(&request).status, 200);
    let heard = vendor.heard().pop().unwrap().body;
    for name in ["logprobs", "frequency_penalty", "a_field_of_next_year"] {
        assert_eq!(heard[name], Value::Null, "{name}");
    }
    let sound = json!([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]}]);
    let refused = server.chat(&and(request, "messages", sound));
    assert_eq!(
        (refused.status, &*refused.code()),
        (400, "unsupported_parameter")
    );
    server.stop();
    assert_eq!(vendor.heard().len(), 1);
}

#[test]
fn one_gateway_is_anothers_vendor_and_both_book_the_bill() {
    let (near, far) = (Workplace::new(), Workplace::new());
    let vendor = Vendor::start(&far, &Manner::default());
    let sections = format!(
        "[server]\ndirect_sensitivity = \"internal\"\n{}",
        vendor.config()
    );
    let behind = Server::start(&far, &with(&["llama"], &sections, ""));
    let options = tier(behind.address, "").replace("claude-x", "tier:frontier");
    let task = "sensitivity = \"internal\"\nthreshold = 1.0";
    let server = Server::start(&near, &with(&["llama", "claude"], &options, task));
    for index in [1, 3] {
        let (text, matter) = document(index);
        let response = server.chat(&asks("task:classify", &text));
        assert_eq!(response.content(), matter);
        assert_eq!(response.header("x-tiergate-tier"), Some("claude"));
        let stream = and(asks("task:classify", &text), "stream", true);
        assert_eq!(streamed(&server.chat(&stream).chunks()), matter);
        assert_eq!(attempts(&near, &response.id()).len(), 2);
    }
    server.stop();
    behind.stop();
    assert_eq!(vendor.close().1, 4);
}

#[test]
fn anthropics_failures_mean_what_its_rules_say() {
    for (status, kind, told) in [
        ("529 Overloaded", "overloaded_error", (503, "tier_busy")),
        ("429 Too Many", "rate_limit_error", (503, "tier_busy")),
        (
            "429 Too Many",
            "enforced_spend_limit_reached",
            (503, "tier_unavailable"),
        ),
        ("402 Payment", "billing_error", (503, "tier_unavailable")),
        (
            "401 Unauthorized",
            "authentication_error",
            (503, "tier_unavailable"),
        ),
        (
            "413 Too Large",
            "request_too_large",
            (400, "request_not_answerable"),
        ),
        (
            "400 Bad",
            "invalid_request_error",
            (400, "request_not_answerable"),
        ),
    ] {
        let place = Workplace::new();
        let body = json!({"type": "error", "error": {"type": kind, "message": "no"}});
        let vendor = Recorder::refusing(status, body.to_string());
        let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
        let response = server.chat(&asks("tier:claude", "x"));
        assert_eq!((response.status, response.code().as_str()), told, "{kind}");
        assert_eq!(response.header("x-tiergate-cost-usd"), Some("0"), "{kind}");
        server.stop();
    }
}

#[test]
fn googles_vendor_is_asked_and_understood() {
    let place = Workplace::new();
    let answer = |text: &str, reason: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": reason, "index": 0}], "modelVersion": "gemini-x",
            "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 3,
                "thoughtsTokenCount": 2, "totalTokenCount": 13}})
    };
    let pieces = [answer("Grü", Value::Null), answer("ße", json!("STOP"))];
    let stream = pieces
        .map(|piece| format!("data: {piece}\r\n\r\n"))
        .concat();
    let vendor = Recorder::start(answer("Grüße", json!("STOP")).to_string(), stream);
    let config = tier(vendor.address(), "")
        .replace("/v1\"", "/v1beta\"")
        .replace("\"anthropic\"", "\"google\"");
    let server = Server::start(&place, &with(&["llama"], &config, ""));
    let request = asks("tier:claude", "x");
    let response = server.chat(&request);
    assert_eq!(response.content(), "Grüße");
    assert_eq!(response.json()["usage"]["completion_tokens"], 5);
    let chunks = server.chat(&and(request, "stream", true)).chunks();
    assert_eq!(streamed(&chunks), "Grüße");
    let heard = vendor.heard();
    let base = "POST /v1beta/models/claude-x:";
    assert!(
        heard[0]
            .head
            .starts_with(&format!("{base}generateContent "))
    );
    assert!(
        heard[1]
            .head
            .starts_with(&format!("{base}streamGenerateContent?alt=sse "))
    );
    assert_eq!(heard[0].header("x-goog-api-key"), Some("sk-right-3141"));
    assert_eq!(heard[0].body["contents"][0]["parts"][0]["text"], "x");
    server.stop();
}

#[test]
fn what_anthropics_vendor_does_beside_is_booked_too() {
    let step = |kind: &str, read: u64, written: u64| {
        json!({"type": kind, "input_tokens": read, "output_tokens": written,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0})
    };
    let own = json!([step("compaction", 1_000, 100), step("message", 10, 5)]);
    let other = json!([
        step("message", 10, 5),
        and(step("advisor_message", 7, 7), "model", "other")
    ]);
    for (steps, booked) in [
        // 10 and 1,000 read at 3, 5 and 100 written at 15 dollars a million.
        (own, Some("0.004605")),
        // What the other model costs is not known.
        (other, None),
    ] {
        let place = Workplace::new();
        let usage = json!({"input_tokens": 10, "output_tokens": 5, "iterations": steps});
        let answer = json!({"id": "msg_1", "type": "message", "role": "assistant",
            "model": "claude-x", "content": [{"type": "text", "text": "Yes."}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
        let vendor = Recorder::start(answer.to_string(), String::new());
        let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
        let request = json!({"model": "tier:claude", "max_tokens": 9,
            "messages": [{"role": "user", "content": "x"}]});
        let response = messages(&server, &request);
        assert_eq!(response.status, 200, "{}", response.text());
        let told = &response.json()["usage"];
        assert_eq!(
            (&told["input_tokens"], &told["iterations"]),
            (&json!(10), &usage["iterations"])
        );
        server.stop();
        let spend = &place.ledger()["spend"][0];
        match booked {
            Some(usd) => assert_eq!(
                (&spend["settled_usd"], &spend["kept_usd"]),
                (&json!(usd), &json!("0"))
            ),
            None => assert!(
                spend["settled_usd"] == "0" && spend["kept_usd"] != "0",
                "{spend}"
            ),
        }
    }
}

#[test]
fn a_price_list_without_the_price_of_writing_into_a_cache_is_not_enough() {
    let place = Workplace::new();
    let vendor = Recorder::start(whole(), stream());
    let config = tier(vendor.address(), "").replace("cache_write = \"6\"\n", "");
    place.write("tiergate.toml", with(&["llama"], &config, ""));
    let ran = place.run(&["check-config"]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.err.contains("cache_write"), "{ran:?}");
}

#[test]
fn every_protocol_is_spoken_to_a_vendor_and_paid_for_to_the_picodollar() {
    for (protocol, base) in [
        ("openai", "/v1"),
        ("openai-responses", "/v1"),
        ("anthropic", "/v1"),
        ("google", "/v1beta"),
    ] {
        let place = Workplace::new();
        let vendor = Vendor::start(&place, &Manner::default());
        let said = format!("{base}\"\nprotocol = \"{protocol}\"");
        let config = vendor.config().replacen("/v1\"", &said, 1);
        let config = config.replace("output = ", "cache_write = \"0.25\"\noutput = ");
        let task = "sensitivity = \"internal\"";
        let server = Server::start(&place, &with(&["frontier"], &config, task));
        let (text, matter) = document(3);
        let whole = server.chat(&asks("task:classify", &text));
        assert_eq!(whole.content(), matter, "{protocol}");
        let stream = and(asks("tier:frontier", &text), "stream", true);
        assert_eq!(server.chat(&stream).status, 403, "{protocol}");
        let streamed_answer = server.chat(&and(asks("task:classify", &text), "stream", true));
        assert_eq!(streamed(&streamed_answer.chunks()), matter, "{protocol}");
        server.stop();
        let (billed, answers) = vendor.close();
        assert_eq!(answers, 2, "{protocol}");
        let told = [&whole, &streamed_answer].map(|it| it.header("x-tiergate-cost-usd").unwrap());
        let told = told.map(|usd| domain::Picodollars::from_usd(usd).unwrap());
        assert_eq!(told[0].plus(told[1]).unwrap(), billed, "{protocol}");
    }
}
