//! OpenAI's responses: answers and streams; none is kept unless the config says so.

use serde_json::{Value, json};

use super::{and, document, openly, with};
use crate::server::{Server, attempts};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

fn says(model: &str, text: &str) -> Value {
    json!({"model": model, "input": text, "max_output_tokens": 16})
}

fn text(response: &Value) -> &str {
    let items = response["output"].as_array().unwrap();
    let message = items.iter().find(|item| item["type"] == "message").unwrap();
    message["content"][0]["text"].as_str().unwrap()
}

#[test]
fn a_response_is_given_whole_and_as_a_stream() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let request = says("task:classify", &document(0).0);
    let response = server.post("/v1/responses", &request, "");
    assert_eq!(response.status, 200, "{}", response.text());
    let whole = response.json();
    assert_eq!(
        (&whole["object"], &whole["status"]),
        (&json!("response"), &json!("completed"))
    );
    assert!(MATTERS.contains(&text(&whole)), "{whole}");
    assert_eq!(whole["id"], format!("resp_{}", response.id().0));
    assert!(whole["usage"]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(attempts(&place, &response.id()).len(), 1);
    let streamed = server.post("/v1/responses", &and(request, "stream", true), "");
    let events = streamed.named_events();
    assert_eq!(events[0].0, "response.created");
    let (name, last) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), text(&last["response"])),
        ("response.completed", text(&whole))
    );
    let total = |response: &Value| response["usage"]["total_tokens"].clone();
    assert_eq!(total(&last["response"]), total(&whole));
    server.stop();
}

#[test]
fn a_demanded_tool_is_called_by_any_vendor() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let sections = openly(&vendor);
    let server = Server::start(&place, &with(&["llama"], &sections, ""));
    let tool = json!({"type": "function", "name": "look_up", "parameters": {"type": "object"}});
    let request = and(says("tier:frontier", "Whose?"), "tools", json!([tool]));
    let request = and(request, "tool_choice", "required");
    let response = server.post("/v1/responses", &request, "");
    let call = response.json()["output"][0].clone();
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("look_up"))
    );
    assert_eq!(call["arguments"], "{\"text\":\"Whose?\"}");
    server.stop();
}
