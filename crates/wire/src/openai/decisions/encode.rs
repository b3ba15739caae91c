//! The answers as our clients get them.

use domain::Usage;

use super::{Ask, Choice, ChoiceValue, Level, Question};
use crate::json::{Fields, Json, list};

/// The whole answer as JSON. Of each question `answers` has the probabilities of its options, in
/// their order and summing to one. A score is the mean of the levels' numbers, counted from 0; the
/// confidence of a choice or a score is the probability of its likeliest option.
///
/// # Panics
/// When a question has another number of probabilities than of options: that is our own fault.
#[must_use]
pub fn encode_decision(model: &str, answers: &[(&Question, &[f64])], usage: &Usage) -> String {
    let answers = answers.iter().map(|&(question, it)| answer(question, it));
    let read = Fields::new()
        .with("cached_tokens", usage.cached_prompt.0)
        .with("cache_write_tokens", usage.cache_write_prompt.0);
    let written = Fields::new().with("reasoning_tokens", usage.reasoning.0);
    let usage = Fields::new()
        .with("input_tokens", usage.prompt.0)
        .with("input_tokens_details", read)
        .with("output_tokens", usage.completion.0)
        .with("output_tokens_details", written)
        .with("total_tokens", usage.prompt.0 + usage.completion.0);
    Fields::new()
        .with("model", model)
        .with("answers", list(answers))
        .with("usage", usage)
        .encode()
}

fn answer<'a>(question: &'a Question, probabilities: &[f64]) -> Fields<'a> {
    assert_eq!(question.options().len(), probabilities.len());
    let name = question.name.as_ref().map_or(Json::Null, Json::from);
    let head = |kind: &'static str| Fields::new().with("type", kind).with("name", name);
    match &question.ask {
        Ask::Predicate => head("predicate").with("probability", probabilities[0]),
        Ask::Choice(choices) => {
            let likeliest = top(probabilities);
            let of = |(choice, &probability): (&'a Choice, &f64)| {
                Fields::new()
                    .with("value", value(&choice.value))
                    .with("probability", probability)
            };
            head("choice")
                .with("choice", value(&choices[likeliest].value))
                .with(
                    "probabilities",
                    list(choices.iter().zip(probabilities).map(of)),
                )
                .with("confidence", probabilities[likeliest])
        }
        Ask::Score(levels) => {
            let of = |((number, level), &probability): ((u64, &'a Level), &f64)| {
                Fields::new()
                    .with("value", number)
                    .with("label", &level.label)
                    .with("probability", probability)
            };
            let numbered = (0_u64..).zip(levels);
            let mean = (0_u32..).zip(probabilities);
            let mean: f64 = mean.map(|(number, it)| f64::from(number) * it).sum();
            head("score")
                .with("score", mean)
                .with("probabilities", list(numbered.zip(probabilities).map(of)))
                .with("confidence", probabilities[top(probabilities)])
        }
    }
}

/// The first of the likeliest.
fn top(probabilities: &[f64]) -> usize {
    let mut top = 0;
    for (index, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[top] {
            top = index;
        }
    }
    top
}

fn value(value: &ChoiceValue) -> Json<'_> {
    match value {
        ChoiceValue::Text(text) => text.into(),
        ChoiceValue::Truth(truth) => (*truth).into(),
    }
}
