//! Translation between each pair of protocols, and reading streams however they are cut.

use domain::{Protocol, StreamEvent};
use proptest::prelude::*;
use wire::chat::{
    AnswerHead, ChatRequest, ChunkReader, Dialect, Form, Lossy, OutwardRequest, StreamUsage,
    encode_request, parse_completion,
};
use wire::google::generate::Framing;
use wire::google::path::{Method, Target};
use wire::openai::responses::Echo;
use wire::sse::Framer;
use wire::{anthropic, google, openai};

use crate::values::{framed, generation, put_together, told};

/// A request, an answer and a stream of a protocol.
struct Fixture {
    request: ChatRequest,
    answer: &'static [u8],
    stream: &'static [u8],
}

fn fixture(protocol: Protocol) -> Fixture {
    let (request, answer, stream): (_, &[u8], &[u8]) = match protocol {
        Protocol::OpenAiChat => (
            openai::chat::parse_request(include_bytes!("fixtures/chat-request-tools.json")),
            include_bytes!("fixtures/chat-answer-tools.json"),
            include_bytes!("fixtures/chat-stream.txt"),
        ),
        Protocol::OpenAiResponses => (
            openai::responses::parse_request(include_bytes!("fixtures/responses-request.json")),
            include_bytes!("fixtures/responses-answer.json"),
            include_bytes!("fixtures/responses-stream.txt"),
        ),
        Protocol::Anthropic => (
            anthropic::messages::parse_request(include_bytes!("fixtures/anthropic-request.json")),
            include_bytes!("fixtures/anthropic-answer.json"),
            include_bytes!("fixtures/anthropic-stream.txt"),
        ),
        Protocol::Google => (
            google::generate::parse_request(
                &Target {
                    model: "gemini-x".into(),
                    method: Method::GenerateContent,
                },
                include_bytes!("fixtures/google-request.json"),
            ),
            include_bytes!("fixtures/google-answer.json"),
            include_bytes!("fixtures/google-stream.txt"),
        ),
    };
    Fixture {
        request: request.unwrap(),
        answer,
        stream,
    }
}

fn form(protocol: Protocol) -> Form {
    match protocol {
        Protocol::OpenAiChat => Form::OpenAiChat(StreamUsage::Asked),
        Protocol::OpenAiResponses => Form::OpenAiResponses(Echo::default()),
        Protocol::Anthropic => Form::Anthropic,
        Protocol::Google => Form::Google(Framing::Events),
    }
}

fn head(form: &Form) -> AnswerHead {
    AnswerHead {
        id: format!("{}1", form.id_prefix()),
        created_s: 1_700_000_000,
        model: "task:flag".into(),
    }
}

fn read(protocol: Protocol, stream: &[u8], chunk_bytes: usize) -> Vec<StreamEvent> {
    told(framed(stream, chunk_bytes), ChunkReader::new(protocol)).unwrap()
}

/// Our stream of these events, one after the other.
fn stream(form: &Form, events: &[StreamEvent]) -> String {
    let mut encoder = form.stream(head(form));
    let mut stream = String::new();
    for event in events {
        encoder.event(event, &mut stream);
    }
    stream
}

