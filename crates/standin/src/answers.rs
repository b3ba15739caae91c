//! What the stand-in answers.

use std::collections::HashMap;

use domain::{Message, Prompt, Role};
use sha2::{Digest, Sha256};

/// The answer to a text that is not known.
const UNKNOWN: &str = "I can't answer this: the text is not known to me.";

type TextHash = [u8; 32];

/// Right answers to the texts of one task. Texts are kept as SHA-256 only.
#[derive(Clone, Debug, Default)]
pub struct AnswerSet {
    labels: Vec<String>,
    answers: HashMap<TextHash, String>,
}

impl AnswerSet {
    /// The set of these texts with their right answers. Wrong ones are drawn from the labels; a
    /// task without labels has none, and its wrong answer is that of a text not known.
    pub fn new(labels: Vec<String>, known: impl IntoIterator<Item = (String, String)>) -> Self {
        let hashed = |(text, answer): (String, String)| (hash(&text), answer);
        Self {
            labels,
            answers: known.into_iter().map(hashed).collect(),
        }
    }

    fn fits(&self, text: &TextHash, system: &str) -> bool {
        self.answers.contains_key(text) && self.labels.iter().all(|label| system.contains(label))
    }
}

/// Right answers to the texts of any number of tasks.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<AnswerSet>);

impl Answers {
    /// The answers of these sets. Two tasks may ask about the same text: the answer comes from
    /// the first set that knows the text and whose labels all stand in the system message, or,
    /// where there is no such set, from the first that knows the text.
    #[must_use]
    pub fn new(sets: Vec<AnswerSet>) -> Self {
        Self(sets)
    }

    /// The answer to a prompt's last message of a user. Whether it is wrong depends on the seed
    /// and the text alone, so that each repetition gets the same.
    pub(crate) fn answer(&self, prompt: &Prompt, wrongness: &Wrongness) -> &str {
        let last = |role| {
            let mut messages = prompt.messages.iter().rev();
            let message = messages.find(|message| message.role == role);
            message.map(Message::text).unwrap_or_default()
        };
        let (text, system) = (hash(&last(Role::User)), last(Role::System));
        let fitting = self.0.iter().find(|set| set.fits(&text, &system));
        let knowing = || self.0.iter().find(|set| set.answers.contains_key(&text));
        let Some(set) = fitting.or_else(knowing) else {
            return UNKNOWN;
        };
        let right = &set.answers[&text];
        match wrongness.draw(&text) {
            None => right,
            Some(draw) => {
                let others = || set.labels.iter().filter(|label| *label != right);
                let count = others().count() as u64;
                let chosen = draw.checked_rem(count).unwrap_or_default();
                let chosen = usize::try_from(chosen).unwrap_or_default();
                others().nth(chosen).map_or(UNKNOWN, String::as_str)
            }
        }
    }
}

/// How often answers are wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrongness {
    /// Share of the texts that are answered wrongly, 0 to 1.
    pub(crate) rate: f64,
    pub(crate) seed: u64,
}

impl Wrongness {
    /// `None` for a text to be answered rightly, otherwise a number to choose the wrong answer by.
    fn draw(&self, text: &TextHash) -> Option<u64> {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(text);
        let drawn: TextHash = hash.finalize().into();
        let (first, second) = (number(&drawn[..8]), number(&drawn[8..16]));
        (unit(first) < self.rate).then_some(second)
    }
}

/// A number from 0 up to, and without, 1.
#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits are what a float holds exactly"
)]
pub(crate) fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// The first eight bytes as a number.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(first)
}

fn hash(text: &str) -> TextHash {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Wrongness = Wrongness { rate: 0.0, seed: 1 };

    fn set(labels: &[&str], known: &[(&str, &str)]) -> AnswerSet {
        let owned = |(text, answer): &(&str, &str)| ((*text).to_owned(), (*answer).to_owned());
        let labels = labels.iter().map(ToString::to_string).collect();
        AnswerSet::new(labels, known.iter().map(owned))
    }

    fn prompt(system: &str, user: &str) -> Prompt {
        let messages = vec![
            Message::new(Role::System, system),
            Message::new(Role::User, user),
        ];
        Prompt::new(messages)
    }

    #[test]
    fn the_same_text_is_answered_by_task() {
        let answers = Answers::new(vec![
            set(&["alert", "note"], &[("t", "note")]),
            set(&["suspicious", "clear"], &[("t", "clear")]),
        ]);
        let answer = |system, user| answers.answer(&prompt(system, user), &NEVER).to_owned();
        assert_eq!(answer("labels: alert, note", "t"), "note");
        assert_eq!(answer("labels: suspicious, clear", "t"), "clear");
        assert_eq!(answer("", "t"), "note");
        assert_eq!(answer("labels: alert, note", "u"), UNKNOWN);
    }

    #[test]
    fn the_rate_of_wrong_answers_is_kept_and_comes_from_the_seed() {
        let texts: Vec<String> = (0..4_000).map(|n| format!("text {n}")).collect();
        let known: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), "b")).collect();
        let answers = Answers::new(vec![set(&["a", "b", "c"], &known)]);
        let wrong = |seed| {
            let wrongness = Wrongness { rate: 0.05, seed };
            let answer = |text: &String| answers.answer(&prompt("", text), &wrongness).to_owned();
            texts.iter().map(answer).collect::<Vec<_>>()
        };
        let drawn = wrong(1);
        let count = |label: &str| drawn.iter().filter(|answer| *answer == label).count();
        // 200 expected, standard deviation 14; each wrong label half of them.
        assert!((140..=260).contains(&(count("a") + count("c"))));
        assert!(count("a") > 50 && count("c") > 50);
        assert_eq!(count("a") + count("b") + count("c"), 4_000);
        assert_eq!(drawn, wrong(1));
        assert_ne!(drawn, wrong(2));
    }
}
