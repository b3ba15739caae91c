//! A client and a vendor of the same protocol, who say to each other what nobody here knows: fields
//! of requests, of answers and their usage, and events of streams.

use serde_json::{Value, json};

use super::{and, with};
use crate::recorder::Recorder;
use crate::server::Server;
use crate::workplace::Workplace;

/// One protocol's talk. Whatever nobody knows has `next_year` in its name or value.
struct Talk {
    protocol: &'static str,
    base: &'static str,
    path: &'static str,
    streamed_path: &'static str,
    request: Value,
    whole: Value,
    stream: String,
    /// How often something unknown is said in the stream.
    unknown: usize,
}

const MODEL: &str = "tier:odd";

fn config(address: std::net::SocketAddr, talk: &Talk) -> String {
    let (protocol, base) = (talk.protocol, talk.base);
    let tier = format!(
        "[tiers.odd]\nkind = \"pool\"\nurl = \"http://{address}{base}\"\nprotocol = \"{protocol}\"\n\
         model = \"m\"\n"
    );
    with(&["llama"], &tier, "")
}

fn data(events: &[Value]) -> String {
    let event = |it: &Value| match it["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {it}\n\n"),
        None => format!("data: {it}\n\n"),
    };
    events.iter().map(event).collect()
}

fn chat() -> Talk {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4,
        "next_year_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0, "next_year": 1}});
    let choice = json!({"index": 0, "finish_reason": "stop", "next_year": {"of": "choice"},
        "message": {"role": "assistant", "content": "Yes.", "next_year": "of message"}});
    let chunk = |delta: Value, reason: Value| {
        json!({"next_year": "of chunk", "choices": [{"index": 0, "delta": delta,
            "finish_reason": reason, "next_year": "of choice"}]})
    };
    let mut stream = data(&[
        json!({"choices": [], "next_year": "first"}),
        chunk(json!({"role": "assistant", "content": "Yes."}), Value::Null),
    ]);
    stream += "event: next_year.progress\ndata: {\"next_year\":1}\n\n";
    stream += &data(&[
        chunk(json!({"next_year": "of delta"}), Value::Null),
        chunk(json!({}), json!("stop")),
        json!({"choices": [], "usage": usage}),
    ]);
    Talk {
        protocol: "openai",
        base: "/v1",
        path: "/v1/chat/completions",
        streamed_path: "/v1/chat/completions",
        request: json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}],
            "stream_options": {"include_usage": true}}),
        whole: json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [choice], "usage": usage, "next_year": [1]}),
        stream: stream + "data: [DONE]\n\n",
        unknown: 9,
    }
}

fn responses() -> Talk {
    let usage = json!({"input_tokens": 3, "output_tokens": 1, "total_tokens": 4, "next_year": 1});
    let item = |content: Value| {
        json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "next_year": "of item", "content": content})
    };
    let text = json!({"type": "output_text", "text": "Yes.", "annotations": [], "next_year": 1});
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "status": status, "model": "m",
            "output": output, "usage": usage, "next_year": "of response"})
    };
    let whole = response("completed", json!([item(json!([text]))]));
    let place = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
    let placed = |kind: &str, more: Value| {
        let mut event = place.clone();
        event["type"] = kind.into();
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    let of_item = |kind: &str, content: Value| json!({"type": kind, "output_index": 0, "item": item(content)});
    Talk {
        protocol: "openai-responses",
        base: "/v1",
        path: "/v1/responses",
        streamed_path: "/v1/responses",
        request: json!({"model": MODEL, "input": "x"}),
        stream: data(&[
            json!({"type": "response.created", "response": response("in_progress", json!([]))}),
            of_item("response.output_item.added", json!([])),
            placed("response.output_text.delta", json!({"delta": "Yes."})),
            placed("response.next_year.event", json!({"x": 1})),
            placed("response.content_part.done", json!({"part": text})),
            of_item("response.output_item.done", json!([text])),
            json!({"type": "response.completed", "response": whole}),
        ]),
        whole,
        unknown: 12,
    }
}

fn messages() -> Talk {
    let usage = json!({"input_tokens": 3, "output_tokens": 1, "next_year": {"tokens": 1}});
    let message = |content: Value, reason: Value| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": content, "stop_reason": reason, "stop_sequence": null, "usage": usage,
            "next_year": "of message"})
    };
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    Talk {
        protocol: "anthropic",
        base: "/v1",
        path: "/v1/messages",
        streamed_path: "/v1/messages",
        request: json!({"model": MODEL, "max_tokens": 9,
            "messages": [{"role": "user", "content": "x"}]}),
        whole: message(
            json!([{"type": "text", "text": "Yes.", "next_year": 1}, {"type": "next_year"}]),
            json!("end_turn"),
        ),
        stream: data(&[
            json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": "", "next_year": 1}}),
            delta(json!({"type": "text_delta", "text": "Yes."})),
            delta(json!({"type": "next_year_delta", "x": 1})),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "next_year"}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "next_year": 1},
                "usage": usage, "next_year": 1}),
            json!({"type": "message_stop"}),
        ]),
        unknown: 9,
    }
}

