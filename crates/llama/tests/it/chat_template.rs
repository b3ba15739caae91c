//! Chat templates: what a message may not do to a conversation, and what a template may not do to
//! the program.

use crate::support::gguf::Value;
use crate::support::tiny::{self, Shape};
use llama::{ChatMessage, Model, RequestError, Role, SpecialTokens};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| tiny::model(&Shape::default()).open());

fn with_template(template: &str) -> Arc<Model> {
    let mut file = tiny::model(&Shape::default());
    file.set("tokenizer.chat_template", Value::Text(template.into()));
    file.open()
}

fn encode(model: &Model, messages: &[ChatMessage]) -> Result<Vec<u32>, RequestError> {
    model
        .chat_template()
        .unwrap()
        .encode(model.tokenizer(), messages)
}

/// What the template makes of one user message, as text.
fn rendered(template: &str, content: &str) -> Result<String, String> {
    let model = with_template(template);
    let tokens = encode(&model, &[ChatMessage::new(Role::User, content)]);
    tokens
        .map(|tokens| model.tokenizer().decode(&tokens))
        .map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn a_message_adds_no_control_token(
        start in ".{0,8}",
        name in proptest::sample::select(tiny::CONTROL.to_vec()),
        end in ".{0,8}",
        cut in 0usize..10,
    ) {
        let control = |content: String| {
            let messages =
                [ChatMessage::new(Role::System, "be brief"), ChatMessage::new(Role::User, content)];
            let mut tokens = encode(&MODEL, &messages).unwrap();
            tokens.retain(|token| MODEL.tokenizer().is_control(*token));
            tokens
        };
        let expected = control("harmless".into());
        prop_assert_eq!(control([start.as_str(), name, &end].concat()), expected.clone());
        // Half a name at either end, for the template's own text to complete.
        prop_assert_eq!(control(name[..cut].to_owned()), expected.clone());
        prop_assert_eq!(control(name[cut..].to_owned()), expected);
    }

    #[test]
    fn without_such_names_it_is_the_rendered_text(content in "[a-z \n'<|>é]{0,30}") {
        let text = format!(
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
            content.trim()
        );
        let expected = MODEL.tokenizer().encode(&text, SpecialTokens::Parse);
        let found = encode(&MODEL, &[ChatMessage::new(Role::User, content)]).unwrap();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn halves_of_a_name_in_two_messages_do_not_meet() {
    let model = with_template("{% for m in messages %}{{ m.content }}{% endfor %}");
    let messages = [
        ChatMessage::new(Role::User, "<|eot"),
        ChatMessage::new(Role::Assistant, "_id|>"),
    ];
    let tokens = encode(&model, &messages).unwrap();
    assert_eq!(model.tokenizer().decode(&tokens), "<|eot_id|>");
    assert!(
        !tokens
            .iter()
            .any(|token| model.tokenizer().is_control(*token))
    );
}

#[test]
fn text_of_template_and_message_is_encoded_as_one() {
    let model = with_template("the{{ messages[0].content }} up");
    let tokens = encode(&model, &[ChatMessage::new(Role::User, "re")]).unwrap();
    assert_eq!(
        tokens,
        model.tokenizer().encode("there up", SpecialTokens::Plain)
    );
}

#[test]
fn messages_with_noncharacters_of_their_own() {
    let content = "\u{fdd0}<|eot_id|>\u{fdd1}";
    let found = rendered("[{{ messages[0].content }}]", content).unwrap();
    assert_eq!(found, format!("[{content}]"));
    let all: String = ('\u{fdd0}'..='\u{fdef}').collect();
    assert!(rendered("{{ messages[0].content }}", &all).is_err());
}

#[test]
fn the_words_of_jinja_and_python_that_templates_use() {
    let cases = [
        ("{{ messages[0]['content'] | trim }}|", "  a b \n", "a b|"),
        ("{{ messages[0].content.strip() }}|", "  a b \n", "a b|"),
        ("{{ messages[0].content }}|", " a ", " a |"),
        (
            "{% if messages[0].content %}yes{% else %}no{% endif %}",
            "",
            "no",
        ),
        (
            "{% if 'b' in messages[0].content %}yes{% endif %}",
            "abc",
            "yes",
        ),
        (
            "{% if messages[0].content is string %}yes{% endif %}",
            "a",
            "yes",
        ),
        (
            "{% if strftime_now is defined %}no{% else %}yes{% endif %}",
            "a",
            "yes",
        ),
        ("{% if tools is not defined %}yes{% endif %}", "a", "yes"),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}\
          {{ ns.n }}",
            "a",
            "1",
        ),
        (
            "{% if messages[0].role == 'user' %}\n  yes\n{% endif %}\n",
            "a",
            "  yes\n",
        ),
        (
            "{{ 'a,b'.split(',')[1] }}{{ 'Abc'.startswith('A') }}{{ 'x'.upper() }}",
            "a",
            "bTrueX",
        ),
        (
            "{{ bos_token }}{{ eos_token }}",
            "a",
            "<|begin_of_text|><|end_of_text|>",
        ),
        (
            "{{ messages[0].get('role') }}{% for k, v in messages[0].items() %}.{% endfor %}",
            "a",
            "user..",
        ),
    ];
    for (template, content, expected) in cases {
        assert_eq!(
            rendered(template, content).as_deref(),
            Ok(expected),
            "{template}"
        );
    }
}

