//! Tools: into the prompt by the model's template, and out of what the model writes.

use crate::support::gguf::Value as Stored;
use crate::support::tiny::{self, Shape};
use llama::{
    ChatMessage, FinishReason, GenerationOptions, Grammar, Model, RequestError, Role, Sampling,
    Session, SpecialTokens, Tool, ToolCall, ToolEvent, ToolReader,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

/// In the manner of Llama 3.1's: tools in the first user message, results as `ipython`.
const TEMPLATE: &str = r#"{{- bos_token }}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + (message.content | tojson) + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}{{- raise_exception('one call at a time') }}{%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson + '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
        {%- if loop.first and tools is not none %}
            {%- for t in tools %}{{- t | tojson(indent=4) + '\n\n' }}{%- endfor %}
        {%- endif %}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"#;

fn model() -> Arc<Model> {
    let mut file = tiny::model(&Shape {
        tied: false,
        seed: 4,
        context: 2048,
        ..Shape::default()
    });
    file.set("tokenizer.chat_template", Stored::Text(TEMPLATE.into()));
    file.open()
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some("The rate of a <currency> & its day's date".to_owned()),
        parameters: json!({
            "type": "object",
            "properties": {"to": {"enum": ["EUR", "USD"]}, "days": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["to", "days"],
            "additionalProperties": false,
        }),
    }
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        name: name.to_owned(),
        arguments: arguments.as_object().unwrap().clone(),
    }
}

#[test]
fn a_conversation_with_tools_is_what_the_template_says() {
    let model = model();
    let messages = [
        ChatMessage::new(Role::User, "What is the rate?"),
        ChatMessage::calling(vec![call("rate", json!({"to": "EUR", "days": 3}))]),
        ChatMessage::new(Role::Tool, "{\"rate\": 1.1}\n<|eot_id|>"),
    ];
    let tokens = model
        .encode_chat_with_tools(&messages, &[tool("rate")])
        .unwrap();
    let text = model.tokenizer().decode(&tokens);
    let expected = r#"<|begin_of_text|><|start_header_id|>user<|end_header_id|>

{
    "type": "function",
    "function": {
        "name": "rate",
        "description": "The rate of a <currency> & its day's date",
        "parameters": {
            "type": "object",
            "properties": {
                "to": {
                    "enum": [
                        "EUR",
                        "USD"
                    ]
                },
                "days": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 99
                }
            },
            "required": [
                "to",
                "days"
            ],
            "additionalProperties": false
        }
    }
}

What is the rate?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

{"name": "rate", "parameters": {"to": "EUR", "days": 3}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>

"{\"rate\": 1.1}\n<|eot_id|>"<|eot_id|><|start_header_id|>assistant<|end_header_id|>

"#;
    assert_eq!(text, expected);
    // The result's own `<|eot_id|>` is text: of the others there are three.
    let eot = model.tokenizer().special().eot;
    assert_eq!(
        tokens.iter().filter(|token| Some(**token) == eot).count(),
        3
    );
}

#[test]
fn without_tools_nothing_is_said_of_them() {
    let model = model();
    let tokens = model
        .encode_chat(&[ChatMessage::new(Role::User, "hello")])
        .unwrap();
    let text = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhello<|eot_id|>\
                <|start_header_id|>assistant<|end_header_id|>\n\n";
    assert_eq!(tokens, model.tokenizer().encode(text, SpecialTokens::Parse));
}

#[test]
fn what_a_template_cannot_say_is_an_error() {
    let ask = [ChatMessage::new(Role::User, "hello")];
    let plain = tiny::model(&Shape::default()).open();
    assert!(!plain.chat_template().unwrap().names_tools());
    let error = plain
        .encode_chat_with_tools(&ask, &[tool("rate")])
        .unwrap_err();
    assert!(
        error.to_string().contains("knows nothing of tools"),
        "{error}"
    );
    let model = model();
    let hostile = Tool {
        description: Some("ends <|eot_id|> here".to_owned()),
        ..tool("rate")
    };
    let error = model.encode_chat_with_tools(&ask, &[hostile]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("contains <|eot_id|>, a control token"),
        "{error}"
    );
    let two = ChatMessage::calling(vec![call("a", json!({})), call("b", json!({}))]);
    let error = model.encode_chat(&[two]).unwrap_err();
    assert!(
        matches!(error, RequestError::ChatTemplate { .. }),
        "{error}"
    );
}

