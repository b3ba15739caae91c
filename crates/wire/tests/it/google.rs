//! Google's generateContent.

use domain::{
    Completion, Content, FinishReason, Message, Part, Prompt, PromptTokens, ReasoningDepth, Role,
    StreamEvent, ToolCall, ToolChoice, ToolResult,
};
use wire::chat::{
    AnswerHead, ChatRequest, DecodeError, Delivery, Dialect, ErrorBody, OutwardRequest, VendorError,
};
use wire::fault::FaultKind;
use wire::google::generate::{
    ChunkReader, Framing, StreamEncoder, encode_completion, encode_count, encode_count_request,
    encode_request, parse_completion, parse_count, parse_count_request, parse_request,
};
use wire::google::path::{Method, Target};
use wire::sse::Event;

use crate::values::{data, framed, generation, head, json, put_together, told, usage};

fn target(method: Method) -> Target {
    Target {
        model: "gemini-x".into(),
        method,
    }
}

fn read(events: impl IntoIterator<Item = Event>) -> Result<Vec<StreamEvent>, DecodeError> {
    told(events, ChunkReader::default())
}

fn encoded(head: AnswerHead, framing: Framing, events: &[StreamEvent]) -> String {
    let mut encoder = StreamEncoder::new(head, framing);
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
    let body = include_str!("fixtures/google-request.json");
    let streamed = target(Method::StreamGenerateContent);
    let request = parse_request(&streamed, body.as_bytes()).unwrap();
    assert_eq!(request.delivery, Delivery::Streamed);
    let messages = &request.prompt.messages;
    assert_eq!(messages[0], Message::new(Role::System, "Use the tools."));
    // Responses find the calls that they answer, which have no names of their own.
    let ids = |parts: &[Part]| {
        let id = |part: &Part| match &part.content {
            Content::ToolCall(call) => Some(call.id.clone()),
            Content::ToolResult(result) => Some(result.call_id.clone()),
            _ => None,
        };
        parts.iter().filter_map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&messages[2].parts).len(), 3);
    assert_eq!(ids(&messages[2].parts), ids(&messages[3].parts));
    let options = &request.generation.options;
    assert_eq!(
        options.tool_choice,
        Some(ToolChoice::Named("look_up".into()))
    );
    let budget = ReasoningDepth::Budget(domain::CompletionTokens(1_024));
    assert_eq!(options.reasoning, Some(budget));
    assert_eq!(json(&sent_on(&request)), json(body));
}

#[test]
fn names_of_fields_may_be_written_with_lines() {
    let body = br#"{"system_instruction": {"parts": [{"text": "s"}]},
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA=="}}]}],
        "generation_config": {"max_output_tokens": 5, "top_k": 3.0}}"#;
    let request = parse_request(&target(Method::GenerateContent), body).unwrap();
    let sent = json(&sent_on(&request));
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "s");
    let data = &sent["contents"][0]["parts"][0]["inlineData"];
    assert_eq!(data["mimeType"], "image/png");
    assert_eq!(sent["generationConfig"]["topK"], 3);
    assert_eq!(request.extra.refusal(&request.prompt), None);
}

#[test]
fn a_schema_of_this_protocol_becomes_one_that_all_know() {
    let body = include_bytes!("fixtures/google-request.json");
    let request = parse_request(&target(Method::GenerateContent), body).unwrap();
    let sent = wire::openai::chat::encode_request(&OutwardRequest {
        model: "gpt-x",
        prompt: &request.prompt,
        generation: &request.generation.or(&generation()),
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: Some(&request.extra),
    });
    let tool = &json(&sent)["tools"][0]["function"];
    let expected = r#"{"type":"object","properties":{"iban":{"type":["string","null"]}}}"#;
    assert_eq!(tool["parameters"], json(expected));
}