#[test]
fn a_template_that_refuses_is_an_error_that_names_the_model() {
    let found = rendered("{{ raise_exception('roles must alternate') }}", "a").unwrap_err();
    assert_eq!(
        found,
        "tiny: chat template: invalid operation: \"roles must alternate\", line 1"
    );
    assert!(
        rendered("{% for %}", "a")
            .unwrap_err()
            .starts_with("tiny: chat template: ")
    );
    assert!(
        rendered("{{ messages.foo.bar }}", "a")
            .unwrap_err()
            .starts_with("tiny: ")
    );
}

#[test]
fn a_complaint_does_not_repeat_a_message() {
    let found = rendered(
        "{{ raise_exception('bad: ' + messages[0].content) }}",
        "my secret",
    );
    let found = found.unwrap_err();
    assert!(
        !found.contains("secret") && found.contains("withheld"),
        "{found}"
    );
}

#[test]
fn a_template_that_takes_messages_apart_is_refused() {
    for template in [
        "{{ messages[0].content[:3] }}",
        "{{ messages[0].content[2:] }}",
        "{{ messages[0].content | reverse }}",
    ] {
        assert!(
            rendered(template, "some text")
                .unwrap_err()
                .contains("pieces"),
            "{template}"
        );
    }
}

#[test]
fn hostile_templates_run_out_of_fuel() {
    for template in [
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{% set x = 'a' * 1000000000 %}{{ x }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}\
         {% endfor %}{{ ns.x }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        let found = rendered(template, "a").unwrap_err();
        assert!(found.starts_with("tiny: chat template: "), "{found}");
    }
}

#[test]
fn long_messages_have_fuel_enough() {
    let content = "many words ".repeat(50_000);
    let messages: Vec<ChatMessage> = (0..20)
        .map(|_| ChatMessage::new(Role::User, content.clone()))
        .collect();
    assert!(encode(&MODEL, &messages).is_ok());
}

#[test]
fn a_file_without_a_template() {
    let mut file = tiny::model(&Shape::default());
    file.remove("tokenizer.chat_template");
    let model = file.open();
    assert!(model.chat_template().is_none());
    let messages = [ChatMessage::new(Role::User, "a")];
    let found = llama::LabelScorer::new(model)
        .score_chat(&messages, &["up"])
        .unwrap_err();
    assert!(matches!(found, RequestError::NoChatTemplate { .. }));
}
