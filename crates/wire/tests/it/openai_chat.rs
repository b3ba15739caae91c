//! OpenAI's chat completions.

use domain::{
    Completion, CompletionTokens, Content, FinishReason, Message, Opaque, Part, Prompt, Protocol,
    Reasoning, Role, StreamEnd, StreamEvent, ToolCall, ToolResult,
};
use wire::chat::{
    DecodeError, Delivery, Dialect, ErrorBody, MaxTokensField, OutwardRequest, Sampling,
    StreamUsage, VendorError,
};
use wire::fault::{Fault, FaultKind};
use wire::openai::chat::{
    ChunkReader, StreamEncoder, encode_completion, encode_request, parse_completion, parse_request,
};
use wire::openai::models::{ModelEntry, encode_models};
use wire::sse::Event;

use crate::values::{completion, data, framed, generation, head, json, put_together, told, usage};

fn refused(fields: &str) -> Fault {
    let comma = if fields.is_empty() { "" } else { ", " };
    let body = format!(
        r#"{{"model": "auto", "messages": [{{"role": "user", "content": "geheim"}}]{comma}{fields}}}"#
    );
    parse_request(body.as_bytes()).unwrap_err()
}

fn read(events: impl IntoIterator<Item = Event>) -> Result<Vec<StreamEvent>, DecodeError> {
    told(events, ChunkReader::default())
}

fn text(text: &str) -> StreamEvent {
    StreamEvent::Text(text.into())
}

fn encoded(encoder: &mut StreamEncoder, events: &[StreamEvent]) -> String {
    let mut stream = String::new();
    for event in events {
        encoder.event(event, &mut stream);
    }
    stream
}

fn end(finish_reason: FinishReason, usage: Option<domain::Usage>) -> StreamEvent {
    StreamEvent::End(StreamEnd {
        finish_reason,
        stop_sequence: None,
        usage,
        model: String::new(),
    })
}

#[test]
fn no_vendor_is_asked_to_keep_anything() {
    for (asked, told) in [("true", None), ("{}", None), ("false", Some(false.into()))] {
        let body = format!(
            r#"{{"model": "m", "messages": [{{"role": "user", "content": "x"}}], "store": {asked}}}"#
        );
        let request = parse_request(body.as_bytes()).unwrap();
        assert_eq!(request.extra.field("store"), told.as_ref(), "{asked}");
    }
}

#[test]
fn a_full_request_is_read() {
    let request = parse_request(include_bytes!("fixtures/chat-request.json")).unwrap();
    assert_eq!(request.model, "task:flag");
    let parts = vec![Part::text("first"), Part::text("second")];
    let named = Message {
        beside: Some(Opaque {
            protocol: Protocol::OpenAiChat,
            json: r#"{"name":"teller"}"#.into(),
        }),
        ..Message::of_parts(Role::User, parts)
    };
    assert_eq!(named.text(), "first\nsecond");
    assert_eq!(
        request.prompt.messages,
        [
            Message::new(Role::System, "Answer with one word."),
            named,
            Message::new(Role::Assistant, "clear"),
            Message::new(Role::User, "And now?"),
        ]
    );
    assert_eq!(request.delivery, Delivery::Streamed);
    assert_eq!(request.stream_usage, StreamUsage::Asked);
    let wished = request.generation.or(&generation());
    assert_eq!(wished.max_completion_tokens, CompletionTokens(5));
    assert_eq!((wished.temperature, wished.seed), (0.25, 7));
    assert_eq!(wished.stop, ["END", "STOP"]);
    assert!(!request.extra.is_empty());
    let aside = r#"{"user":"teller-7"}"#;
    assert_eq!(request.extra.size_bytes(), aside.len());
    let refusal = request.extra.refusal(&request.prompt).unwrap();
    insta::assert_snapshot!(refusal, @"messages[1].name: the tier that answers knows no such field; leave it out, or ask for a tier that speaks the OpenAI chat protocol");
}

#[test]
fn what_a_client_leaves_open_comes_from_the_defaults() {
    let body = br#"{"model": "auto", "stop": null, "stream": null, "tools": [], "n": 1,
        "logprobs": false, "messages": [{"role": "user", "content": ""}]}"#;
    let request = parse_request(body).unwrap();
    assert_eq!(request.generation.or(&generation()), generation());
    assert_eq!(request.delivery, Delivery::Whole);
    assert_eq!(request.stream_usage, StreamUsage::NotAsked);
    assert!(request.extra.is_empty());
}

