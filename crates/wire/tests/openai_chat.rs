//! The OpenAI chat protocol in all four directions, from fixtures of our own and, where it is at
//! hand, from recorded answers of vendors.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use domain::{
    Completion, CompletionTokens, FinishReason, Generation, Message, Prompt, PromptTokens, Role,
    Usage,
};
use wire::fault::{Fault, FaultKind};
use wire::openai::chat::{
    AnswerHead, ChunkReader, DecodeError, Delivery, Dialect, MaxTokensField, OutwardRequest, Piece,
    Sampling, StreamEncoder, StreamEnd, StreamUsage, encode_completion, parse_completion,
    parse_request,
};
use wire::openai::error::{ErrorBody, VendorError};
use wire::openai::models::{ModelEntry, encode_models};
use wire::sse::{Event, Framer};

fn generation() -> Generation {
    Generation {
        max_completion_tokens: CompletionTokens(64),
        temperature: 0.7,
        seed: u64::MAX,
        stop: vec!["\n".into()],
    }
}

fn usage(prompt: u64, cached: u64, completion: u64) -> Usage {
    Usage {
        prompt: PromptTokens(prompt),
        cached_prompt: PromptTokens(cached),
        completion: CompletionTokens(completion),
    }
}

fn head() -> AnswerHead {
    AnswerHead {
        id: "chatcmpl-1".into(),
        created_s: 1_700_000_000,
        model: "task:flag".into(),
    }
}

fn refused(fields: &str) -> Fault {
    let comma = if fields.is_empty() { "" } else { ", " };
    let body = format!(
        r#"{{"model": "auto", "messages": [{{"role": "user", "content": "geheim"}}]{comma}{fields}}}"#
    );
    parse_request(body.as_bytes()).unwrap_err()
}

/// The stream's pieces of text and its end.
fn read_stream(stream: &[u8], chunk_bytes: usize) -> Result<(Vec<String>, StreamEnd), DecodeError> {
    let mut framer = Framer::new(1 << 20);
    let mut events = VecDeque::new();
    for part in stream.chunks(chunk_bytes) {
        framer.push(part, &mut events).unwrap();
    }
    read_events(events)
}

fn read_events(
    events: impl IntoIterator<Item = Event>,
) -> Result<(Vec<String>, StreamEnd), DecodeError> {
    let mut reader = ChunkReader::default();
    let mut texts = Vec::new();
    for event in events {
        match reader.read(&event)? {
            Piece::Text(text) => texts.push(text),
            Piece::Nothing => {}
            Piece::Done => break,
        }
    }
    Ok((texts, reader.finish()?))
}

fn data(data: &str) -> Event {
    Event {
        name: None,
        data: data.into(),
    }
}

