//! Tools called by the embedded engine, asked of the real binary with the starter model under
//! templates that know tools.

use serde_json::{Value, json};

use super::{and, asks, ok, with};
use crate::server::{Server, streamed};
use crate::workplace::Workplace;

/// The starter's template, and what Llama's own say of tools. Of several calls at once it takes as
/// many as there are.
const TEMPLATE: &str = "{{ '<|begin|>' }}{% if tools %}{{ '<|system|>\n' }}{% for tool in tools %}\
    {{ tool | tojson + '\n' }}{% endfor %}{{ '<|end|>\n' }}{% endif %}\
    {% for message in messages %}{{ '<|' + ('user' if message['role'] == 'tool' else message['role']) + '|>\n' }}\
    {% if message['tool_calls'] %}{% for call in message['tool_calls'] %}\
    {{ '{\"name\": \"' + call.function.name + '\", \"parameters\": ' + call.function.arguments | tojson + '}' }}\
    {% endfor %}{% else %}{{ message['content'] | trim }}{% endif %}{{ '<|end|>\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";

/// The same for a model that calls one tool at a time.
fn one_at_a_time() -> String {
    let refused = "{% if message['tool_calls'] | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}";
    let all = "{% for message in messages %}";
    TEMPLATE.replace(all, &format!("{all}{refused}"))
}

/// The starter model as a file with another chat template.
fn with_template(place: &Workplace, template: &str) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/tiergate-starter.gguf"
    );
    let bytes = std::fs::read(path).unwrap();
    let key = b"tokenizer.chat_template";
    let at = bytes.windows(key.len()).position(|it| it == key).unwrap() + key.len() + 4;
    let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let rest = at + 8 + usize::try_from(length).unwrap();
    // As a comment of its own the template grows by a multiple of 32 bytes, so that what follows
    // stays aligned.
    let (old, new) = (rest - at - 8, template.len() + "{##}".len());
    let fill = (new.saturating_sub(old)).next_multiple_of(32) + old - new;
    let template = format!("{{#{:fill$}#}}{template}", "");
    let length = (template.len() as u64).to_le_bytes();
    let file = [&bytes[..at], &length, template.as_bytes(), &bytes[rest..]].concat();
    place.write("model.gguf", file);
}

fn config() -> String {
    with(&["llama"], "", "").replace("\"starter\"", "\"model.gguf\"")
}

/// A tool as OpenAI's clients describe it.
fn tool() -> Value {
    json!({"type": "function", "function": {"name": "rate", "description": "The rate of a currency",
        "parameters": {"type": "object", "properties": {
            "to": {"enum": ["EUR", "USD"]}, "exact": {"type": "boolean"}},
            "required": ["to", "exact"], "additionalProperties": false}}})
}

fn with_tools(choice: impl Into<Value>) -> Value {
    let asked = and(
        asks("tier:llama", "What is the rate?"),
        "tools",
        vec![tool()],
    );
    and(and(asked, "tool_choice", choice), "max_tokens", 200)
}

/// The arguments of a call, which keep to the tool's schema.
fn check_arguments(json: &str) {
    let arguments: Value = serde_json::from_str(json).unwrap();
    assert!(["EUR", "USD"].contains(&arguments["to"].as_str().unwrap()));
    assert!(arguments["exact"].is_boolean());
    assert_eq!(arguments.as_object().unwrap().len(), 2);
}

#[test]
fn a_tool_that_must_be_called_is_called() {
    let place = Workplace::new();
    with_template(&place, &one_at_a_time());
    let server = Server::start(&place, &config());
    let named = json!({"type": "function", "function": {"name": "rate"}});
    for choice in [json!("required"), named] {
        let answer = ok(&server.chat(&with_tools(choice.clone())));
        let choice_of = &answer["choices"][0];
        assert_eq!(choice_of["finish_reason"], "tool_calls", "{answer}");
        assert_eq!(choice_of["message"]["content"], Value::Null);
        let calls = choice_of["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(
            (calls.len(), &calls[0]["function"]["name"]),
            (1, &json!("rate"))
        );
        assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
        let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
        check_arguments(arguments);
        let chunks = server
            .chat(&and(with_tools(choice), "stream", true))
            .chunks();
        let deltas: Vec<&Value> = chunks
            .iter()
            .flat_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
            .flatten()
            .collect();
        assert_eq!(deltas[0]["function"]["name"], "rate");
        let pieces = deltas
            .iter()
            .map(|it| it["function"]["arguments"].as_str().unwrap());
        assert_eq!(pieces.collect::<String>(), arguments);
        assert!(
            deltas.len() > 3,
            "they come while they are written: {deltas:?}"
        );
        assert_eq!(streamed(&chunks), "");
        assert_eq!(
            chunks.last().unwrap()["choices"][0]["finish_reason"],
            "tool_calls"
        );
    }
    // Of no tool it is told nothing, and it writes as ever.
    let none = ok(&server.chat(&with_tools("none")));
    let plain = and(asks("tier:llama", "What is the rate?"), "max_tokens", 200);
    let plain = ok(&server.chat(&plain));
    assert_eq!(none["choices"], plain["choices"]);
    assert_eq!(
        none["usage"]["prompt_tokens"],
        plain["usage"]["prompt_tokens"]
    );
    let auto = ok(&server.chat(&with_tools("auto")));
    let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(&auto) > tokens(&plain) + 50);
    let other = json!({"type": "function", "function": {"name": "other"}});
    let refused = server.chat(&with_tools(other));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "request_not_answerable")
    );
    server.stop();
}