#[test]
fn fields_without_effect_are_no_reason_to_refuse() {
    let body = br#"{"model": "auto", "top_p": 1, "presence_penalty": 0.0, "logit_bias": {},
        "response_format": {"type": "text"}, "user": "u1", "metadata": {"a": "b"},
        "modalities": ["text"], "service_tier": "auto", "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "y", "refusal": null, "annotations": []}]}"#;
    let request = parse_request(body).unwrap();
    assert_eq!(request.extra.refusal(&request.prompt), None);
    assert_eq!(request.generation.options.beyond_plain(), None);
    let body =
        br#"{"model": "auto", "verbosity": "low", "messages": [{"role": "user", "content": "x"}]}"#;
    let request = parse_request(body).unwrap();
    let fault = request.extra.refusal(&request.prompt).unwrap();
    assert_eq!(
        (fault.kind, fault.path.as_str()),
        (FaultKind::Unsupported, "verbosity")
    );
}

#[test]
fn a_request_with_everything_comes_back_as_it_came() {
    let body = include_str!("fixtures/chat-request-tools.json");
    let request = parse_request(body.as_bytes()).unwrap();
    let call = ToolCall {
        id: "call_1".into(),
        name: "look_up".into(),
        arguments: "{\"iban\": \"DE02\"}".into(),
        signature: None,
    };
    let messages = &request.prompt.messages;
    assert_eq!(messages[2].parts[0].content, Content::ToolCall(call));
    let result = ToolResult {
        call_id: "call_1".into(),
        name: None,
        parts: vec![Part::text("frozen")],
        is_error: false,
    };
    assert_eq!(messages[3].parts[0].content, Content::ToolResult(result));
    let sent = encode_request(&OutwardRequest {
        model: &request.model,
        prompt: &request.prompt,
        generation: &request.generation.or(&generation()),
        dialect: Dialect::default(),
        delivery: request.delivery,
        extra: Some(&request.extra),
    });
    assert_eq!(json(&sent), json(body));
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let bodies: [&[u8]; 15] = [
        b"",
        b"{\"model\": \"geheim\" \"x\"",
        b"[]",
        br#"{"messages": []}"#,
        br#"{"model": 5}"#,
        br#"{"model": "auto"}"#,
        br#"{"model": "auto", "messages": []}"#,
        br#"{"model": "auto", "messages": ["geheim"]}"#,
        br#"{"model": "auto", "messages": [{"role": "geheim", "content": "x"}]}"#,
        br#"{"model": "auto", "messages": [{"role": "tool", "content": "geheim"}]}"#,
        br#"{"model": "auto", "messages": [{"role": "function", "content": "geheim"}]}"#,
        br#"{"model": "auto", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
        br#"{"model": "auto", "messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "geheim"}}]}]}"#,
        br#"{"model": "auto", "messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"arguments": "geheim"}}]}]}"#,
        br#"{"model": "auto", "messages": [{"role": "user"}]}"#,
    ];
    let fields = [
        r#""temperature": 2.5"#,
        r#""temperature": "geheim""#,
        r#""max_tokens": 0"#,
        r#""max_completion_tokens": 1.5"#,
        r#""max_tokens": 1, "max_completion_tokens": 2"#,
        r#""n": 17"#,
        r#""logprobs": "geheim""#,
        r#""top_logprobs": 3"#,
        r#""tools": [{"type": "function"}]"#,
        r#""tools": [{"type": "function", "function": {"name": "f", "parameters": "geheim"}}]"#,
        r#""functions": [{"name": "geheim"}]"#,
        r#""response_format": {"type": "json_schema"}"#,
        r#""reasoning_effort": "geheim""#,
        r#""logit_bias": {"geheim": 1}"#,
        r#""top_p": 1.5"#,
        r#""stop": ["a", "b", "c", "d", "e"]"#,
        r#""stop": "" "#,
        r#""seed": "geheim""#,
        r#""stream": 1"#,
        r#""stream_options": true"#,
        r#""stream_options": {"include_usage": "yes"}"#,
    ];
    let faults = bodies.iter().map(|body| parse_request(body).unwrap_err());
    let faults: Vec<Fault> = faults.chain(fields.map(refused)).collect();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(
        !told.join("\n").contains("geheim"),
        "a fault quotes the request"
    );
}

