//! Anthropic's messages.

use domain::{
    Completion, Content, FinishReason, Message, Part, Prompt, PromptTokens, ReasoningDepth, Role,
    StreamEvent, ToolChoice, ToolResult,
};
use wire::anthropic::messages::{
    ChunkReader, StreamEncoder, encode_completion, encode_count, encode_count_request,
    encode_request, parse_completion, parse_count, parse_count_request, parse_request,
};
use wire::anthropic::models::{ModelEntry, encode_model, encode_models};
use wire::chat::{
    AnswerHead, ChatRequest, DecodeError, Delivery, Dialect, ErrorBody, OutwardRequest, VendorError,
};
use wire::fault::FaultKind;
use wire::sse::Event;

use crate::values::{data, framed, generation, head, json, put_together, told, usage};

fn read(events: impl IntoIterator<Item = Event>) -> Result<Vec<StreamEvent>, DecodeError> {
    told(events, ChunkReader::default())
}

fn encoded(head: AnswerHead, events: &[StreamEvent]) -> String {
    let mut encoder = StreamEncoder::new(head);
    let mut stream = String::new();
    for event in events {
        encoder.event(event, &mut stream);
    }
    stream
}

fn sent_on(request: &ChatRequest) -> String {
    crate::values::sent_on(request, encode_request)
}

#[test]
fn a_request_with_everything_comes_back_as_it_came() {
    let body = include_str!("fixtures/anthropic-request.json");
    let request = parse_request(body.as_bytes()).unwrap();
    assert_eq!(request.delivery, Delivery::Streamed);
    let messages = &request.prompt.messages;
    assert_eq!(messages[0].role, Role::System);
    let result = ToolResult {
        call_id: "toolu_1".into(),
        name: None,
        parts: vec![Part::text("frozen")],
        is_error: true,
    };
    assert_eq!(messages[3].parts[0].content, Content::ToolResult(result));
    let options = &request.generation.options;
    assert_eq!(options.reasoning, Some(ReasoningDepth::Low));
    assert_eq!(options.parallel_tool_calls, Some(false));
    let named = ToolChoice::Named("look_up".into());
    assert_eq!(options.tool_choice, Some(named));
    assert_eq!(json(&sent_on(&request)), json(body));
}

#[test]
fn what_only_this_protocol_understands_is_named_to_others() {
    let body = include_str!("fixtures/anthropic-request.json");
    let mut request = parse_request(body.as_bytes()).unwrap();
    let refused = |request: &ChatRequest| {
        let fault = request.extra.refusal(&request.prompt);
        fault.map(|fault| (fault.kind, fault.path))
    };
    let unsupported = |path: &str| Some((FaultKind::Unsupported, path.to_owned()));
    assert_eq!(
        refused(&request),
        unsupported("messages[1].content[3].citations")
    );
    request.prompt.messages.drain(1..3);
    assert_eq!(refused(&request), unsupported("tools[2]"));
    request.prompt.tools.pop();
    // Marks for the vendor's cache and words about thinking are no loss.
    assert_eq!(refused(&request), None);
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let bodies: [&[u8]; 5] = [
        br#"{"model": "m", "messages": [{"role": "user", "content": "geheim"}]}"#,
        br#"{"model": "m", "max_tokens": 5, "messages": [{"role": "geheim", "content": "x"}]}"#,
        br#"{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [{"text": "geheim"}]}]}"#,
        br#"{"model": "m", "max_tokens": 5, "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": "geheim"}]}]}"#,
        br#"{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "geheim"}]}]}"#,
    ];
    let fields = [
        r#""temperature": 1.5"#,
        r#""system": 5"#,
        r#""stop_sequences": "geheim""#,
        r#""tools": [{"name": "f", "input_schema": "geheim"}]"#,
        r#""tool_choice": {"type": "geheim"}"#,
        r#""thinking": {"type": "enabled"}"#,
        r#""output_config": {"effort": "geheim"}"#,
    ];
    let with = |field: &str| {
        format!(
            r#"{{"model": "m", "max_tokens": 5, "messages": [{{"role": "user", "content": "geheim"}}], {field}}}"#
        )
    };
    let faults = bodies.iter().map(|body| parse_request(body).unwrap_err());
    let of_fields = fields.map(|field| parse_request(with(field).as_bytes()).unwrap_err());
    let told: Vec<String> = faults.chain(of_fields).map(|it| it.to_string()).collect();
    let told = told.join("\n");
    insta::assert_snapshot!(told);
    assert!(!told.contains("geheim"), "a fault quotes the request");
}

