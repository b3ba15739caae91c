//! Tools: into the prompt by the model's template, and out of what the model writes.

use crate::support::gguf::Value as Stored;
use crate::support::tiny::{self, Shape};
use llama::{
    ChatMessage, FinishReason, GenerationOptions, Model, RequestError, Role, Sampling, Session,
    SpecialTokens, Tool, ToolCall,
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
        assert_eq!(ToolCall::parse(text, &tools), Some(calls), "{text}");
        assert!(ToolCall::may_begin(&text[..1]), "{text}");
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
    let model = model();
    let tools = [tool("rate"), tool("day")];
    let rules = Sampling {
        grammar: Tool::call_grammar(&tools),
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
            let calls = ToolCall::parse(&generated.text, &tools).unwrap();
            let arguments = &calls[0].arguments;
            assert!(["EUR", "USD"].contains(&arguments["to"].as_str().unwrap()));
            assert!(arguments["days"].as_u64().unwrap() <= 99);
            called += 1;
        }
    }
    assert!(called > 0, "white space is all that any seed wrote");
    assert_eq!(Tool::call_grammar(&[]), None);
}
