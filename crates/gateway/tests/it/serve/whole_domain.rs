//! What is more than text: tools, pictures, structured output, log-probabilities; carried from
//! either protocol to a server that takes them, and refused by name where one does not.

use serde_json::{Value, json};

use super::{and, asks, with};
use crate::recorder::{Heard, Recorder};
use crate::server::Server;
use crate::vendor::frontier;
use crate::workplace::Workplace;

/// What OpenAI's vendor answers: two calls of tools at once.
fn whole() -> String {
    let call = |id: &str, arguments: &str| {
        json!({"id": id, "type": "function",
               "function": {"name": "look_up", "arguments": arguments}})
    };
    let calls = [call("call_1", "{\"id\": 7}"), call("call_2", "{\"id\": 8}")];
    json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": calls},
        "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]},
    }], "usage": {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39,
        "prompt_tokens_details": {"cached_tokens": 12},
        "completion_tokens_details": {"reasoning_tokens": 4}}})
    .to_string()
}

/// The same as a stream, the arguments in pieces.
fn stream() -> String {
    let chunk = |delta: Value, reason: Value| {
        json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
               "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let begin = |index: u32, id: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": "look_up", "arguments": ""}}]})
    };
    let piece = |index: u32, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
    let usage = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39}});
    let none = Value::Null;
    let chunks = [
        chunk(begin(0, "call_1"), none.clone()),
        chunk(piece(0, "{\"id\""), none.clone()),
        chunk(piece(0, ": 7}"), none.clone()),
        chunk(begin(1, "call_2"), none.clone()),
        chunk(piece(1, "{\"id\": 8}"), none),
        chunk(json!({}), json!("tool_calls")),
        usage,
    ];
    let events: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    format!("{events}data: [DONE]\n\n")
}

fn vendor() -> Recorder {
    Recorder::start(whole(), stream())
}

fn start<'a>(place: &'a Workplace, vendor: &Recorder) -> Server<'a> {
    let server = "[server]\ndirect_sensitivity = \"public\"\n";
    let sections = format!("{server}{}", frontier(vendor.address()));
    Server::start(place, &with(&["llama"], &sections, ""))
}

fn last(vendor: &Recorder) -> Heard {
    vendor.heard().pop().unwrap()
}

fn function() -> Value {
    json!({"type": "object", "properties": {"id": {"type": "integer"}}})
}

/// A request of Anthropic's for a tool, after a round of it, with a picture.
fn messages() -> Value {
    json!({"model": "tier:frontier", "max_tokens": 50, "system": "Be brief.",
    "tools": [{"name": "look_up", "description": "Looks up.", "input_schema": function()}],
    "tool_choice": {"type": "any"},
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Whose is this?"},
            {"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call_0", "name": "look_up", "input": {"id": 6}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_0", "content": "nobody's"}]},
    ]})
}