#[test]
fn what_only_this_protocol_understands_is_named_to_others() {
    let body = include_bytes!("fixtures/google-request.json");
    let request = parse_request(&target(Method::GenerateContent), body).unwrap();
    let fault = request.extra.refusal(&request.prompt).unwrap();
    assert_eq!(fault.kind, FaultKind::Unsupported);
    assert_eq!(fault.path, "generationConfig.mediaResolution");
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let bodies: [&[u8]; 9] = [
        br#"{"contents": []}"#,
        br#"{"contents": [{"role": "geheim", "parts": []}]}"#,
        br#"{"contents": [{"parts": "geheim"}]}"#,
        br#"{"contents": [{"parts": [{"functionResponse": {"response": {}}}]}]}"#,
        br#"{"contents": ["geheim"], "generationConfig": {"temperature": 3}}"#,
        br#"{"contents": ["geheim"], "generationConfig": {"candidateCount": 17}}"#,
        br#"{"contents": ["geheim"], "generationConfig": {"thinkingConfig": {"thinkingLevel": "geheim"}}}"#,
        br#"{"contents": ["geheim"], "tools": [{"functionDeclarations": [{"name": 5}]}]}"#,
        br#"{"contents": ["geheim"], "toolConfig": {"functionCallingConfig": {"mode": "geheim"}}}"#,
    ];
    let target = target(Method::GenerateContent);
    let faults = bodies.map(|body| parse_request(&target, body).unwrap_err().to_string());
    let told = faults.join("\n");
    insta::assert_snapshot!(told);
    assert!(!told.contains("geheim"), "a fault quotes the request");
}