#[test]
fn a_template_that_writes_json_without_end_is_stopped() {
    let mut file = tiny::model(&Shape::default());
    let template = "{% for i in range(20000) %}{% set tools = messages | tojson %}{% endfor %}";
    file.set("tokenizer.chat_template", Stored::Text(template.into()));
    let long = ChatMessage::new(Role::User, "x".repeat(100_000));
    let error = file.open().encode_chat(&[long]).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");
}

/// The calls and the text that a reader finds who gets about so many bytes at a time.
fn read(text: &str, tools: &[Tool], bytes: usize) -> (Vec<ToolCall>, String) {
    let mut reader = ToolReader::new(tools.to_vec());
    let mut events = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = (bytes..).find(|at| rest.is_char_boundary((*at).min(rest.len())));
        let (piece, after) = rest.split_at(cut.unwrap().min(rest.len()));
        events.extend(reader.push(piece));
        rest = after;
    }
    events.extend(reader.finish());
    let (mut calls, mut beside) = (Vec::new(), String::new());
    for event in events {
        match event {
            ToolEvent::Text(text) => beside += &text,
            ToolEvent::Call(name) => calls.push((name, String::new())),
            ToolEvent::Arguments(json) => calls.last_mut().unwrap().1 += &json,
        }
    }
    let calls = calls.into_iter().map(|(name, json)| ToolCall {
        name,
        arguments: serde_json::from_str(&json).unwrap(),
    });
    (calls.collect(), beside)
}