#[test]
fn a_conversation_of_another_protocol_has_this_ones_form() {
    let call = |id: &str| {
        Part::new(Content::ToolCall(domain::ToolCall {
            id: id.into(),
            name: "look_up".into(),
            arguments: "no json".into(),
            signature: None,
        }))
    };
    let result = |id: &str| {
        let result = ToolResult {
            call_id: id.into(),
            name: None,
            parts: vec![Part::text("42")],
            is_error: false,
        };
        Message::of_parts(Role::User, vec![Part::new(Content::ToolResult(result))])
    };
    let thought = Part::new(Content::Reasoning(domain::Reasoning {
        text: "unsealed".into(),
        signature: None,
        is_redacted: false,
    }));
    let mut prompt = Prompt::new(vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "Ask twice."),
        Message::of_parts(
            Role::Assistant,
            vec![thought, Part::text(""), call("a"), call("b")],
        ),
        result("a"),
        result("b"),
        Message::new(Role::User, "Well?"),
    ]);
    prompt.tools = vec![domain::Tool::new("look_up", r#"{"type": "object"}"#)];
    let mut generation = generation();
    generation.options.reasoning = Some(ReasoningDepth::Budget(domain::CompletionTokens(1_024)));
    let body = encode_request(&OutwardRequest {
        model: "claude-x",
        prompt: &prompt,
        generation: &generation,
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: None,
    });
    insta::assert_snapshot!(body);
    let read = parse_request(body.as_bytes()).unwrap();
    assert_eq!(read.prompt.messages.len(), 4);
}

#[test]
fn answers_are_read_and_written_back() {
    let body = include_str!("fixtures/anthropic-answer.json");
    let answer = parse_completion(body.as_bytes()).unwrap();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    // What the cache supplied or took in is in the domain's count and not in the vendor's.
    let spent = domain::Usage {
        cache_write_prompt: PromptTokens(20),
        reasoning: domain::CompletionTokens(12),
        ..usage(120, 90, 30)
    };
    assert_eq!(answer.usage, Some(spent));
    assert_eq!(answer.text(), "Größe 漢字 🦀");
    let head = AnswerHead {
        id: "msg_1".into(),
        created_s: 0,
        model: "claude-x-2026".into(),
    };
    assert_eq!(json(&encode_completion(&head, &answer)), json(body));
    let error = br#"{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}"#;
    assert!(matches!(
        parse_completion(error),
        Err(DecodeError::Vendor(_))
    ));
    let odd = br#"{"type": "message", "content": [], "stop_reason": "tired"}"#;
    assert_eq!(parse_completion(odd), Err(DecodeError::UnknownFinish));
}

/// The answer of the fixture, as a stream can tell it.
fn answer() -> Completion {
    let body = include_bytes!("fixtures/anthropic-answer.json");
    Completion {
        beside: None,
        ..parse_completion(body).unwrap()
    }
}

#[test]
fn streams_are_read_the_same_however_they_are_cut() {
    let stream = include_bytes!("fixtures/anthropic-stream.txt");
    let whole = read(framed(stream, stream.len())).unwrap();
    assert_eq!(put_together(whole.clone()), answer());
    for chunk_bytes in 1..64 {
        assert_eq!(read(framed(stream, chunk_bytes)).unwrap(), whole);
    }
}

#[test]
fn our_streams_have_the_protocols_form_and_are_read_back() {
    let vendors = include_bytes!("fixtures/anthropic-stream.txt");
    let told = read(framed(vendors, vendors.len())).unwrap();
    let stream = encoded(head(), &told);
    insta::assert_snapshot!(stream);
    let again = |stream: &str| put_together(read(framed(stream.as_bytes(), 7)).unwrap());
    let expected = Completion {
        model: "task:flag".into(),
        ..answer()
    };
    assert_eq!(again(&stream), expected);
    // So it is when the answer was there before it was asked for as a stream.
    let at_once = encoded(head(), &StreamEvent::of(&answer()));
    assert_eq!(again(&at_once), expected);
}

#[test]
fn a_stream_that_breaks_is_no_answer() {
    let start =
        r#"{"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}"#;
    let block = r#"{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "x"}}"#;
    let error = r#"{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}"#;
    let delta = r#"{"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}, "usage": {"output_tokens": 4}}"#;
    let ended = |events: &[&str]| read(events.iter().map(|event| data(event)));
    assert_eq!(ended(&[start, block]), Err(DecodeError::Unfinished));
    assert_eq!(ended(&[start, block, start]), Err(DecodeError::Restarted));
    assert!(matches!(
        ended(&["x"]),
        Err(DecodeError::NotTheProtocol { .. })
    ));
    let Err(DecodeError::Vendor(vendor)) = ended(&[start, block, error]) else {
        panic!("an error within the stream is not seen");
    };
    assert_eq!(vendor.kind.as_deref(), Some("overloaded_error"));
    let whole = put_together(ended(&[start, start, block, delta]).unwrap());
    assert_eq!(whole.stop_sequence.as_deref(), Some("END"));
    // Each report replaces what it names and keeps the rest: never the sum.
    assert_eq!(whole.usage, Some(usage(3, 0, 4)));
}

#[test]
fn errors_have_the_protocols_form() {
    let error = ErrorBody {
        message: "the tier went away".into(),
        kind: "server_error",
        param: None,
        code: None,
    };
    insta::assert_snapshot!(error.encode_anthropic(529, Some("req_1")), @r#"{"type":"error","error":{"type":"overloaded_error","message":"the tier went away"},"request_id":"req_1"}"#);
    let mut stream = String::new();
    StreamEncoder::new(head()).error(&error, 500, &mut stream);
    let told = read(framed(stream.as_bytes(), 9));
    let Err(DecodeError::Vendor(VendorError { kind, .. })) = told else {
        panic!("a broken stream is not seen to be broken");
    };
    assert_eq!(kind.as_deref(), Some("api_error"));
}

#[test]
fn tokens_are_counted_for_a_request_without_a_limit() {
    let body =
        br#"{"model": "m", "system": "Be brief.", "messages": [{"role": "user", "content": "x"}]}"#;
    let request = parse_count_request(body).unwrap();
    let sent = encode_count_request(&OutwardRequest {
        model: &request.model,
        prompt: &request.prompt,
        generation: &request.generation.or(&generation()),
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: None,
    });
    assert_eq!(json(&sent), json(std::str::from_utf8(body).unwrap()));
    assert_eq!(
        parse_count(encode_count(PromptTokens(7)).as_bytes()),
        Ok(PromptTokens(7))
    );
}

#[test]
fn the_list_of_models_has_the_protocols_form() {
    let entry = ModelEntry {
        id: "auto".into(),
        display_name: "auto".into(),
        created_at: "2026-01-01T00:00:00Z".into(),
    };
    let models = [entry.clone()];
    insta::assert_snapshot!(encode_models(&models), @r#"{"data":[{"type":"model","id":"auto","display_name":"auto","created_at":"2026-01-01T00:00:00Z"}],"has_more":false,"first_id":"auto","last_id":"auto"}"#);
    assert!(encode_models(&[]).contains(r#""first_id":null"#));
    assert!(encode_model(&entry).contains(r#""type":"model""#));
}