#[test]
fn a_full_request_is_read() {
    let request = parse_request(include_bytes!("fixtures/chat-request.json")).unwrap();
    assert_eq!(request.model, "task:flag");
    assert_eq!(
        request.prompt.messages,
        [
            Message::new(Role::System, "Answer with one word."),
            Message::new(Role::User, "first\nsecond"),
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
    let aside = [r#"{"top_p":1.0,"user":"teller-7"}"#, r#"{"name":"teller"}"#];
    assert_eq!(request.extra.size_bytes(), aside.concat().len());
    insta::assert_snapshot!(request.extra.refusal().unwrap(), @"messages[1].name: the tier that answers knows no such field; leave it out, or ask for a tier that speaks the OpenAI protocol");
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
        "messages": [{"role": "user", "content": "x"},
                     {"role": "assistant", "content": "y", "refusal": null, "annotations": []}]}"#;
    let request = parse_request(body).unwrap();
    assert_eq!(request.extra.refusal(), None);
    let body =
        br#"{"model": "auto", "top_p": 0.5, "messages": [{"role": "user", "content": "x"}]}"#;
    let fault = parse_request(body).unwrap().extra.refusal().unwrap();
    assert_eq!(
        (fault.kind, fault.path.as_str()),
        (FaultKind::Unsupported, "top_p")
    );
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let bodies: [&[u8]; 12] = [
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
        br#"{"model": "auto", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
        br#"{"model": "auto", "messages": [{"role": "user"}]}"#,
    ];
    let fields = [
        r#""temperature": 2.5"#,
        r#""temperature": "geheim""#,
        r#""max_tokens": 0"#,
        r#""max_completion_tokens": 1.5"#,
        r#""max_tokens": 1, "max_completion_tokens": 2"#,
        r#""n": 2"#,
        r#""logprobs": true"#,
        r#""tools": [{"type": "function"}]"#,
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
    let prompt = Prompt {
        messages: vec![
            Message::new(Role::System, "Say \"no\"."),
            Message::new(Role::User, "漢字 🦀"),
        ],
    };
    let generation = generation();
    let mut request = OutwardRequest {
        model: "gpt-x",
        prompt: &prompt,
        generation: &generation,
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: None,
    };
    let whole = request.encode();
    request.delivery = Delivery::Streamed;
    request.dialect = Dialect {
        max_tokens: MaxTokensField::MaxTokens,
        sampling: Sampling::Omitted,
    };
    let streamed = request.encode();
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
    insta::assert_snapshot!(outward.encode());
}

#[test]
fn whole_answers_are_read() {
    let body = include_bytes!("fixtures/chat-answer.json");
    assert_eq!(
        parse_completion(body).unwrap(),
        Completion {
            text: "money-laundering".into(),
            finish_reason: FinishReason::Stop,
            usage: Some(usage(120, 64, 9)),
            model: "gpt-x-2026".into(),
        }
    );
    let refusal = br#"{"model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": null, "refusal": "I won't."}}]}"#;
    let refusal = parse_completion(refusal).unwrap();
    assert_eq!(refusal.finish_reason, FinishReason::ContentFilter);
    assert_eq!((refusal.text.as_str(), refusal.usage), ("I won't.", None));
    // Broken usage must not lose an answer that has been paid for.
    let odd = br#"{"choices": [{"message": {"content": "x"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": "many"}}"#;
    let odd = parse_completion(odd).unwrap();
    assert_eq!((odd.finish_reason, odd.usage), (FinishReason::Length, None));
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
    let (texts, end) = read_stream(stream, stream.len()).unwrap();
    assert_eq!(texts, ["Grüße", " 漢", "字 🦀"]);
    assert_eq!(
        end,
        StreamEnd {
            finish_reason: FinishReason::Stop,
            usage: Some(usage(12, 11, 342)),
            model: "gpt-x-2026".into(),
        }
    );
    for chunk_bytes in 1..64 {
        assert_eq!(
            read_stream(stream, chunk_bytes).unwrap(),
            (texts.clone(), end.clone())
        );
    }
}

#[test]
fn a_stream_that_breaks_is_no_answer() {
    let text = r#"{"choices": [{"delta": {"content": "x"}}]}"#;
    let finish = r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#;
    let error = r#"{"error": {"message": "busy", "type": "server_error", "code": "overloaded"}}"#;
    let ended = |events: &[&str]| read_events(events.iter().map(|event| data(event)));
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
    assert_eq!(
        ended(&[text, finish]).unwrap().1.finish_reason,
        FinishReason::Stop
    );
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
    let (texts, end) = read_events(events).unwrap();
    assert!(texts.is_empty());
    assert_eq!(end.usage, Some(usage(5, 0, 3)));
}

#[test]
fn a_streamed_refusal_is_told_apart_from_an_answer() {
    let refusal = data(r#"{"choices": [{"delta": {"refusal": "I won't."}}]}"#);
    let finish = data(r#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#);
    let (texts, end) = read_events([refusal, finish]).unwrap();
    assert_eq!(texts, ["I won't."]);
    assert_eq!(end.finish_reason, FinishReason::ContentFilter);
}

#[test]
fn our_answers_have_the_protocols_form_and_are_read_back() {
    let completion = Completion {
        text: "Größe 🦀\n\"ja\"".into(),
        finish_reason: FinishReason::Stop,
        usage: Some(usage(10, 4, 3)),
        model: "task:flag".into(),
    };
    let body = encode_completion(&head(), &completion);
    insta::assert_snapshot!(body);
    assert_eq!(parse_completion(body.as_bytes()).unwrap(), completion);
}

#[test]
fn our_streams_have_the_protocols_form_and_are_read_back() {
    for asked in [StreamUsage::Asked, StreamUsage::NotAsked] {
        let encoder = StreamEncoder::new(head(), asked);
        let spent = usage(10, 0, 3);
        let stream = [
            encoder.start(),
            encoder.text("Grüße\r\n"),
            encoder.text("🦀"),
            encoder.end(FinishReason::Length, Some(&spent)),
        ]
        .concat();
        insta::assert_snapshot!(
            match asked {
                StreamUsage::Asked => "stream_with_usage",
                StreamUsage::NotAsked => "stream_without_usage",
            },
            stream
        );
        let (texts, end) = read_stream(stream.as_bytes(), 7).unwrap();
        assert_eq!(texts.concat(), "Grüße\r\n🦀");
        assert_eq!(end.finish_reason, FinishReason::Length);
        assert_eq!(end.usage, (asked == StreamUsage::Asked).then_some(spent));
    }
}

#[test]
fn a_broken_stream_of_ours_is_seen_to_be_broken() {
    let encoder = StreamEncoder::new(head(), StreamUsage::NotAsked);
    let error = ErrorBody {
        message: "the tier went away".into(),
        kind: "server_error",
        param: None,
        code: Some("tier_unavailable".into()),
    };
    let stream = [encoder.start(), encoder.text("x"), encoder.error(&error)].concat();
    assert!(matches!(
        read_stream(stream.as_bytes(), 16),
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

#[test]
fn every_recorded_answer_of_vendors_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire");
    let folders = ["openai/chat", "openai-compatible/chat"].map(|folder| root.join(folder));
    if !folders.iter().all(|folder| folder.is_dir()) {
        eprintln!("skipped: no recorded answers beside this checkout");
        return;
    }
    let mut read = 0;
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
            check_recording(&entry.unwrap().path());
            read += 1;
        }
    }
    assert!(read >= 8, "only {read} recordings found");
}

fn check_recording(path: &Path) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    if name.contains("error") {
        let error = VendorError::parse(text.as_bytes());
        assert!(
            error.code.is_some() && error.message.is_some(),
            "{name}: {error:?}"
        );
        return;
    }
    let (said, reason, usage) = if name.ends_with(".chunks.txt") {
        let (texts, end) = read_events(text.lines().map(data)).unwrap();
        (texts.concat(), end.finish_reason, end.usage)
    } else {
        let answer = parse_completion(text.as_bytes()).unwrap();
        (answer.text, answer.finish_reason, answer.usage)
    };
    let usage = usage.unwrap_or_else(|| panic!("{name}: no usage"));
    assert!(
        usage.prompt.0 > 0 && usage.completion.0 > 0,
        "{name}: {usage:?}"
    );
    assert!(usage.cached_prompt <= usage.prompt, "{name}: {usage:?}");
    match reason {
        FinishReason::ToolCalls => assert!(name.contains("tool-call"), "{name}"),
        _ => assert!(!said.is_empty(), "{name}: no text"),
    }
}
