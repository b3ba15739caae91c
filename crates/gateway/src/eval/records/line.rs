//! A line of a file of records, as many programs write them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{EvalRecord, ModelAnswer};

/// The record of a line that stands at a place.
///
/// # Errors
/// When it is none; the message says where and what to do.
pub(super) fn parse(line: &str, place: &str) -> anyhow::Result<EvalRecord> {
    let line = &with_null_for_nan(line);
    let mut json = serde_json::Deserializer::from_str(line);
    let raw: Line = serde_path_to_error::deserialize(&mut json).map_err(|fault| {
        let path = fault.path().to_string();
        anyhow::anyhow!(
            "{place}: {path}: {}; a record is one JSON object such as \
             {{\"id\": \"7\", \"text\": \"gold falls\", \"gold\": \"down\"}}",
            fault.inner()
        )
    })?;
    json.end().map_err(|_| {
        anyhow::anyhow!("{place}: text after the record; put each record on a line of its own")
    })?;
    let answer = |(name, raw): (String, RawAnswer)| {
        let answer = ModelAnswer {
            answer: raw.answer.map(Answer::into_text),
            correct: raw.correct,
            confidence: raw.confidence,
            logits: raw.logits,
            cost_usd: raw.cost_usd,
        };
        (name, answer)
    };
    Ok(EvalRecord {
        id: raw.id.into_text(),
        place: place.to_owned(),
        text: raw.text,
        gold: raw.gold.map(Answer::into_text),
        subject: raw.subject,
        models: raw.models.into_iter().map(answer).collect(),
    })
}

#[derive(Deserialize)]
struct Line {
    id: Answer,
    text: Option<String>,
    gold: Option<Answer>,
    subject: Option<String>,
    #[serde(default)]
    models: BTreeMap<String, RawAnswer>,
}

#[derive(Deserialize)]
struct RawAnswer {
    answer: Option<Answer>,
    #[serde(default, deserialize_with = "truth")]
    correct: Option<bool>,
    confidence: Option<f64>,
    logits: Option<Vec<f64>>,
    cost_usd: Option<f64>,
}

/// Some sources write 1 and 0 for true and false.
fn truth<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<bool>, D::Error> {
    match Option::<Answer>::deserialize(source)? {
        None => Ok(None),
        Some(Answer::Truth(truth)) => Ok(Some(truth)),
        Some(Answer::Integer(number @ (0 | 1))) => Ok(Some(number == 1)),
        Some(_) => Err(serde::de::Error::custom("it is true, false, 1, 0 or null")),
    }
}

/// An answer is a text or the number of a label.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an answer is a text, a number or true or false")]
enum Answer {
    Text(String),
    Integer(i64),
    Number(f64),
    Truth(bool),
}

impl Answer {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// Python writes numbers that are none as `NaN`, `Infinity` and `-Infinity`, which JSON doesn't
/// have; outside of texts they are read as null, that is as absent.
fn with_null_for_nan(line: &str) -> Cow<'_, str> {
    if !line.contains("NaN") && !line.contains("Infinity") {
        return Cow::Borrowed(line);
    }
    let (mut clean, mut in_text, mut rest) = (String::with_capacity(line.len()), false, line);
    while let Some(first) = rest.chars().next() {
        let number = ["NaN", "-Infinity", "Infinity"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        let taken = match (in_text, first, number) {
            (false, _, Some(word)) => {
                clean.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            (true, '\\', _) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => first.len_utf8(),
        };
        in_text ^= first == '"';
        clean.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Cow::Owned(clean)
}