#[test]
fn every_protocol_is_translated_to_every_other() {
    for from in Protocol::ALL {
        let Fixture {
            request,
            answer,
            stream: vendors,
        } = fixture(from);
        for to in Protocol::ALL.into_iter().filter(|&to| to != from) {
            let outward = encode_request(
                to,
                &OutwardRequest {
                    model: "model-x",
                    prompt: &request.prompt,
                    generation: &request.generation.or(&generation()),
                    dialect: Dialect::default(),
                    delivery: request.delivery,
                    extra: Some(&request.extra),
                },
            );
            let form = form(to);
            let completion = parse_completion(from, answer).unwrap();
            let inward = form.encode_completion(&head(&form), &completion);
            let events = read(from, vendors, vendors.len());
            let told_on = stream(&form, &events);
            insta::assert_snapshot!(
                format!("{from:?}_to_{to:?}"),
                format!("{outward}\n\n{inward}\n\n{told_on}")
            );
            // What was told on reads as an answer of the protocol that it was told on in.
            let again = put_together(read(to, told_on.as_bytes(), 7));
            let original = put_together(events);
            assert_eq!(again.text(), original.text(), "{from} to {to}");
            assert_eq!(
                again.finish_reason, original.finish_reason,
                "{from} to {to}"
            );
            let calls = |completion: &domain::Completion| {
                let call = |part: &domain::Part| match &part.content {
                    domain::Content::ToolCall(call) => {
                        let arguments: serde_json::Value =
                            serde_json::from_str(&call.arguments).unwrap();
                        Some((call.name.clone(), arguments))
                    }
                    _ => None,
                };
                completion.parts.iter().filter_map(call).collect::<Vec<_>>()
            };
            assert_eq!(calls(&again), calls(&original), "{from} to {to}");
            let (usage, counted) = (again.usage.unwrap(), original.usage.unwrap());
            assert_eq!(usage.prompt, counted.prompt, "{from} to {to}");
            assert_eq!(usage.cached_prompt, counted.cached_prompt, "{from} to {to}");
            assert_eq!(usage.completion, counted.completion, "{from} to {to}");
            assert_eq!(usage.reasoning, counted.reasoning, "{from} to {to}");
        }
    }
}