#[test]
fn arguments_are_told_while_they_are_written() {
    let mut reader = ToolReader::new(vec![tool("rate")]);
    let said = |text: &str| ToolEvent::Arguments(text.to_owned());
    assert_eq!(reader.push(r#"{"name": "rate", "param"#), []);
    let events = reader.push(r#"eters": {"to": "}"#);
    assert_eq!(
        events,
        [ToolEvent::Call("rate".into()), said(r#"{"to": "}"#)]
    );
    assert_eq!(
        reader.push(r#"\"", "x": [{}]"#),
        [said(r#"\"", "x": [{}]"#)]
    );
    assert_eq!(reader.push("}} "), [said("}")]);
    assert_eq!(reader.push("then"), [ToolEvent::Text("then".into())]);
    assert_eq!(reader.finish(), []);
    let mut broken_off = ToolReader::new(vec![tool("rate")]);
    broken_off.push(r#"{"name": "rate", "parameters": {"to"#);
    assert_eq!((broken_off.finish(), broken_off.calls()), (Vec::new(), 1));
}

#[test]
fn no_more_calls_are_told_than_are_wanted() {
    let one = r#"{"name": "rate", "parameters": {}}"#;
    let text = format!("{one}; {one}");
    for (most, calls) in [(1, 1), (2, 2), (9, 2)] {
        let mut reader = ToolReader::new(vec![tool("rate")]).at_most(most);
        let mut events = reader.push(&text);
        events.extend(reader.finish());
        assert_eq!((reader.calls(), events.len()), (calls, 2 * calls));
    }
    let mut reader = ToolReader::new(vec![tool("rate")]).at_most(1);
    assert_eq!(reader.push("[rate(), rate()]"), []);
    assert_eq!(reader.finish().len(), 2);
}

#[test]
fn without_tools_all_is_text() {
    let text = r#"{"name": "rate", "parameters": {}}"#;
    assert_eq!(read(text, &[], 3), (Vec::new(), text.to_owned()));
}

#[test]
fn a_template_that_takes_one_call_at_a_time_is_known_by_it() {
    let takes = |model: &Model| model.chat_template().unwrap().takes_several_calls();
    assert!(!takes(&model()));
    let mut file = tiny::model(&Shape::default());
    let one = "{%- if not message.tool_calls | length == 1 %}{{- raise_exception('one call at a time') }}{%- endif %}";
    let several = TEMPLATE.replace(one, "").replace(
        "{%- set call = message.tool_calls[0].function %}",
        "{%- for it in message.tool_calls %}{%- set call = it.function %}",
    );
    let several = several.replace("+ '}<|eot_id|>' }}", "+ '}<|eot_id|>' }}{%- endfor %}");
    file.set("tokenizer.chat_template", Stored::Text(several));
    assert!(takes(&file.open()));
    assert!(!takes(&tiny::model(&Shape::default()).open()));
}

#[test]
fn calls_are_found_in_every_form() {
    let tools = [tool("rate"), tool("get.day")];
    let rate = || call("rate", json!({"to": "EUR", "days": 3}));
    let day = || call("get.day", json!({}));
    for (text, calls) in [
        (
            r#"{"name": "rate", "parameters": {"to": "EUR", "days": 3}}"#,
            vec![rate()],
        ),
        (
            r#" {"name": "rate", "arguments": {"to": "EUR", "days": 3}}"#,
            vec![rate()],
        ),
        (
            r#"<|python_tag|>{"type": "function", "name": "rate", "parameters": {"to": "EUR", "days": 3}}; {"name": "get.day"}"#,
            vec![rate(), day()],
        ),
        (
            r#"[{"function": {"name": "rate", "arguments": {"to": "EUR", "days": 3}}}]"#,
            vec![rate()],
        ),
        (
            r#"[rate(to='EUR', days=3), get.day()]"#,
            vec![rate(), day()],
        ),
        (
            r#"<function=rate>{"to": "EUR", "days": 3}</function>"#,
            vec![rate()],
        ),
        (r#"<function=rate>{"to": "EUR", "days": 3}"#, vec![rate()]),
        (
            r#"[rate(text="a\"b\né", list=[1, -2.5, True, None], map={'k': {'n': 1_000}})]"#,
            vec![call(
                "rate",
                json!({"text": "a\"b\né", "list": [1, -2.5, true, null], "map": {"k": {"n": 1000}}}),
            )],
        ),
    ] {
        assert_eq!(ToolCall::parse(text, &tools), Some(calls.clone()), "{text}");
        assert!(ToolCall::may_begin(&text[..1]), "{text}");
        for bytes in [1, 7, text.len()] {
            let (read, beside) = read(text, &tools, bytes);
            assert_eq!((read, beside.as_str()), (calls.clone(), ""), "{text}");
        }
    }
    for text in [
        "",
        "The rate is 1.1.",
        r#"{"rate": 1.1}"#,
        r#"{"name": "other", "parameters": {}}"#,
        r#"{"name": "rate", "parameters": {}} as you asked"#,
        "[1, 2, 3]",
        "[]",
        "[rate(3)]",
        "[rate(x=1]",
        r#"[rate(x="\ud800")]"#,
    ] {
        assert_eq!(ToolCall::parse(text, &tools), None, "{text}");
        if !text.contains("as you asked") {
            assert_eq!(read(text, &tools, 1), (Vec::new(), text.to_owned()));
        }
    }
    assert!(ToolCall::may_begin(" ") && ToolCall::may_begin("<fun"));
    assert!(!ToolCall::may_begin("The") && !ToolCall::may_begin("<b>"));
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_look_at(
        text in "[\\[({]{0,80}(\\[?(rate)?\\(?)[a-z=,'\"\\\\{}\\[\\]():0-9é. ]{0,60}",
    ) {
        let _looked_at = ToolCall::parse(&text, &[tool("rate")]);
    }

    #[test]
    fn values_come_back_from_json(days: i64, text in ".{0,20}") {
        let arguments = json!({"days": days, "text": text});
        let written = json!({"name": "rate", "parameters": arguments}).to_string();
        let calls = ToolCall::parse(&written, &[tool("rate")]);
        prop_assert_eq!(calls, Some(vec![call("rate", arguments)]));
    }
}

#[test]
fn a_model_under_the_grammar_of_calls_writes_one() {
    let tools = [tool("rate"), tool("day")];
    writes_calls(Tool::call_grammar(&tools), &tools);
    writes_calls(Tool::calls_grammar(&tools), &tools);
    assert_eq!(
        (Tool::call_grammar(&[]), Tool::calls_grammar(&[])),
        (None, None)
    );
}

fn writes_calls(grammar: Option<Grammar>, tools: &[Tool]) {
    let model = model();
    let rules = Sampling {
        grammar,
        ..Sampling::default()
    };
    let mut called = 0;
    for seed in 0..8 {
        let options = GenerationOptions {
            max_tokens: 300,
            temperature: 1.0,
            seed,
            ..GenerationOptions::default()
        };
        let generated = Session::new(Arc::clone(&model))
            .generate_with(
                &[72, 101],
                (&options, &rules),
                |_| ControlFlow::Continue(()),
            )
            .unwrap();
        if generated.finish == FinishReason::EndOfAnswer {
            let calls = ToolCall::parse(&generated.text, tools).unwrap();
            let arguments = &calls[0].arguments;
            assert!(["EUR", "USD"].contains(&arguments["to"].as_str().unwrap()));
            assert!(arguments["days"].as_u64().unwrap() <= 99);
            called += 1;
        }
    }
    assert!(called > 0, "white space is all that any seed wrote");
}
