//! The questions: predicates, choices and scores.

use std::collections::HashSet;

use serde_json::Value;

use super::input::{TEXT, text};
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule, invalid};

pub(super) const QUESTIONS: Rule = Rule {
    says: "the questions are an array of 1 to 400",
    example: r#"[{"type": "predicate", "instructions": "Something is broken."}]"#,
};
const KIND: Rule = Rule {
    says: "the type of a question is predicate, choice or score",
    example: r#""predicate""#,
};
const NAME: Rule = Rule {
    says: "the name is a string",
    example: r#""is_broken""#,
};
const CHOICES: Rule = Rule {
    says: "the choices are an array of 2 to 255",
    example: r#"[{"value": "billing"}, {"value": "technical"}]"#,
};
const LEVELS: Rule = Rule {
    says: "the levels are an array of 2 to 10, the lowest first",
    example: r#"[{"label": "low"}, {"label": "high"}]"#,
};
const VALUE: Rule = Rule {
    says: "the value is a text without space around it, or true or false",
    example: r#""billing""#,
};
const LABEL: Rule = Rule {
    says: "the label is a text without space around it",
    example: r#""low""#,
};
const DESCRIPTION: Rule = Rule {
    says: "the description is a string",
    example: r#""Invoices and payments.""#,
};

/// A question about an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the client calls it.
    pub name: Option<String>,
    /// What is to be decided, in words.
    pub instructions: String,
    /// The form of its answer.
    pub ask: Ask,
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// How likely it is that a statement is true.
    Predicate,
    /// One of several values.
    Choice(Vec<Choice>),
    /// A place on a scale, the lowest level first.
    Score(Vec<Level>),
}

/// A value that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value.
    pub value: ChoiceValue,
    /// When it is right.
    pub description: Option<String>,
}

/// A text or a truth value; one is not the other, even where both read alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceValue {
    /// A text.
    Text(String),
    /// True or false.
    Truth(bool),
}

/// A level of a scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it is called.
    pub label: String,
    /// When it is right.
    pub description: Option<String>,
}

impl ChoiceValue {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Bool(truth) => Some(Self::Truth(*truth)),
            _ => None,
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Truth(true) => "true",
            Self::Truth(false) => "false",
        }
    }
}

impl Question {
    /// What a model may answer, each with the words that explain it; at least two. A predicate has
    /// `yes` and `no`. No two read alike, whatever their case.
    #[must_use]
    pub fn options(&self) -> Vec<(&str, Option<&str>)> {
        match &self.ask {
            Ask::Predicate => vec![("yes", None), ("no", None)],
            Ask::Choice(choices) => {
                let choices = choices.iter();
                choices
                    .map(|it| (it.value.as_str(), it.description.as_deref()))
                    .collect()
            }
            Ask::Score(levels) => {
                let levels = levels.iter();
                levels
                    .map(|it| (it.label.as_str(), it.description.as_deref()))
                    .collect()
            }
        }
    }
}

/// The questions of a request.
pub(super) fn parse(value: Value) -> Result<Vec<Question>, Fault> {
    let list = some(("questions".to_owned(), value), 1..=400, QUESTIONS)?;
    let question = |(index, value)| question(format!("questions[{index}]"), value);
    list.into_iter().enumerate().map(question).collect()
}

fn some(
    (path, value): (String, Value),
    counts: std::ops::RangeInclusive<usize>,
    rule: Rule,
) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(list) if counts.contains(&list.len()) => Ok(list),
        Value::Array(list) => {
            let found = format!("there are {}", list.len());
            Err(Fault::new(FaultKind::Invalid, path, found, rule.says).with_example(rule.example))
        }
        other => Err(invalid(path, &other, rule)),
    }
}

fn question(path: String, value: Value) -> Result<Question, Fault> {
    let mut object = Object::from_value(path, value, QUESTIONS)?;
    let kind = object.take_required("type", KIND)?;
    let mut list = |name, counts, rule| {
        let value = object.take_required(name, rule)?;
        some((object.path_of(name), value), counts, rule)
    };
    let ask = match kind.as_str() {
        Some("predicate") => Ask::Predicate,
        Some("choice") => {
            let list = list("choices", 2..=255, CHOICES)?;
            let read = ("value", VALUE, ChoiceValue::read as _);
            let choices = options(&object.path_of("choices"), list, read)?;
            let choice = |(value, description)| Choice { value, description };
            Ask::Choice(choices.into_iter().map(choice).collect())
        }
        Some("score") => {
            let list = list("levels", 2..=10, LEVELS)?;
            let text = |it: &Value| Some(ChoiceValue::Text(it.as_str()?.to_owned()));
            let read = ("label", LABEL, text as _);
            let levels = options(&object.path_of("levels"), list, read)?;
            let level = |(value, description): (ChoiceValue, _)| Level {
                label: value.as_str().to_owned(),
                description,
            };
            Ask::Score(levels.into_iter().map(level).collect())
        }
        _ => return Err(invalid(object.path_of("type"), &kind, KIND)),
    };
    let instructions = object.take_required("instructions", TEXT)?;
    let question = Question {
        name: object.take_any_text("name", NAME)?,
        instructions: text(object.path_of("instructions"), instructions)?,
        ask,
    };
    object.refuse_rest("no such field is known")?;
    Ok(question)
}

/// The field that has what may be answered, its rule, and how it is read.
type Read = (&'static str, Rule, fn(&Value) -> Option<ChoiceValue>);

/// What may be answered, each with its description.
fn options(
    path: &str,
    list: Vec<Value>,
    (name, rule, read): Read,
) -> Result<Vec<(ChoiceValue, Option<String>)>, Fault> {
    let mut seen = HashSet::new();
    let option = |(index, value)| {
        let mut object = Object::from_value(format!("{path}[{index}]"), value, CHOICES)?;
        let value = object.take_required(name, rule)?;
        let option = read(&value).filter(|option| {
            let text = option.as_str();
            !text.is_empty() && text.trim() == text
        });
        let place = object.path_of(name);
        let Some(option) = option else {
            return Err(invalid(place, &value, rule));
        };
        if !seen.insert(option.as_str().to_lowercase()) {
            let found = "another one reads alike, which a model can't tell apart";
            return Err(Fault::new(
                FaultKind::Invalid,
                place,
                found,
                "write it otherwise",
            ));
        }
        let description = object.take_any_text("description", DESCRIPTION)?;
        object.refuse_rest("no such field is known")?;
        Ok((option, description))
    };
    list.into_iter().enumerate().map(option).collect()
}
