//! Texts under a grammar: whatever the model would rather say, they are what was asked for.

use crate::support::tiny::{self, Shape};
use fancy_regex::Regex;
use llama::{
    FinishReason, Generated, GenerationOptions, Grammar, Model, RequestError, Sampling, Session,
};
use proptest::prelude::*;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

const PROMPT: [u32; 4] = [72, 101, 257, 9];
const MAX_TOKENS: usize = 400;

/// Its weights are random, so it says anything.
fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let shape = || Shape {
        tied: false,
        seed: 21,
        ..Shape::default()
    };
    Arc::clone(MODEL.get_or_init(|| tiny::model(&shape()).open()))
}

fn write(grammar: Grammar, temperature: f64, seed: u64) -> Result<Generated, RequestError> {
    let options = GenerationOptions {
        max_tokens: MAX_TOKENS,
        temperature,
        seed,
        ..GenerationOptions::default()
    };
    let rules = Sampling {
        grammar: Some(grammar),
        ..Sampling::default()
    };
    Session::new(model()).generate_with(&PROMPT, (&options, &rules), |_| ControlFlow::Continue(()))
}

/// A verdict with a reason of at most 12 letters and up to two numbers.
const SCHEMA: &str = r##"{
    "type": "object",
    "properties": {
        "verdict": {"enum": ["flag", "clear"]},
        "reason": {"type": "string", "maxLength": 12, "pattern": "^[a-z ]*$"},
        "amounts": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/amount"}}
    },
    "required": ["verdict", "reason", "amounts"],
    "additionalProperties": false,
    "$defs": {"amount": {"type": "integer", "minimum": 0, "maximum": 999}}
}"##;

fn keeps_to_schema(text: &str) -> bool {
    let Ok(Value::Object(value)) = serde_json::from_str(text) else {
        return false;
    };
    let reason = value["reason"].as_str().unwrap();
    let amounts = value["amounts"].as_array().unwrap();
    let keys: Vec<&str> = value.keys().map(String::as_str).collect();
    keys == ["verdict", "reason", "amounts"]
        && ["flag", "clear"].contains(&value["verdict"].as_str().unwrap())
        && reason.len() <= 12
        && reason.chars().all(|c| c.is_ascii_lowercase() || c == ' ')
        && amounts.len() <= 2
        && amounts
            .iter()
            .all(|amount| amount.as_u64().is_some_and(|n| n <= 999))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn json_keeps_to_its_schema(seed: u64, temperature in 0.0_f64..3.0) {
        let generated = write(Grammar::JsonSchema(SCHEMA.to_owned()), temperature, seed).unwrap();
        match generated.finish {
            FinishReason::EndOfAnswer => {
                prop_assert!(keeps_to_schema(&generated.text), "{}", generated.text);
            }
            // Between two keys any white space is JSON.
            finish => prop_assert_eq!(finish, FinishReason::Length),
        }
        prop_assert!(generated.log_probabilities.iter().all(|p| p.is_finite()));
    }

    #[test]
    fn a_regex_matches_the_whole_text(seed: u64, digits in 1_usize..6) {
        let regex = format!("(EUR|USD) [1-9][0-9]{{0,{digits}}}[.][0-9]{{2}}");
        let generated = write(Grammar::Regex(regex.clone()), 2.0, seed).unwrap();
        prop_assert_eq!(generated.finish, FinishReason::EndOfAnswer);
        let whole = Regex::new(&format!("^({regex})$")).unwrap();
        prop_assert!(whole.is_match(&generated.text).unwrap(), "{}", generated.text);
    }

    #[test]
    fn a_grammar_nests(seed: u64) {
        let lark = r#"start: item
item: "x" | "(" item ")""#;
        let generated = write(Grammar::Lark(lark.to_owned()), 1.5, seed).unwrap();
        if generated.finish == FinishReason::EndOfAnswer {
            let depth = generated.text.find('x').unwrap();
            let text = format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
            prop_assert_eq!(generated.text, text);
        } else {
            prop_assert!(generated.text.starts_with('('));
        }
    }
}

#[test]
fn an_object_is_json_or_the_beginning_of_some() {
    let generated = write(Grammar::JsonObject, 1.0, 5).unwrap();
    assert!(generated.text.starts_with('{'), "{}", generated.text);
    let parsed = serde_json::from_str::<Value>(&generated.text);
    match generated.finish {
        FinishReason::EndOfAnswer => assert!(parsed.unwrap().is_object()),
        _ => assert!(parsed.unwrap_err().is_eof()),
    }
}

#[test]
fn what_is_forced_is_written_whatever_the_temperature() {
    for temperature in [0.0, 1.0] {
        let generated = write(Grammar::Regex("escalate".to_owned()), temperature, 1).unwrap();
        assert_eq!(generated.text, "escalate");
        assert_eq!(generated.finish, FinishReason::EndOfAnswer);
    }
}

#[test]
fn a_wrong_grammar_is_an_error_that_says_why() {
    for (grammar, says) in [
        (Grammar::JsonSchema("{".to_owned()), "the schema is no JSON"),
        (
            Grammar::JsonSchema(r#"{"type": "strnig"}"#.to_owned()),
            "strnig",
        ),
        (Grammar::Regex("(".to_owned()), "("),
        (Grammar::Lark("begin: \"x\"".to_owned()), "start"),
    ] {
        let shown = format!("{grammar:?}");
        let error = write(grammar, 0.0, 1).unwrap_err().to_string();
        assert!(
            error.contains("grammar: ") && error.contains(says),
            "{shown}: {error}"
        );
        assert!(!error.contains('\n'), "{shown}: {error}");
    }
}

#[test]
fn a_bias_against_all_that_is_allowed_is_an_error() {
    let rules = Sampling {
        grammar: Some(Grammar::Regex("7+".to_owned())),
        logit_bias: vec![(u32::from(b'7'), f32::NEG_INFINITY)],
        ..Sampling::default()
    };
    let mut session = Session::new(model());
    let options = GenerationOptions::default();
    let generated =
        session.generate_with(&PROMPT, (&options, &rules), |_| ControlFlow::Continue(()));
    assert!(
        matches!(generated, Err(RequestError::Grammar { .. })),
        "{generated:?}"
    );
}