#[test]
fn a_fault_becomes_the_protocols_error_body() {
    let body = ErrorBody::from(&refused(r#""temperature": 3"#)).encode();
    insta::assert_snapshot!(body, @r#"{"error":{"message":"temperature: 3; the temperature is a number from 0 to 2, for example 0.7","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}"#);
    let error = VendorError::parse(body.as_bytes());
    assert_eq!(error.code.as_deref(), Some("invalid_value"));
}

#[test]
fn requests_to_vendors_have_the_vendors_form() {
    let prompt = Prompt::new(vec![
        Message::new(Role::System, "Say \"no\"."),
        Message::new(Role::User, "漢字 🦀"),
    ]);
    let generation = generation();
    let mut request = OutwardRequest {
        model: "gpt-x",
        prompt: &prompt,
        generation: &generation,
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: None,
    };
    let whole = encode_request(&request);
    request.delivery = Delivery::Streamed;
    request.dialect = Dialect {
        max_tokens: MaxTokensField::MaxTokens,
        sampling: Sampling::Omitted,
        ..Dialect::default()
    };
    let streamed = encode_request(&request);
    insta::assert_snapshot!(format!("{whole}\n{streamed}"));
    // What we send is what we would accept, to the bit of the seed.
    let read = parse_request(whole.as_bytes()).unwrap();
    assert_eq!(read.prompt, prompt);
    assert_eq!(read.generation.or(&generation), generation);
    assert_eq!(read.generation.seed, Some(u64::MAX));
}

#[test]
fn unknown_fields_reach_a_tier_of_the_same_protocol() {
    let request = parse_request(include_bytes!("fixtures/chat-request.json")).unwrap();
    let outward = OutwardRequest {
        model: "gpt-x",
        prompt: &request.prompt,
        generation: &request.generation.or(&generation()),
        dialect: Dialect::default(),
        delivery: request.delivery,
        extra: Some(&request.extra),
    };
    insta::assert_snapshot!(encode_request(&outward));
}

#[test]
fn whole_answers_are_read() {
    let body = include_bytes!("fixtures/chat-answer.json");
    let answer = parse_completion(body).unwrap();
    let beside = r#"{"service_tier":"default","system_fingerprint":"fp_1"}"#;
    assert_eq!(
        answer,
        Completion {
            usage: Some(domain::Usage {
                reasoning: CompletionTokens(4),
                ..usage(120, 64, 9)
            }),
            model: "gpt-x-2026".into(),
            beside: Some(Opaque {
                protocol: Protocol::OpenAiChat,
                json: beside.into(),
            }),
            ..Completion::new("money-laundering", FinishReason::Stop)
        }
    );
    let refusal = br#"{"model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": null, "refusal": "I won't."}}]}"#;
    let refusal = parse_completion(refusal).unwrap();
    assert_eq!(refusal.finish_reason, FinishReason::Refusal);
    assert_eq!((&*refusal.text(), refusal.usage), ("I won't.", None));
    // Broken usage must not lose an answer that has been paid for.
    let odd = br#"{"choices": [{"message": {"content": "x"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": "many"}}"#;
    let odd = parse_completion(odd).unwrap();
    assert_eq!((odd.finish_reason, odd.usage), (FinishReason::Length, None));
}

#[test]
fn answers_with_everything_are_read_and_written_back() {
    let body = include_str!("fixtures/chat-answer-tools.json");
    let answer = parse_completion(body.as_bytes()).unwrap();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    assert_eq!(answer.logprobs[1].top[0].token, "{");
    let calls = |part: &&Part| matches!(part.content, Content::ToolCall(_));
    assert_eq!(answer.parts.iter().filter(calls).count(), 2);
    let head = wire::chat::AnswerHead {
        id: "chatcmpl-8".into(),
        created_s: 1_700_000_001,
        model: "gpt-x-2026".into(),
    };
    let written = encode_completion(&head, &answer);
    assert_eq!(json(&written), json(body));
    // Told as a stream it is the same, but for what stands beside.
    let mut encoder = StreamEncoder::new(head, StreamUsage::Asked);
    let stream = encoded(&mut encoder, &StreamEvent::of(&answer));
    let mut streamed = put_together(read(framed(stream.as_bytes(), 5)).unwrap());
    streamed.beside.clone_from(&answer.beside);
    assert_eq!(streamed, answer);
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let none = br#"{"choices": []}"#;
    assert_eq!(parse_completion(none), Err(DecodeError::NoChoice));
    let odd = br#"{"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}"#;
    assert_eq!(parse_completion(odd), Err(DecodeError::UnknownFinish));
    let error = parse_completion(br#"{"choices": "geheim"}"#).unwrap_err();
    assert!(
        matches!(error, DecodeError::NotTheProtocol { .. }),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?}").contains("geheim"));
}

#[test]
fn streams_are_read_the_same_however_they_are_cut() {
    let stream = include_bytes!("fixtures/chat-stream.txt");
    let whole = read(framed(stream, stream.len())).unwrap();
    let spent = domain::Usage {
        reasoning: CompletionTokens(340),
        ..usage(12, 11, 342)
    };
    let unknown = |json: &str| {
        StreamEvent::Unknown(Opaque {
            protocol: Protocol::OpenAiChat,
            json: json.into(),
        })
    };
    assert_eq!(
        whole,
        [
            unknown(r#"{"chunk":{"prompt_filter_results":[]}}"#),
            unknown(r#"{"chunk":{}}"#),
            StreamEvent::Start {
                model: "gpt-x-2026".into(),
                usage: None
            },
            StreamEvent::Reasoning("hm".into()),
            text("Grüße"),
            unknown(r#"{"event":{"name":"ping","data":"{\"type\": \"ping\"}"}}"#),
            text(" 漢"),
            text("字 🦀"),
            StreamEvent::End(StreamEnd {
                finish_reason: FinishReason::Stop,
                stop_sequence: None,
                usage: Some(spent),
                model: "gpt-x-2026".into(),
            }),
        ]
    );
    for chunk_bytes in 1..64 {
        assert_eq!(read(framed(stream, chunk_bytes)).unwrap(), whole);
    }
}

#[test]
fn streamed_tool_calls_are_put_together_whatever_their_numbers() {
    let chunk = |calls: &str| {
        data(&format!(
            r#"{{"choices": [{{"delta": {{"tool_calls": [{calls}]}}}}]}}"#
        ))
    };
    let finish = data(r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#);
    let numbered = [
        chunk(r#"{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}"#),
        chunk(r#"{"index": 0, "function": {"arguments": "{\"x\":"}}"#),
        chunk(r#"{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}"#),
        chunk(
            r#"{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": "}"}}"#,
        ),
        finish.clone(),
    ];
    let unnumbered = [
        chunk(
            r#"{"id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}}, {"id": "b", "function": {"name": "g", "arguments": "{}"}}"#,
        ),
        finish,
    ];
    for events in [numbered.to_vec(), unnumbered.to_vec()] {
        let completion = put_together(read(events).unwrap());
        // Some servers say that an answer with calls has stopped as any other.
        assert_eq!(completion.finish_reason, FinishReason::ToolCalls);
        let calls = completion.parts.iter().map(|part| match &part.content {
            Content::ToolCall(call) => (call.id.as_str(), call.name.as_str(), &*call.arguments),
            other => panic!("{other:?}"),
        });
        let calls: Vec<_> = calls.collect();
        assert_eq!(calls, [("a", "f", "{\"x\":1}"), ("b", "g", "{}")]);
    }
}

#[test]
fn a_stream_that_breaks_is_no_answer() {
    let text = r#"{"choices": [{"delta": {"content": "x"}}]}"#;
    let finish = r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#;
    let error = r#"{"error": {"message": "busy", "type": "server_error", "code": "overloaded"}}"#;
    let ended = |events: &[&str]| read(events.iter().map(|event| data(event)));
    assert_eq!(ended(&[text]), Err(DecodeError::Unfinished));
    assert_eq!(ended(&[text, "[DONE]"]), Err(DecodeError::Unfinished));
    assert!(matches!(
        ended(&["geheim"]),
        Err(DecodeError::NotTheProtocol { .. })
    ));
    let Err(DecodeError::Vendor(vendor)) = ended(&[text, error]) else {
        panic!("an error within the stream is not seen");
    };
    assert_eq!(vendor.code.as_deref(), Some("overloaded"));
    // Some servers close the connection instead of sending the end mark.
    let closed = put_together(ended(&[text, finish]).unwrap());
    assert_eq!(closed.finish_reason, FinishReason::Stop);
}

#[test]
fn events_that_are_not_known_are_passed_over_and_usage_is_never_summed() {
    let named = Event {
        name: Some("ping".into()),
        data: "no json".into(),
    };
    let usage_of = |tokens: u32| {
        data(&format!(
            r#"{{"choices": [], "usage": {{"prompt_tokens": 5, "completion_tokens": {tokens}}}}}"#
        ))
    };
    let finish = data(r#"{"choices": [{"delta": {}, "finish_reason": "length"}]}"#);
    let other_choice = data(r#"{"choices": [{"index": 1, "delta": {"content": "z"}}]}"#);
    let events = [
        named,
        usage_of(1),
        other_choice,
        usage_of(3),
        finish,
        data("{}"),
    ];
    let completion = put_together(read(events).unwrap());
    assert!(completion.parts.is_empty());
    assert_eq!(completion.usage, Some(usage(5, 0, 3)));
}

#[test]
fn a_streamed_refusal_is_told_apart_from_an_answer() {
    let refusal = data(r#"{"choices": [{"delta": {"refusal": "I won't."}}]}"#);
    let finish = data(r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#);
    let completion = put_together(read([refusal, finish]).unwrap());
    assert_eq!(completion.text(), "I won't.");
    assert_eq!(completion.finish_reason, FinishReason::Refusal);
}

#[test]
fn our_answers_have_the_protocols_form_and_are_read_back() {
    let completion = completion("Größe 🦀\n\"ja\"", FinishReason::Stop);
    let body = encode_completion(&head(), &completion);
    insta::assert_snapshot!(body);
    assert_eq!(parse_completion(body.as_bytes()).unwrap(), completion);
}

#[test]
fn our_streams_have_the_protocols_form_and_are_read_back() {
    for asked in [StreamUsage::Asked, StreamUsage::NotAsked] {
        let mut encoder = StreamEncoder::new(head(), asked);
        let spent = usage(10, 0, 3);
        let events = [
            text("Grüße\r\n"),
            text("🦀"),
            end(FinishReason::Length, Some(spent)),
        ];
        let stream = encoded(&mut encoder, &events);
        insta::assert_snapshot!(
            match asked {
                StreamUsage::Asked => "stream_with_usage",
                StreamUsage::NotAsked => "stream_without_usage",
            },
            stream
        );
        let read_back = put_together(read(framed(stream.as_bytes(), 7)).unwrap());
        assert_eq!(read_back.text(), "Grüße\r\n🦀");
        assert_eq!(read_back.finish_reason, FinishReason::Length);
        assert_eq!(
            read_back.usage,
            (asked == StreamUsage::Asked).then_some(spent)
        );
    }
}

#[test]
fn reasoning_stands_where_compatible_servers_have_it() {
    let reasoning = Reasoning {
        text: "hm".into(),
        signature: None,
        is_redacted: false,
    };
    let parts = vec![
        Part::new(Content::Reasoning(reasoning)),
        Part::text("Answer"),
    ];
    let completion = Completion {
        model: "task:flag".into(),
        ..Completion::of_parts(parts, FinishReason::Stop)
    };
    let body = encode_completion(&head(), &completion);
    assert!(body.contains(r#""reasoning_content":"hm""#), "{body}");
    assert_eq!(parse_completion(body.as_bytes()).unwrap(), completion);
}

#[test]
fn a_broken_stream_of_ours_is_seen_to_be_broken() {
    let mut encoder = StreamEncoder::new(head(), StreamUsage::NotAsked);
    let error = ErrorBody {
        message: "the tier went away".into(),
        kind: "server_error",
        param: None,
        code: Some("tier_unavailable".into()),
    };
    let mut stream = encoded(&mut encoder, &[text("x")]);
    encoder.error(&error, &mut stream);
    assert!(matches!(
        read(framed(stream.as_bytes(), 16)),
        Err(DecodeError::Vendor(_))
    ));
}

#[test]
fn the_list_of_models_has_the_protocols_form() {
    let entry = ModelEntry {
        id: "auto".into(),
        created_s: 1_700_000_000,
        owned_by: "tiergate".into(),
    };
    insta::assert_snapshot!(encode_models(&[entry]), @r#"{"object":"list","data":[{"id":"auto","object":"model","created":1700000000,"owned_by":"tiergate"}]}"#);
}