#[test]
fn what_one_protocol_alone_understands_passes_through_it_and_no_other() {
    let chat: &[u8] = b"data: {\"system_fingerprint\":\"fp-odd\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\
        data: {\"system_fingerprint\":\"fp-odd\",\"choices\":[{\"delta\":{\"images\":[\"odd\"]}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let responses: &[u8] = b"data: {\"type\":\"response.odd.event\",\"sequence_number\":99,\"output_index\":0,\"x\":\"odd\"}\n\n\
        data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n";
    let messages: &[u8] = b"data: {\"type\":\"odd_event\",\"x\":\"odd\"}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"container\":{\"id\":\"odd\"}},\"usage\":{\"output_tokens\":1,\"server_tool_use\":{\"odd\":1}},\"context_management\":{\"odd\":1}}\n\n\
        data: {\"type\":\"message_stop\"}\n\n";
    let generate: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"groundingMetadata\":{\"odd\":1},\"finishReason\":\"STOP\"}],\"oddField\":\"odd\"}\n\n";
    let streams = [chat, responses, messages, generate];
    let mut told = Vec::new();
    for (from, vendors) in Protocol::ALL.into_iter().zip(streams) {
        let events = read(from, vendors, 5);
        for to in Protocol::ALL {
            let stream = stream(&form(to), &events);
            assert_eq!(
                stream.contains("odd"),
                to == from,
                "{from} to {to}: {stream}"
            );
            if to == from {
                told.push(stream);
            }
        }
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn what_would_be_lost_is_named() {
    let losses = |body: &str| {
        let request = openai::chat::parse_request(body.as_bytes()).unwrap();
        let others = Protocol::ALL.into_iter().skip(1);
        let told = others.map(|to| match request.loss(to, Lossy::Nothing) {
            Some(fault) => format!("{to}: {fault}"),
            None => format!("{to}: nothing"),
        });
        told.collect::<Vec<_>>().join("\n")
    };
    let body = |fields: &str, part: &str| {
        format!(
            r#"{{"model": "m", {fields} "messages": [{{"role": "user", "content": [{part}]}}]}}"#
        )
    };
    let text = r#"{"type": "text", "text": "x"}"#;
    let cases = [
        body("", text),
        body(r#""seed": 1, "top_p": 0.5, "#, text),
        body(r#""verbosity": "low", "#, text),
        body(r#""temperature": 1.5, "stop": ["x"], "#, text),
        body(r#""logit_bias": {"1": 2}, "#, text),
        body(
            r#""response_format": {"type": "json_object"}, "logprobs": true, "#,
            text,
        ),
        body(
            "",
            r#"{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}"#,
        ),
        body("", r#"{"type": "file", "file": {"file_id": "file-1"}}"#),
        body("", r#"{"type": "hologram"}"#),
    ];
    insta::assert_snapshot!(cases.map(|body| losses(&body)).join("\n\n"));
}

#[test]
fn what_may_be_left_out_is_left_out_and_media_never() {
    let request = fixture(Protocol::Google).request;
    assert!(request.loss(Protocol::Anthropic, Lossy::Nothing).is_some());
    assert_eq!(
        request.loss(Protocol::Anthropic, Lossy::WhatHasNoForm),
        None
    );
    assert_eq!(request.loss(Protocol::Google, Lossy::Nothing), None);
    let request = fixture(Protocol::OpenAiChat).request;
    let fault = request.loss(Protocol::Anthropic, Lossy::WhatHasNoForm);
    assert_eq!(fault.unwrap().path, "messages[1].content[3]");
    let mut request = fixture(Protocol::Anthropic).request;
    let domain::Content::ToolCall(call) = &mut request.prompt.messages[2].parts[3].content else {
        panic!("the fixture has its first call elsewhere");
    };
    call.arguments = "[1]".into();
    request.prompt.tools.clear();
    for part in request
        .prompt
        .messages
        .iter_mut()
        .flat_map(|it| &mut it.parts)
    {
        part.beside = None;
    }
    let media = |part: &domain::Part| {
        !matches!(
            part.content,
            domain::Content::Image(_) | domain::Content::Opaque(_)
        )
    };
    for message in &mut request.prompt.messages {
        message.parts.retain(media);
    }
    let fault = request.loss(Protocol::Google, Lossy::Nothing).unwrap();
    assert_eq!(fault.path, "messages[2].content[3]");
}

#[test]
fn a_stream_that_is_cut_anywhere_is_no_answer_and_never_another_one() {
    for protocol in Protocol::ALL {
        let stream = fixture(protocol).stream;
        let whole = put_together(read(protocol, stream, stream.len()));
        let events = framed(stream, stream.len());
        let mut complete = 0;
        for end in 0..stream.len() {
            let mut framer = Framer::new(1 << 20);
            let mut before = std::collections::VecDeque::new();
            framer.push(&stream[..end], &mut before).unwrap();
            // With each event more, what has come so far is no answer, or the whole one.
            if before.len() > complete {
                complete = before.len();
                let told = told(before.clone(), ChunkReader::new(protocol));
                let told = told.map(put_together).ok();
                let is_whole = told.is_none_or(|told| told.text() == whole.text());
                assert!(is_whole, "{protocol}, cut at {end}");
            }
            framer.push(&stream[end..], &mut before).unwrap();
            assert_eq!(before, events, "{protocol}, cut at {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_a_stream_tells_the_same(
        which in 0_usize..4,
        cuts in proptest::collection::vec(0_usize..8_000, 0..12),
    ) {
        let protocol = Protocol::ALL[which];
        let stream = fixture(protocol).stream;
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let mut framer = Framer::new(1 << 20);
        let mut events = std::collections::VecDeque::new();
        let mut start = 0;
        for end in ends {
            framer.push(&stream[start..end], &mut events).unwrap();
            start = end;
        }
        let told = told(events, ChunkReader::new(protocol)).unwrap();
        prop_assert_eq!(told, read(protocol, stream, stream.len()));
    }

    #[test]
    fn a_stream_with_broken_bytes_makes_no_reader_panic(
        which in 0_usize..4,
        places in proptest::collection::vec((0_usize..8_000, any::<u8>()), 1..6),
    ) {
        let protocol = Protocol::ALL[which];
        let mut stream = fixture(protocol).stream.to_vec();
        let length = stream.len();
        for (place, byte) in places {
            stream[place % length] = byte;
        }
        let mut framer = Framer::new(1 << 20);
        let mut events = std::collections::VecDeque::new();
        if framer.push(&stream, &mut events).is_ok() {
            let mut reader = ChunkReader::new(protocol);
            let mut told = std::collections::VecDeque::new();
            let _broken = events.iter().try_for_each(|event| reader.read(event, &mut told));
            let _unfinished = reader.finish(&mut told);
        }
        let _wrong = parse_completion(protocol, &stream);
    }
}
