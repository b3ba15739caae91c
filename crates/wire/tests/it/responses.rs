//! OpenAI's responses.

use domain::{
    Completion, Content, FinishReason, Message, Part, Prompt, PromptTokens, ReasoningDepth, Role,
    StreamEnd, StreamEvent, ToolCall, ToolChoice, ToolResult,
};
use wire::chat::{
    AnswerHead, ChatRequest, DecodeError, Delivery, Dialect, ErrorBody, OutwardRequest,
};
use wire::fault::FaultKind;
use wire::openai::responses::{
    ChunkReader, Echo, StreamEncoder, encode_completion, encode_request, parse_completion,
    parse_request,
};
use wire::sse::Event;

use crate::values::{data, framed, generation, json, put_together, told, usage};

fn read(events: impl IntoIterator<Item = Event>) -> Result<Vec<StreamEvent>, DecodeError> {
    told(events, ChunkReader::default())
}

fn head() -> AnswerHead {
    AnswerHead {
        id: "resp_1".into(),
        created_s: 1_700_000_000,
        model: "gpt-x-2026".into(),
    }
}

fn encoded(events: &[StreamEvent]) -> String {
    let mut encoder = StreamEncoder::new(head(), Echo::default());
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
    let body = include_str!("fixtures/responses-request.json");
    let request = parse_request(body.as_bytes()).unwrap();
    assert_eq!(request.delivery, Delivery::Streamed);
    let messages = &request.prompt.messages;
    assert_eq!(messages[0], Message::new(Role::System, "Use the tools."));
    let result = ToolResult {
        call_id: "call_1".into(),
        name: None,
        parts: vec![Part::text("frozen")],
        is_error: false,
    };
    assert_eq!(messages[5].parts[0].content, Content::ToolResult(result));
    let options = &request.generation.options;
    assert_eq!(
        options.tool_choice,
        Some(ToolChoice::Named("look_up".into()))
    );
    assert_eq!(options.reasoning, Some(ReasoningDepth::Low));
    assert_eq!(options.logprobs, Some(2));
    assert_eq!(json(&sent_on(&request)), json(body));
}