#[test]
fn tools_and_pictures_of_one_protocol_reach_a_vendor_of_the_other() {
    let place = Workplace::new();
    let vendor = vendor();
    let server = start(&place, &vendor);
    let response = server.post("/v1/messages", &messages(), "");
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(body["stop_reason"], "tool_use");
    let call = |index: usize, id: &str, number: u32| {
        let block = &body["content"][index];
        assert_eq!(block["type"], "tool_use", "{body}");
        assert_eq!(
            (&block["id"], &block["input"]["id"]),
            (&json!(id), &json!(number))
        );
    };
    call(0, "call_1", 7);
    call(1, "call_2", 8);
    assert_eq!(body["usage"]["input_tokens"], 18);
    assert_eq!(body["usage"]["cache_read_input_tokens"], 12);
    let heard = last(&vendor).body;
    assert_eq!(
        heard["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    let picture = &heard["messages"][1]["content"][1]["image_url"]["url"];
    assert_eq!(picture, "data:image/png;base64,aGk=");
    assert_eq!(heard["messages"][2]["tool_calls"][0]["id"], "call_0");
    assert_eq!(heard["messages"][3]["role"], "tool");
    assert_eq!(heard["messages"][3]["tool_call_id"], "call_0");
    assert_eq!(heard["tools"][0]["function"]["parameters"], function());
    assert_eq!(heard["tool_choice"], "required");
    server.stop();
}

#[test]
fn the_arguments_of_parallel_calls_are_streamed() {
    let place = Workplace::new();
    let vendor = vendor();
    let server = start(&place, &vendor);
    let response = server.post("/v1/messages", &and(messages(), "stream", true), "");
    let events = response.named_events();
    let arguments = |block: u64| -> String {
        let of = events.iter().filter(|(_, it)| it["index"] == block);
        of.filter_map(|(_, it)| it["delta"]["partial_json"].as_str())
            .collect()
    };
    assert_eq!(
        (arguments(0).as_str(), arguments(1).as_str()),
        ("{\"id\": 7}", "{\"id\": 8}")
    );
    let end = &events[events.len() - 2].1;
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"]["output_tokens"], 9);
    assert_eq!(last(&vendor).body["stream_options"]["include_usage"], true);
    let chat = json!({"model": "tier:frontier", "stream": true,
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": function()}}]});
    let chunks = server.chat(&chat).chunks();
    let pieces = chunks.iter().filter_map(|chunk| {
        let call = &chunk["choices"][0]["delta"]["tool_calls"][0];
        (call["index"] == 1).then(|| call["function"]["arguments"].as_str())?
    });
    assert_eq!(pieces.collect::<String>(), "{\"id\": 8}");
    server.stop();
}

#[test]
fn what_the_client_of_the_same_protocol_says_reaches_the_vendor_untouched() {
    let place = Workplace::new();
    let vendor = vendor();
    let server = start(&place, &vendor);
    let request = json!({"model": "tier:frontier", "logprobs": true, "top_logprobs": 2,
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "owner", "strict": true, "schema": function()}},
        "reasoning_effort": "low", "prediction": {"type": "content", "content": "so"},
        "a_field_of_next_year": [1, {"x": null}],
        "messages": [{"role": "user", "content": "Whose?", "name": "ada"}]});
    let response = server.chat(&request);
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(
        body["choices"][0]["logprobs"]["content"][0]["logprob"],
        -0.5
    );
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 12);
    assert_eq!(
        body["usage"]["completion_tokens_details"]["reasoning_tokens"],
        4
    );
    let heard = last(&vendor).body;
    for field in [
        "logprobs",
        "top_logprobs",
        "response_format",
        "reasoning_effort",
        "prediction",
        "a_field_of_next_year",
    ] {
        assert_eq!(heard[field], request[field], "{field}");
    }
    assert_eq!(heard["messages"][0]["name"], "ada");
    server.stop();
}

#[test]
fn the_engine_keeps_to_a_schema_and_to_the_rules_of_sampling() {
    let place = Workplace::new();
    let vendor = vendor();
    let server = start(&place, &vendor);
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"flag": {"enum": ["yes", "no"]}, "cents": {"type": "integer",
            "minimum": 0, "maximum": 999}},
        "required": ["flag", "cents"]});
    let asked = |format: Value| {
        let mut request = asks("tier:llama", "Is it flagged?");
        request["response_format"] = format;
        request["temperature"] = json!(1.0);
        request["top_p"] = json!(0.9);
        request["max_tokens"] = json!(200);
        request
    };
    let format = |schema: &Value| json!({"type": "json_schema", "json_schema": {"name": "owner", "schema": schema}});
    let response = server.chat(&asked(format(&schema)));
    assert_eq!(response.status, 200, "{}", response.text());
    let choice = response.json()["choices"][0].clone();
    let text = choice["message"]["content"].as_str().unwrap();
    if choice["finish_reason"] == "stop" {
        let answer: Value = serde_json::from_str(text).unwrap();
        assert!(
            ["yes", "no"].contains(&answer["flag"].as_str().unwrap()),
            "{text}"
        );
        assert!(answer["cents"].as_u64().unwrap() <= 999, "{text}");
    } else {
        // White space between two keys is JSON too, and a small model may like it.
        assert!(text.trim_start().starts_with('{'), "{text}");
    }
    let response = server.chat(&asked(format(&json!({"type": "strnig"}))));
    assert_eq!(response.status, 400, "{}", response.text());
    let message = response.json()["error"]["message"].to_string();
    assert!(
        message.contains("grammar") && message.contains("strnig"),
        "{message}"
    );
    server.stop();
}

#[test]
fn so_much_is_held_for_a_picture_as_the_tier_says() {
    let vendor = vendor();
    // 20,000 tokens of a picture come to half a cent, and all else to less than a quarter of one.
    let task = "[tasks.chat]\nkind = \"chat\"\nsensitivity = \"public\"\ntiers = [\"frontier\"]\n\
                budget = { usd = \"0.004\", per = \"day\" }\n";
    let url = json!({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}});
    let inline = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    for (options, picture, status) in [
        ("", None, 200),
        ("", Some(&url), 429),
        ("", Some(&inline), 429),
        ("\nmedia_tokens_max = 1000", Some(&url), 200),
    ] {
        let place = Workplace::new();
        let attempts = format!("attempts_max = 1{options}");
        let tier = frontier(vendor.address()).replace("attempts_max = 1", &attempts);
        let server = Server::start(&place, &with(&["llama"], &format!("{tier}{task}"), ""));
        let mut content = vec![json!({"type": "text", "text": "What is this?"})];
        content.extend(picture.cloned());
        let request = json!({"model": "task:chat",
            "messages": [{"role": "user", "content": content}]});
        let response = server.chat(&request);
        assert_eq!(
            response.status,
            status,
            "{options} {picture:?}: {}",
            response.text()
        );
        server.stop();
    }
}

#[test]
fn what_a_tier_cannot_take_is_refused_with_its_name() {
    let place = Workplace::new();
    let vendor = vendor();
    let server = start(&place, &vendor);
    let picture = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]);
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let cases = [
        (
            and(asks("tier:llama", "x"), "messages", picture),
            "messages[0]",
            "an image",
        ),
        (
            and(asks("tier:llama", "x"), "tools", tool),
            "tools",
            "a tool",
        ),
        (
            and(asks("tier:llama", "x"), "reasoning_effort", "high"),
            "reasoning_effort",
            "does not offer",
        ),
        (
            and(asks("tier:frontier", "x"), "n", 2),
            "n",
            "tier frontier, which may answer, does not offer",
        ),
    ];
    for (request, param, words) in cases {
        let response = server.chat(&request);
        assert_eq!(response.status, 400, "{}", response.text());
        let error = response.json()["error"].clone();
        assert_eq!(error["param"], param);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        if param != "n" {
            assert!(message.contains("tier llama"), "{message}");
        }
    }
    // A field that only Anthropic's own tiers understand.
    let request = and(messages(), "container", "c_1");
    let response = server.post("/v1/messages", &request, "");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("container"), "{}", response.text());
    server.stop();
    assert!(vendor.heard().is_empty());
}
