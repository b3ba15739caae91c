//! OpenAI's completions of a text.

use domain::{FinishReason, StreamEvent, TokenChoice, TokenLogprob};
use wire::chat::{Delivery, StreamUsage};
use wire::openai::completions::{
    ChunkReader, StreamEncoder, encode_completion, encode_request, parse_completion, parse_request,
};

use crate::values::{completion, framed, head, json, put_together, sent_on, told};

#[test]
fn a_request_with_everything_comes_back_as_it_came() {
    let body = r#"{"model": "m", "prompt": "fn main() {", "suffix": "}", "max_tokens": 5,
        "temperature": 0.5, "seed": 7, "top_p": 0.9, "logprobs": 2, "stop": ["\n\n"],
        "presence_penalty": 0.5, "stream": true, "stream_options": {"include_usage": true},
        "user": "u"}"#;
    let request = parse_request(body.as_bytes()).unwrap();
    assert_eq!(request.prompt.suffix(), Some("}"));
    assert_eq!(request.delivery, Delivery::Streamed);
    assert_eq!(request.prompt.messages[0].text(), "fn main() {");
    let sent = sent_on(&request, encode_request);
    assert_eq!(json(&sent), json(body));
    assert!(!format!("{request:?}").contains("main"));
}

#[test]
fn one_text_is_what_is_offered() {
    let parse = |fields: &str| parse_request(format!(r#"{{"model": "m", {fields}}}"#).as_bytes());
    let one = parse(r#""prompt": ["x"]"#).unwrap().prompt;
    assert_eq!(one.messages[0].text(), "x");
    assert!(parse(r#""prompt": "x", "echo": false, "best_of": 1"#).is_ok());
    let faults = [
        r#""prompt": ["geheim", "geheim"]"#,
        r#""prompt": [1, 2]"#,
        r#""prompt": "geheim", "echo": true"#,
        r#""prompt": "geheim", "logprobs": 9"#,
    ];
    let told = faults
        .map(|fields| parse(fields).unwrap_err().to_string())
        .join("\n");
    insta::assert_snapshot!(told);
}

#[test]
fn answers_have_the_protocols_form_and_are_read_back() {
    let choice = |token: &str| TokenChoice {
        token: token.into(),
        logprob: -0.5,
        bytes: None,
    };
    let mut answer = completion("Größe 🦀", FinishReason::Length);
    answer.logprobs = vec![TokenLogprob {
        written: choice("Größe"),
        top: vec![choice("Größe"), choice("G")],
    }];
    let body = encode_completion(&head(), &answer);
    insta::assert_snapshot!(body);
    assert_eq!(parse_completion(body.as_bytes()).unwrap(), answer);
    let mut encoder = StreamEncoder::new(head(), StreamUsage::Asked);
    let mut stream = String::new();
    for event in StreamEvent::of(&answer) {
        encoder.event(&event, &mut stream);
    }
    for chunk_bytes in 1..32 {
        let told = told(
            framed(stream.as_bytes(), chunk_bytes),
            ChunkReader::default(),
        );
        assert_eq!(put_together(told.unwrap()), answer);
    }
}