#[test]
fn a_plain_request_is_a_plain_one_again() {
    let body = r#"{"model": "m", "instructions": "Be brief.", "input": "Hello", "previous_response_id": "resp_0"}"#;
    let request = parse_request(body.as_bytes()).unwrap();
    assert_eq!(
        request.extra.field("previous_response_id").unwrap(),
        "resp_0"
    );
    let fault = request.extra.refusal(&request.prompt).unwrap();
    assert_eq!(
        (fault.kind, fault.path.as_str()),
        (FaultKind::Unsupported, "previous_response_id")
    );
    let extra = request.extra.without("previous_response_id");
    assert_eq!(extra.refusal(&request.prompt), None);
    let prompt = Prompt::new(vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "Hello"),
    ]);
    assert_eq!(request.prompt, prompt);
    let sent = encode_request(&OutwardRequest {
        model: "m",
        prompt: &prompt,
        generation: &generation(),
        dialect: Dialect::default(),
        delivery: Delivery::Whole,
        extra: None,
    });
    insta::assert_snapshot!(sent, @r#"{"model":"m","instructions":"Be brief.","input":"Hello","max_output_tokens":64,"store":false,"temperature":0.7}"#);
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let fields = [
        r#""input": 5"#,
        r#""input": [{"role": "geheim", "content": "x"}]"#,
        r#""input": [{"role": "user", "content": [{"text": "geheim"}]}]"#,
        r#""input": [{"role": "user", "content": [{"type": "input_image"}]}]"#,
        r#""input": [{"type": "function_call", "name": "geheim"}]"#,
        r#""input": [{"type": "function_call_output", "call_id": "geheim"}]"#,
        r#""input": "x", "text": {"format": {"type": "geheim"}}"#,
        r#""input": "x", "reasoning": {"effort": "geheim"}"#,
        r#""input": "x", "top_logprobs": 30"#,
        r#""input": "x", "tools": [{"type": "function"}]"#,
        r#""instructions": "geheim""#,
    ];
    let body = |field: &str| format!(r#"{{"model": "m", {field}}}"#);
    let faults = fields.map(|it| parse_request(body(it).as_bytes()).unwrap_err().to_string());
    let told = faults.join("\n");
    insta::assert_snapshot!(told);
    assert!(!told.contains("geheim"), "a fault quotes the request");
}

/// The answer of the fixture.
fn answer() -> Completion {
    parse_completion(include_bytes!("fixtures/responses-answer.json")).unwrap()
}

#[test]
fn answers_are_read_and_written_back() {
    let body = include_str!("fixtures/responses-answer.json");
    let answer = answer();
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
    let spent = domain::Usage {
        cache_write_prompt: PromptTokens(20),
        reasoning: domain::CompletionTokens(12),
        ..usage(120, 64, 42)
    };
    assert_eq!(answer.usage, Some(spent));
    assert_eq!(answer.logprobs.len(), 1);
    let written = encode_completion(&head(), &Echo::default(), &answer);
    assert_eq!(json(&written), json(body));
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let failed =
        br#"{"status": "failed", "error": {"code": "server_error", "message": "m"}, "output": []}"#;
    let Err(DecodeError::Vendor(vendor)) = parse_completion(failed) else {
        panic!("a failure is taken for an answer");
    };
    assert_eq!(vendor.code.as_deref(), Some("server_error"));
    let running = br#"{"status": "in_progress", "output": []}"#;
    assert_eq!(parse_completion(running), Err(DecodeError::Unfinished));
    let cut = br#"{"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}"#;
    assert_eq!(
        parse_completion(cut).unwrap().finish_reason,
        FinishReason::Length
    );
    let refused = br#"{"status": "completed", "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}"#;
    let refused = parse_completion(refused).unwrap();
    assert_eq!(
        (&*refused.text(), refused.finish_reason),
        ("No.", FinishReason::Refusal)
    );
}

#[test]
fn streams_are_read_the_same_however_they_are_cut() {
    let stream = include_bytes!("fixtures/responses-stream.txt");
    let whole = read(framed(stream, stream.len())).unwrap();
    let expected = Completion {
        beside: None,
        ..answer()
    };
    assert_eq!(put_together(whole.clone()), expected);
    for chunk_bytes in 1..64 {
        assert_eq!(read(framed(stream, chunk_bytes)).unwrap(), whole);
    }
    let mut events = framed(stream, stream.len());
    events.pop_back();
    assert_eq!(read(events), Err(DecodeError::Unfinished));
}

/// The same completion without what stands beside its parts, which holds names of items.
fn bare(mut completion: Completion) -> Completion {
    for part in &mut completion.parts {
        part.beside = None;
    }
    Completion {
        beside: None,
        ..completion
    }
}

#[test]
fn our_streams_have_the_protocols_form_and_are_read_back() {
    let vendors = include_bytes!("fixtures/responses-stream.txt");
    let told = read(framed(vendors, vendors.len())).unwrap();
    let stream = encoded(&told);
    insta::assert_snapshot!(stream);
    let again = |stream: &str| put_together(read(framed(stream.as_bytes(), 7)).unwrap());
    let expected = Completion {
        logprobs: Vec::new(),
        ..bare(answer())
    };
    assert_eq!(bare(again(&stream)), expected);
    assert_eq!(bare(again(&encoded(&StreamEvent::of(&answer())))), expected);
    // The last event tells all items again, by the names under which they were told before.
    let last = framed(stream.as_bytes(), 7).pop_back().unwrap();
    let last = json(&last.data);
    for item in last["response"]["output"].as_array().unwrap() {
        let id = item["id"].as_str().unwrap();
        assert!(stream.matches(id).count() >= 2, "{id}");
    }
    let whole = parse_completion(last["response"].to_string().as_bytes()).unwrap();
    assert_eq!(bare(whole), bare(Completion { ..answer() }));
}

#[test]
fn a_streamed_refusal_and_parallel_calls_are_told_in_order() {
    let call = |id: &str, arguments: &str| {
        StreamEvent::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let end = StreamEvent::End(StreamEnd {
        finish_reason: FinishReason::Length,
        stop_sequence: None,
        usage: None,
        model: String::new(),
    });
    let events = [
        StreamEvent::Refusal("No.".into()),
        call("a", ""),
        StreamEvent::Arguments {
            call: 0,
            json: "{\"x\":1}".into(),
        },
        call("b", "{}"),
        end,
    ];
    let stream = encoded(&events);
    assert!(stream.contains("event: response.incomplete"), "{stream}");
    let completion = put_together(read(framed(stream.as_bytes(), 5)).unwrap());
    assert_eq!(completion.finish_reason, FinishReason::Length);
    let contents: Vec<&Content> = completion.parts.iter().map(|part| &part.content).collect();
    let expected = |id: &str, arguments: &str| {
        Content::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let refusal = Content::Refusal("No.".into());
    assert_eq!(
        contents,
        [&refusal, &expected("a", "{\"x\":1}"), &expected("b", "{}")]
    );
}

#[test]
fn a_stream_that_breaks_is_no_answer() {
    let error = r#"{"type": "error", "sequence_number": 1, "code": "overloaded", "message": "m", "param": null}"#;
    let Err(DecodeError::Vendor(vendor)) = read([data(error)]) else {
        panic!("an error within the stream is not seen");
    };
    assert_eq!(vendor.code.as_deref(), Some("overloaded"));
    assert!(matches!(
        read([data("x")]),
        Err(DecodeError::NotTheProtocol { .. })
    ));
    let error = ErrorBody {
        message: "the tier went away".into(),
        kind: "server_error",
        param: None,
        code: Some("tier_unavailable".into()),
    };
    let mut encoder = StreamEncoder::new(head(), Echo::default());
    let mut stream = String::new();
    encoder.event(&StreamEvent::Text("x".into()), &mut stream);
    encoder.error(&error, &mut stream);
    let Err(DecodeError::Vendor(vendor)) = read(framed(stream.as_bytes(), 9)) else {
        panic!("a broken stream is not seen to be broken");
    };
    assert_eq!(vendor.code.as_deref(), Some("tier_unavailable"));
}

#[test]
fn an_answer_says_again_what_was_asked() {
    let body = include_bytes!("fixtures/responses-request.json");
    let request = parse_request(body).unwrap();
    let written = json(&encode_completion(&head(), &Echo::of(&request), &answer()));
    assert_eq!(written["temperature"], 0.5);
    assert_eq!(written["max_output_tokens"], 500);
    assert_eq!(written["metadata"]["case"], "7");
    assert_eq!(written["tool_choice"]["name"], "look_up");
    assert_eq!(written["text"]["format"]["name"], "verdict");
    assert_eq!(written["previous_response_id"], serde_json::Value::Null);
}