#[test]
fn what_a_tool_gave_back_is_read() {
    let place = Workplace::new();
    with_template(&place, TEMPLATE);
    let server = Server::start(&place, &config());
    let call = |id: &str, arguments: &str| {
        json!({"id": id, "type": "function",
        "function": {"name": "rate", "arguments": arguments}})
    };
    let conversation = |calls: Vec<Value>, results: &[&str]| {
        let mut messages = vec![
            json!({"role": "user", "content": "What is the rate?"}),
            json!({"role": "assistant", "content": null, "tool_calls": calls}),
        ];
        let result = |(at, text): (usize, &&str)| {
            json!({"role": "tool",
            "tool_call_id": format!("c{at}"), "content": text})
        };
        messages.extend(results.iter().enumerate().map(result));
        let mut asked = with_tools("auto");
        asked["messages"] = messages.into();
        asked
    };
    let one = vec![call("c0", r#"{"to": "EUR", "exact": true}"#)];
    let two = vec![one[0].clone(), call("c1", "{}")];
    let first = ok(&server.chat(&conversation(one.clone(), &["1.1"])));
    let other = ok(&server.chat(&conversation(one.clone(), &["a much longer result: 1.1"])));
    let both = ok(&server.chat(&conversation(two.clone(), &["1.1", "1.2"])));
    let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(&first) < tokens(&other) && tokens(&first) < tokens(&both));
    let broken = conversation(vec![call("c0", "no object")], &["1.1"]);
    let refused = server.chat(&broken);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "invalid_value")
    );
    // Several at once, in the form in which they are written under the grammar.
    let required = and(with_tools("required"), "temperature", 1.0);
    let most = (0..20u64).map(|seed| {
        let answer = ok(&server.chat(&and(required.clone(), "seed", seed)));
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array();
        calls.map_or(0, Vec::len)
    });
    assert!(most.max() > Some(1));
    let alone = and(required, "parallel_tool_calls", false);
    let answer = ok(&server.chat(&alone));
    assert_eq!(
        answer["choices"][0]["message"]["tool_calls"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.stop();
    with_template(&place, &one_at_a_time());
    let server = Server::start(&place, &config());
    assert_eq!(
        ok(&server.chat(&conversation(one, &["1.1"])))["object"],
        "chat.completion"
    );
    let refused = server.chat(&conversation(two, &["1.1", "1.2"]));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "request_not_answerable")
    );
    assert!(
        refused.text().contains("one at a time"),
        "{}",
        refused.text()
    );
    server.stop();
}

#[test]
fn tools_are_called_in_every_protocol() {
    let place = Workplace::new();
    with_template(&place, &one_at_a_time());
    let server = Server::start(&place, &config());
    let schema = tool()["function"]["parameters"].clone();
    let messages = json!([{"role": "user", "content": "What is the rate?"}]);
    let anthropic = json!({"model": "tier:llama", "max_tokens": 200, "messages": messages,
        "tools": [{"name": "rate", "input_schema": schema}], "tool_choice": {"type": "any"}});
    let answer = ok(&server.post("/v1/messages", &anthropic, ""));
    assert_eq!(answer["stop_reason"], "tool_use");
    assert_eq!(
        (&answer["content"][0]["type"], &answer["content"][0]["name"]),
        (&json!("tool_use"), &json!("rate"))
    );
    check_arguments(&answer["content"][0]["input"].to_string());
    let input = |events: Vec<(String, Value)>| -> String {
        let piece = |(_, event): (String, Value)| {
            event["delta"]["partial_json"].as_str().map(str::to_owned)
        };
        events.into_iter().filter_map(piece).collect()
    };
    let events = server
        .post("/v1/messages", &and(anthropic, "stream", true), "")
        .named_events();
    check_arguments(&input(events));
    let responses = json!({"model": "tier:llama", "input": "What is the rate?", "store": false,
        "max_output_tokens": 200, "tool_choice": "required",
        "tools": [{"type": "function", "name": "rate", "parameters": schema}]});
    let answer = ok(&server.post("/v1/responses", &responses, ""));
    let call = &answer["output"][0];
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("rate")),
        "{answer}"
    );
    check_arguments(call["arguments"].as_str().unwrap());
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "What is the rate?"}]}],
        "tools": [{"functionDeclarations": [{"name": "rate", "parametersJsonSchema": schema}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 200}});
    let answer = ok(&server.post("/v1beta/models/tier:llama:generateContent", &google, ""));
    let call = &answer["candidates"][0]["content"]["parts"][0]["functionCall"];
    assert_eq!(call["name"], "rate", "{answer}");
    check_arguments(&call["args"].to_string());
    server.stop();
}

#[test]
fn a_model_that_knows_no_tools_is_not_asked_to_call_any() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let refused = server.chat(&with_tools("auto"));
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "unsupported_parameter")
    );
    assert_eq!(refused.json()["error"]["param"], "tools");
    server.stop();
}
