//! Decisions: what is asked and how it is answered.

use domain::Usage;
use serde_json::json;
use wire::openai::decisions::{Ask, encode_decision, parse_request};

use crate::values::{json as read, usage};

#[test]
fn questions_are_read_and_answered_in_the_protocols_form() {
    let body = json!({"model": "tier:llama", "input": [
        {"role": "developer", "content": "Mails."},
        {"role": "user", "content": [{"type": "input_text", "text": "It broke."},
            {"type": "input_json", "data": {"order": 7}}]}],
        "questions": [
            {"type": "predicate", "instructions": "Something broke.", "name": "broken"},
            {"type": "choice", "instructions": "Which?", "choices": [
                {"value": "a", "description": "the first"}, {"value": false}]},
            {"type": "score", "instructions": "How bad?", "levels": [
                {"label": "low"}, {"label": "high", "description": "all lost"}]}]});
    let request = parse_request(body.to_string().as_bytes()).unwrap();
    let texts: Vec<_> = request
        .input
        .iter()
        .map(|it| it.text().into_owned())
        .collect();
    assert_eq!(texts, ["Mails.", "It broke.\n\n{\"order\":7}"]);
    let questions = &request.questions;
    assert_eq!(questions[0].ask, Ask::Predicate);
    assert_eq!(
        questions[1].options(),
        [("a", Some("the first")), ("false", None)]
    );
    assert_eq!(
        questions[2].options(),
        [("low", None), ("high", Some("all lost"))]
    );
    let of: [&[f64]; 3] = [&[0.75, 0.25], &[0.25, 0.75], &[0.5, 0.5]];
    let answers: Vec<_> = questions.iter().zip(of).collect();
    let told = encode_decision("tier:llama", &answers, &usage(10, 4, 3));
    assert_eq!(
        read(&told),
        json!({"model": "tier:llama", "answers": [
        {"type": "predicate", "name": "broken", "probability": 0.75},
        {"type": "choice", "name": null, "choice": false, "confidence": 0.75, "probabilities": [
            {"value": "a", "probability": 0.25}, {"value": false, "probability": 0.75}]},
        {"type": "score", "name": null, "score": 0.5, "confidence": 0.5, "probabilities": [
            {"value": 0, "label": "low", "probability": 0.5},
            {"value": 1, "label": "high", "probability": 0.5}]}],
        "usage": {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0}}})
    );
    let nothing = encode_decision("m", &[], &Usage::default());
    assert_eq!(read(&nothing)["answers"], json!([]));
}

#[test]
fn a_fault_says_where_what_and_what_to_do() {
    let faults = [
        json!({}),
        json!({"model": "m", "input": "x"}),
        json!({"model": "m", "input": [], "questions": []}),
        json!({"model": "m", "input": [{"role": "tool", "content": "x"}], "questions": []}),
        json!({"model": "m", "input": "x", "questions": [{"type": "score", "instructions": "x",
            "levels": [{"label": "low"}, {"label": ""}]}]}),
        json!({"model": "m", "input": "x", "questions": [{"type": "score", "instructions": "x",
            "levels": vec![json!({"label": "x"}); 11]}]}),
    ];
    let told = faults.map(|body| parse_request(body.to_string().as_bytes()).unwrap_err());
    insta::assert_snapshot!(told.map(|fault| fault.to_string()).join("\n"));
}
