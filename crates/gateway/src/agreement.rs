//! Whether an answer in free text is the right one: it says the same as the reference, or a person
//! has judged this very answer.

use std::collections::BTreeMap;

use domain::{TaskKind, TierName};
use routing::agreement::normalised;
use serde_json::Value;

/// The form of an answer in which two that say the same are equal: of extracted values every one
/// by its name, of other text the words without what makes no difference.
pub(crate) fn canonical(kind: TaskKind, answer: &str) -> String {
    let values = match kind {
        TaskKind::Extract => fields(answer),
        _ => None,
    };
    let Some(values) = values else {
        return normalised(answer);
    };
    let line = |(name, value): (&String, &String)| format!("{name}={}", normalised(value));
    values.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The values of an answer that holds a JSON object, by their names: those of a list or an object
/// within it by their place in it. A value that is null counts as not given. `None` where there
/// is no object.
pub(crate) fn fields(answer: &str) -> Option<BTreeMap<String, String>> {
    // Models like to write a word before it, or to put it in a fence.
    let object = answer.get(answer.find('{')?..=answer.rfind('}')?)?;
    let object: Value = serde_json::from_str(object).ok()?;
    let mut values = BTreeMap::new();
    collect(String::new(), object, &mut values);
    Some(values)
}

fn collect(name: String, value: Value, values: &mut BTreeMap<String, String>) {
    let within = |part: &str| match name.as_str() {
        "" => part.to_owned(),
        name => format!("{name}.{part}"),
    };
    match value {
        Value::Null => {}
        Value::Bool(flag) => {
            values.insert(name, flag.to_string());
        }
        Value::Number(number) => {
            // 12.50 and 12.5 are one number.
            let plain = number.as_f64().map(|number| number.to_string());
            values.insert(name, plain.unwrap_or_else(|| number.to_string()));
        }
        Value::String(text) => {
            values.insert(name, text);
        }
        Value::Array(list) => {
            for (index, value) in list.into_iter().enumerate() {
                collect(within(&index.to_string()), value, values);
            }
        }
        Value::Object(object) => {
            for (part, value) in object {
                collect(within(&part), value, values);
            }
        }
    }
}

/// What is known of the right answer to a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expected {
    /// The right answer, in canonical form.
    right: Option<String>,
    /// By the tier that gave it: an answer in canonical form that a person has judged.
    judged: BTreeMap<String, (String, bool)>,
}

impl Expected {
    /// What a right answer, and judgements of some tiers' answers, tell; `None` of neither.
    pub(crate) fn of(
        kind: TaskKind,
        right: Option<&str>,
        judged: &[crate::batch::input::Judged],
    ) -> Option<Self> {
        let judged = judged.iter().map(|it| {
            let answer = canonical(kind, &it.answer);
            (it.tier.clone(), (answer, it.correct))
        });
        let expected = Self {
            right: right.map(|right| canonical(kind, right)),
            judged: judged.collect(),
        };
        (expected != Self::default()).then_some(expected)
    }

    /// Whether a tier's answer is right; `None` where nothing is known of this answer, and so
    /// nobody can say that it is.
    pub(crate) fn agrees(&self, kind: TaskKind, tier: &TierName, answer: &str) -> Option<bool> {
        let said = canonical(kind, answer);
        match self.judged.get(tier.as_str()) {
            Some((answer, correct)) if *answer == said => Some(*correct),
            _ => self.right.as_ref().map(|right| *right == said),
        }
    }

    /// All of it as text, for a hash.
    pub(crate) fn told(&self) -> impl Iterator<Item = &str> {
        let judged = self.judged.iter().flat_map(|(tier, (answer, correct))| {
            let verdict = if *correct { "right" } else { "wrong" };
            [tier.as_str(), answer.as_str(), verdict]
        });
        let right = self.right.as_deref();
        right
            .map_or(["unknown", ""], |it| ["known", it])
            .into_iter()
            .chain(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::input::Judged;

    #[test]
    fn extracted_values_are_compared_one_by_one() {
        let same = |a, b| canonical(TaskKind::Extract, a) == canonical(TaskKind::Extract, b);
        let invoice = r#"{"total": 12.50, "to": {"name": "Müller GmbH."}, "vat": null}"#;
        assert!(same(
            invoice,
            "Here it is: ```{\"to\": {\"name\": \"müller gmbh\"}, \"total\": 12.5}```"
        ));
        assert!(!same(
            invoice,
            r#"{"total": 12.51, "to": {"name": "Müller GmbH"}}"#
        ));
        assert!(!same(invoice, r#"{"total": 12.50}"#));
        assert!(!same(r#"{"a": ["x", "y"]}"#, r#"{"a": ["y", "x"]}"#));
        // What is no object is compared as text.
        assert!(same("Nothing found.", "nothing found"));
        assert_eq!(fields("} {"), None);
    }

    #[test]
    fn a_judged_answer_counts_as_judged_and_another_as_the_right_one_says() {
        let llama = TierName::new("llama").unwrap();
        let judged = [Judged {
            tier: "llama".to_owned(),
            answer: "Two cards were stolen.".to_owned(),
            correct: true,
        }];
        let kind = TaskKind::Summarise;
        let expected = Expected::of(kind, None, &judged).unwrap();
        assert_eq!(
            expected.agrees(kind, &llama, "two cards were stolen"),
            Some(true)
        );
        assert_eq!(expected.agrees(kind, &llama, "A card was stolen."), None);
        let known = Expected::of(kind, Some("A card was stolen."), &judged).unwrap();
        assert_eq!(known.agrees(kind, &llama, "a card was stolen"), Some(true));
        assert_eq!(known.agrees(kind, &llama, "nothing"), Some(false));
        assert_eq!(Expected::of(kind, None, &[]), None);
        let words = |it: &Expected| it.told().collect::<Vec<_>>().join("|");
        assert_ne!(words(&expected), words(&known));
    }
}