fn generate() -> Talk {
    let usage = json!({"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4,
        "next_year": 1});
    let answer = |parts: Value, reason: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0,
            "finishReason": reason, "next_year": "of candidate"}], "modelVersion": "m",
            "usageMetadata": usage, "next_year": "of answer"})
    };
    let parts = json!([{"text": "Yes."}, {"next_year": {"x": 1}}]);
    Talk {
        protocol: "google",
        base: "/v1beta",
        path: "/v1beta/models/tier:odd:generateContent",
        streamed_path: "/v1beta/models/tier:odd:streamGenerateContent?alt=sse",
        request: json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}),
        stream: data(&[
            answer(json!([{"text": "Ye"}]), Value::Null),
            answer(
                json!([{"text": "s."}, {"next_year": {"x": 1}}]),
                json!("STOP"),
            ),
        ]),
        whole: answer(parts, json!("STOP")),
        unknown: 6,
    }
}

/// Whether each field with a name or value of next year's stands there too, at the same place.
fn missing(said: &Value, told: &Value, path: &str, all: &mut Vec<String>) {
    let is_odd = |text: &str| text.contains("next_year");
    match said {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                if is_odd(name) && &told[name] != value {
                    all.push(path);
                } else {
                    missing(value, &told[name], &path, all);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                missing(value, &told[index], &format!("{path}[{index}]"), all);
            }
        }
        Value::String(text) if is_odd(text) && told != said => all.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn what_nobody_here_knows_passes_between_a_client_and_a_vendor_of_one_protocol() {
    for talk in [chat(), responses(), messages(), generate()] {
        let place = Workplace::new();
        let vendor = Recorder::start(talk.whole.to_string(), talk.stream.clone());
        let server = Server::start(&place, &config(vendor.address(), &talk));
        let protocol = talk.protocol;
        let request = and(talk.request.clone(), "next_year", json!({"x": [1]}));

        let response = server.post(talk.path, &request, "");
        assert_eq!(response.status, 200, "{protocol}: {}", response.text());
        let mut lost = Vec::new();
        missing(&talk.whole, &response.json(), "", &mut lost);
        assert!(
            lost.is_empty(),
            "{protocol}: {lost:?} in {}",
            response.text()
        );

        let request = match protocol {
            "google" => request,
            _ => and(request, "stream", true),
        };
        let streamed = server.post(talk.streamed_path, &request, "");
        assert_eq!(streamed.status, 200, "{protocol}: {}", streamed.text());
        let text = streamed.text();
        assert!(text.contains("Yes.") || text.contains("s."), "{text}");
        let count = text.matches("next_year").count();
        assert!(count >= talk.unknown, "{protocol}: {count} in {text}");
        // Google's fields may be spelled in two ways, of which a vendor is told one.
        let name = match protocol {
            "google" => "nextYear",
            _ => "next_year",
        };
        for heard in vendor.heard() {
            assert_eq!(heard.body[name], json!({"x": [1]}), "{protocol}");
        }
        server.stop();
    }
}

/// A config whose task is answered with a label by the tier of a talk, and shown when it is known to
/// be one.
fn with_labels(address: std::net::SocketAddr, talk: &Talk) -> String {
    let labels = "[tasks.agree]\nkind = \"classify\"\nprompt = \"Is it so?\"\n\
                  tiers = [\"odd\"]\nlabels = [{ name = \"Yes\" }, { name = \"No\" }]\n";
    format!("{}\n{labels}", config(address, talk))
}

#[test]
fn a_label_that_is_told_as_a_stream_keeps_what_its_vendor_said_of_the_answer() {
    for (talk, unknown) in [
        (chat(), 4),
        (responses(), 2),
        (messages(), 2),
        (generate(), 3),
    ] {
        let place = Workplace::new();
        let vendor = Recorder::start(talk.whole.to_string(), talk.stream.clone());
        let server = Server::start(&place, &with_labels(vendor.address(), &talk));
        let protocol = talk.protocol;
        let path = talk.streamed_path.replace(MODEL, "task:agree");
        let request = match protocol {
            "google" => talk.request.clone(),
            _ => and(
                and(talk.request.clone(), "model", "task:agree"),
                "stream",
                true,
            ),
        };
        let response = server.post(&path, &request, "");
        assert_eq!(response.status, 200, "{protocol}: {}", response.text());
        let text = response.text();
        let count = text.matches("next_year").count();
        assert!(text.contains("Yes"), "{protocol}: {text}");
        assert!(count >= unknown, "{protocol}: {count} in {text}");
        server.stop();
    }
}

#[test]
fn a_response_that_was_streamed_is_kept_as_its_client_saw_it() {
    let talk = responses();
    let place = Workplace::new();
    let vendor = Recorder::start(talk.whole.to_string(), talk.stream.clone());
    let keeps = "[server]\nkeep_days = 30\n";
    let config = format!("{keeps}{}", config(vendor.address(), &talk));
    let server = Server::start(&place, &config);
    let streamed = server.post(talk.path, &and(talk.request.clone(), "stream", true), "");
    let (name, last) = streamed.named_events().pop().unwrap();
    assert_eq!(name, "response.completed", "{}", streamed.text());
    let shown = &last["response"];
    let mut lost = Vec::new();
    missing(&talk.whole, shown, "", &mut lost);
    assert!(lost.is_empty(), "{lost:?} in {shown}");
    let path = format!("/v1/responses/{}", shown["id"].as_str().unwrap());
    assert_eq!(&server.get(&path).json(), shown);
    server.stop();
}
