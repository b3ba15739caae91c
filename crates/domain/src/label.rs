//! Labels: the classes that a classifier may answer, and probabilities over them.

use std::collections::HashSet;

/// One class that a classifier may answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The answer itself, for example `money-laundering`.
    pub name: String,
    /// When it applies, in words that a model is shown.
    pub definition: Option<String>,
}

/// At least two labels of different names; their order is the order of every probability vector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels(Vec<Label>);

/// Why a list is no set of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// Fewer than two.
    #[error("{0} label(s); a classifier needs at least two")]
    TooFew(usize),
    /// Empty, or with space around it.
    #[error("`{0}` is no label; a label is a text without space around it")]
    NotALabel(String),
    /// Twice in the list.
    #[error("`{0}` stands twice; each label must differ from the others, also by case")]
    Twice(String),
}

impl Labels {
    /// The checked labels.
    ///
    /// # Errors
    /// When there are fewer than two, or one is empty, padded with space, or differs from
    /// another by case alone.
    pub fn new(labels: Vec<Label>) -> Result<Self, LabelsError> {
        if labels.len() < 2 {
            return Err(LabelsError::TooFew(labels.len()));
        }
        let mut seen = HashSet::new();
        for label in &labels {
            if label.name.is_empty() || label.name.trim() != label.name {
                return Err(LabelsError::NotALabel(label.name.clone()));
            }
            if !seen.insert(label.name.to_lowercase()) {
                return Err(LabelsError::Twice(label.name.clone()));
            }
        }
        Ok(Self(labels))
    }

    /// The labels in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Label> {
        self.0.iter()
    }

    /// How many there are; at least two.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a set of labels is never empty"
    )]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of the label at an index of a probability vector.
    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        &self.0[index].name
    }

    /// The index of the label that a written answer names. Space, case, quotation marks and a
    /// full stop around it are forgiven; anything else is `None`.
    #[must_use]
    pub fn parse(&self, answer: &str) -> Option<usize> {
        let fringe = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '.');
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let bare = answer.trim_matches(fringe);
        self.0
            .iter()
            .position(|label| same(&label.name, answer.trim()))
            .or_else(|| {
                self.0
                    .iter()
                    .position(|label| same(label.name.trim_matches(fringe), bare))
            })
    }
}

/// A probability for each label of a task, in the labels' order, summing to one.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelProbabilities(Vec<f64>);

impl LabelProbabilities {
    /// The softmax of log-probabilities or logits that need not be normalised. An entry of
    /// minus infinity gets probability 0.
    ///
    /// # Panics
    /// When the slice is empty, or no entry is finite, or one is NaN or plus infinity: a tier
    /// that yields such scores is broken.
    #[must_use]
    pub fn from_logits(logits: &[f64]) -> Self {
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(top.is_finite(), "label scores hold no finite number");
        assert!(logits.iter().all(|x| !x.is_nan()), "a label score is NaN");
        let weights: Vec<f64> = logits.iter().map(|x| (x - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        Self(weights.into_iter().map(|w| w / sum).collect())
    }

    /// The probabilities in the labels' order.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The index of the likeliest label (the first of equals) and its probability.
    #[must_use]
    pub fn top(&self) -> (usize, f64) {
        let mut best = (0, self.0[0]);
        for (index, &probability) in self.0.iter().enumerate().skip(1) {
            if probability > best.1 {
                best = (index, probability);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(names: &[&str]) -> Result<Labels, LabelsError> {
        let label = |name: &&str| Label {
            name: (*name).to_owned(),
            definition: None,
        };
        Labels::new(names.iter().map(label).collect())
    }

    #[test]
    fn labels_are_two_or_more_and_differ() {
        assert_eq!(labels(&["a"]), Err(LabelsError::TooFew(1)));
        assert_eq!(labels(&["up", "Up"]), Err(LabelsError::Twice("Up".into())));
        assert_eq!(
            labels(&["up", " "]),
            Err(LabelsError::NotALabel(" ".into()))
        );
        assert_eq!(labels(&["up", "down"]).unwrap().len(), 2);
    }

    #[test]
    fn an_answer_is_read_with_its_fringe_but_nothing_more() {
        let labels = labels(&["up", "down", "N.A."]).unwrap();
        for (answer, index) in [
            ("up", 0),
            (" Down.\n", 1),
            ("\"UP\"", 0),
            ("**down**", 1),
            ("N.A.", 2),
        ] {
            assert_eq!(labels.parse(answer), Some(index), "{answer}");
        }
        for answer in ["", "up or down", "upward", "the answer is up"] {
            assert_eq!(labels.parse(answer), None, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn softmax_is_a_distribution_that_keeps_the_order(
            logits in proptest::collection::vec(-500.0_f64..500.0, 2..20)
        ) {
            let p = LabelProbabilities::from_logits(&logits);
            prop_assert!((p.as_slice().iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let (top, _) = p.top();
            prop_assert!(logits.iter().all(|&x| x <= logits[top]));
        }
    }
}
