//! What a vendor bills beyond its price for tokens is not asked for.

use serde_json::json;

use super::outward::tier;
use super::{and, with};
use crate::recorder::Recorder;
use crate::server::Server;
use crate::workplace::Workplace;

#[test]
fn nothing_is_asked_for_that_the_price_list_does_not_cover() {
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let vendor = Recorder::start(answer.to_string(), String::new());
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], &tier(vendor.address(), ""), ""));
    let message = json!({"model": "tier:claude", "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}]});
    let search = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    for (field, value, path) in [
        ("speed", json!("fast"), "speed"),
        ("inference_geo", json!("us"), "inference_geo"),
        ("mcp_servers", json!([{"type": "url"}]), "mcp_servers"),
        ("tools", search.clone(), "tools[0]"),
    ] {
        let refused = server.post("/v1/messages", &and(message.clone(), field, value), "");
        assert_eq!(refused.status, 400, "{field}: {}", refused.text());
        let text = refused.json()["error"]["message"].to_string();
        assert!(text.contains(path) && text.contains("price list"), "{text}");
    }
    assert!(vendor.heard().is_empty());
    let run_here = json!([{"type": "bash_20250124", "name": "bash"}]);
    for (field, value) in [
        ("service_tier", json!("standard_only")),
        ("tools", run_here),
    ] {
        let taken = server.post("/v1/messages", &and(message.clone(), field, value), "");
        assert_eq!(taken.status, 200, "{field}: {}", taken.text());
    }
    server.stop();

    let allowed = tier(vendor.address(), "allow_unpriced = true");
    let server = Server::start(&place, &with(&["llama"], &allowed, ""));
    let taken = server.post("/v1/messages", &and(message, "tools", search.clone()), "");
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(vendor.heard().pop().unwrap().body["tools"], search);
    server.stop();
}