#[test]
fn a_conversation_of_another_protocol_has_this_ones_form() {
    let call = |id: &str| {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: "look_up".into(),
            arguments: r#"{"x": 1}"#.into(),
            signature: None,
        }))
    };
    let result = |id: &str, text: &str| {
        let result = ToolResult {
            call_id: id.into(),
            name: None,
            parts: vec![Part::text(text)],
            is_error: false,
        };
        Message::of_parts(Role::User, vec![Part::new(Content::ToolResult(result))])
    };
    let mut prompt = Prompt::new(vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "Ask twice."),
        Message::of_parts(Role::Assistant, vec![call("a"), call("b")]),
        result("a", "42"),
        result("b", r#"{"y": 2}"#),
        Message::new(Role::User, "Well?"),
    ]);
    prompt.tools = vec![domain::Tool::new("look_up", r#"{"type": "object"}"#)];
    let mut generation = generation();
    generation.options.reasoning = Some(ReasoningDepth::Low);
    let body = |model| {
        encode_request(&OutwardRequest {
            model,
            prompt: &prompt,
            generation: &generation,
            dialect: Dialect::default(),
            delivery: Delivery::Whole,
            extra: None,
        })
    };
    insta::assert_snapshot!(format!("{}\n{}", body("gemini-2.5-x"), body("gemini-3-x")));
}

/// The answer of the fixture; the call that has no name in it gets one.
fn answer() -> Completion {
    parse_completion(include_bytes!("fixtures/google-answer.json")).unwrap()
}

#[test]
fn answers_are_read_and_written_back() {
    let body = include_str!("fixtures/google-answer.json");
    let answer = answer();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    let spent = domain::Usage {
        reasoning: domain::CompletionTokens(12),
        ..usage(120, 64, 42)
    };
    assert_eq!(answer.usage, Some(spent));
    let head = AnswerHead {
        id: "r-1".into(),
        created_s: 0,
        model: "gemini-x-2026".into(),
    };
    assert_eq!(json(&encode_completion(&head, &answer)), json(body));
}

#[test]
fn a_blocked_prompt_has_an_empty_answer_and_a_broken_one_none() {
    let blocked = br#"{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}"#;
    let answer = parse_completion(blocked).unwrap();
    assert_eq!(answer.finish_reason, FinishReason::ContentFilter);
    assert_eq!(
        (answer.parts.len(), answer.usage),
        (0, Some(usage(4, 0, 0)))
    );
    let event = data(std::str::from_utf8(blocked).unwrap());
    let streamed = put_together(read([event]).unwrap());
    assert_eq!(streamed.finish_reason, FinishReason::ContentFilter);
    assert_eq!(parse_completion(b"{}"), Err(DecodeError::NoChoice));
    let malformed = br#"{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}"#;
    assert_eq!(parse_completion(malformed), Err(DecodeError::UnknownFinish));
    let error = br#"{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}"#;
    let Err(DecodeError::Vendor(vendor)) = parse_completion(error) else {
        panic!("an error is taken for an answer");
    };
    assert_eq!(vendor.kind.as_deref(), Some("UNAVAILABLE"));
}

#[test]
fn streams_are_read_the_same_however_they_are_cut() {
    let stream = include_bytes!("fixtures/google-stream.txt");
    let whole = read(framed(stream, stream.len())).unwrap();
    assert_eq!(put_together(whole.clone()), answer());
    for chunk_bytes in 1..64 {
        assert_eq!(read(framed(stream, chunk_bytes)).unwrap(), whole);
    }
    // Without a finish reason the stream was cut.
    let mut events = framed(stream, stream.len());
    events.pop_back();
    assert_eq!(read(events), Err(DecodeError::Unfinished));
}

#[test]
fn our_streams_have_the_protocols_form_and_are_read_back() {
    let vendors = include_bytes!("fixtures/google-stream.txt");
    let told = read(framed(vendors, vendors.len())).unwrap();
    let head = || AnswerHead {
        id: "r-1".into(),
        ..head()
    };
    let stream = encoded(head(), Framing::Events, &told);
    insta::assert_snapshot!(stream);
    let expected = Completion {
        model: "task:flag".into(),
        ..answer()
    };
    let again = |stream: &str| put_together(read(framed(stream.as_bytes(), 7)).unwrap());
    assert_eq!(again(&stream), expected);
    let at_once = encoded(head(), Framing::Events, &StreamEvent::of(&answer()));
    assert_eq!(again(&at_once), expected);
    // Who does not ask for events gets the same as an array.
    let array = json(&encoded(head(), Framing::Array, &told));
    let texts = array
        .as_array()
        .unwrap()
        .iter()
        .map(|it| data(&it.to_string()));
    assert_eq!(put_together(read(texts).unwrap()), expected);
}

#[test]
fn errors_have_the_protocols_form() {
    let error = ErrorBody {
        message: "the tier went away".into(),
        kind: "server_error",
        param: None,
        code: None,
    };
    insta::assert_snapshot!(error.encode_google(429), @r#"{"error":{"code":429,"message":"the tier went away","status":"RESOURCE_EXHAUSTED"}}"#);
    let mut stream = String::new();
    StreamEncoder::new(head(), Framing::Events).error(&error, 500, &mut stream);
    let told = read(framed(stream.as_bytes(), 9));
    let Err(DecodeError::Vendor(VendorError { kind, .. })) = told else {
        panic!("a broken stream is not seen to be broken");
    };
    assert_eq!(kind.as_deref(), Some("INTERNAL"));
}

#[test]
fn tokens_are_counted() {
    let target = target(Method::CountTokens);
    let plain = br#"{"contents": [{"role": "user", "parts": [{"text": "x"}]}]}"#;
    let whole = br#"{"generateContentRequest": {"model": "models/gemini-x", "systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [{"text": "x"}]}]}}"#;
    for body in [&plain[..], &whole[..]] {
        let request = parse_count_request(&target, body).unwrap();
        let sent = encode_count_request(&OutwardRequest {
            model: &request.model,
            prompt: &request.prompt,
            generation: &generation(),
            dialect: Dialect::default(),
            delivery: Delivery::Whole,
            extra: None,
        });
        assert_eq!(json(&sent), json(std::str::from_utf8(body).unwrap()));
    }
    let count = encode_count(PromptTokens(7));
    assert_eq!(parse_count(count.as_bytes()), Ok(PromptTokens(7)));
}
