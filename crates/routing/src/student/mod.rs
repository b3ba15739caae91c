//! The student: a classifier that learns a task from the task's own labels.
//!
//! Multinomial logistic regression with L2 regularisation over hashed word and character n-grams
//! ([`crate::ngrams`]), weighted by tf-idf with a logarithmic term frequency. It learns some
//! thousand documents in a second on one core and answers in microseconds; from about a thousand
//! labels up it is often better than a prompted frontier model.

mod choice;
mod format;
mod training;
mod vocabulary;

use domain::{LabelProbabilities, Labels};

pub use format::StudentFileError;
use vocabulary::Vocabulary;

use crate::ngrams::Ngrams;

/// A text with the index of its right label.
#[derive(Clone, Copy)]
pub struct Example<'a> {
    /// The text.
    pub text: &'a str,
    /// The index of its label in the labels' order.
    pub label: usize,
}

/// How a student learns. The defaults suit short texts with hundreds to ten thousands of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct StudentOptions {
    /// How far the examples outweigh the pull to zero: the `C` of logistic regression, greater
    /// than 0 and at most 1,000.
    pub inverse_regularisation: f64,
    /// Most rounds over all examples, at least 1; learning ends sooner when it has converged.
    pub rounds_max: u32,
    /// In how many examples an n-gram must occur to be learned, at least 1.
    pub min_documents: u32,
    /// Most n-grams that are learned, at least 1; the most frequent are kept.
    pub features_max: u32,
    /// Whether pairs of words that stand near each other are learned too, beside neighbours: it
    /// helps where a text is about several things and hurts where single words say it all;
    /// [`StudentOptions::chosen_for`] finds out.
    pub near_pairs: bool,
    /// Orders the examples in each round.
    pub seed: u64,
}

impl Default for StudentOptions {
    fn default() -> Self {
        Self {
            inverse_regularisation: 10.0,
            rounds_max: 40,
            min_documents: 2,
            features_max: 1 << 18,
            near_pairs: false,
            seed: 1,
        }
    }
}

/// Why no student can be trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The examples show fewer than two different labels.
    #[error(
        "{examples} example(s) show {labels_seen} of {labels} labels; a student needs examples of at least two labels"
    )]
    TooFewLabels {
        /// Examples given.
        examples: usize,
        /// Different labels among them.
        labels_seen: usize,
        /// Labels of the task.
        labels: usize,
    },
    /// An example's label is none of the task's.
    #[error("examples[{example}].label: {label} is no label's index; there are {labels} labels")]
    NoSuchLabel {
        /// The example's position.
        example: usize,
        /// Its label.
        label: usize,
        /// Labels of the task.
        labels: usize,
    },
    /// No n-gram occurs in enough examples.
    #[error(
        "no n-gram occurs in {min_documents} of the {examples} examples; give more examples or a lower `min_documents`"
    )]
    NothingInCommon {
        /// Examples given.
        examples: usize,
        /// In how many an n-gram must occur.
        min_documents: u32,
    },
    /// An option is outside its range.
    #[error("{option}: {value} is outside {range}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        range: &'static str,
    },
}

/// A trained classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Student {
    labels: Labels,
    options: StudentOptions,
    /// How many examples of each label it was trained on; (n_labels).
    support: Vec<u32>,
    vocabulary: Vocabulary,
    /// A weight for each n-gram and label, a row of labels for each n-gram, and last the row of
    /// the constant; (n_features + 1, n_labels).
    weights: Vec<f32>,
}

impl Student {
    /// A student that has learned these examples. The same labels, examples (in the same order)
    /// and options give the same student to the bit. Labels without an example are never
    /// answered with confidence; [`Student::unseen_labels`] names them.
    ///
    /// # Errors
    /// When the examples show fewer than two labels, share no n-gram, name a label that does not
    /// exist, or when an option is outside its range.
    pub fn train(
        labels: &Labels,
        examples: &[Example<'_>],
        options: &StudentOptions,
    ) -> Result<Self, TrainError> {
        options.check()?;
        let support = support(labels.len(), examples)?;
        let texts: Vec<_> = examples.iter().map(|e| options.ngrams(e.text)).collect();
        let vocabulary = Vocabulary::learn(&texts, options);
        if vocabulary.len() == 0 {
            return Err(TrainError::NothingInCommon {
                examples: examples.len(),
                min_documents: options.min_documents,
            });
        }
        let mut rows = training::Rows::default();
        for (text, example) in texts.iter().zip(examples) {
            rows.push(&vocabulary.encode(text), example.label);
        }
        let weights = training::weights(&rows, vocabulary.len(), labels.len(), options);
        Ok(Self {
            labels: labels.clone(),
            options: options.clone(),
            support,
            vocabulary,
            weights,
        })
    }

    /// A probability for each label.
    #[must_use]
    pub fn predict(&self, text: &str) -> LabelProbabilities {
        let ngrams = self.options.ngrams(text);
        let mut scores = vec![0.0_f32; self.labels.len()];
        for (feature, value) in self.vocabulary.encode(&ngrams) {
            training::add_scaled(&mut scores, self.row(feature as usize), value);
        }
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        LabelProbabilities::from_logits(&scores)
    }

    /// The labels, in the order of the probabilities.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// How it learned.
    #[must_use]
    pub fn options(&self) -> &StudentOptions {
        &self.options
    }

    /// How many examples of each label it was trained on, in the labels' order.
    #[must_use]
    pub fn support(&self) -> &[u32] {
        &self.support
    }

    /// How many n-grams it knows.
    #[must_use]
    pub fn features(&self) -> usize {
        self.vocabulary.len()
    }

    /// The indices of labels of which it has seen no example.
    #[must_use]
    pub fn unseen_labels(&self) -> Vec<usize> {
        (0..self.support.len())
            .filter(|&label| self.support[label] == 0)
            .collect()
    }

    fn row(&self, feature: usize) -> &[f32] {
        let n_labels = self.labels.len();
        &self.weights[feature * n_labels..(feature + 1) * n_labels]
    }
}

impl StudentOptions {
    /// The n-grams of a text that are learned.
    fn ngrams(&self, text: &str) -> Ngrams {
        if self.near_pairs {
            Ngrams::with_near_pairs(text)
        } else {
            Ngrams::of(text)
        }
    }

    fn check(&self) -> Result<(), TrainError> {
        let fault = |option, value: String, range| {
            Err(TrainError::Option {
                option,
                value,
                range,
            })
        };
        let c = self.inverse_regularisation;
        if !(c > 0.0 && c <= 1000.0) {
            return fault(
                "inverse_regularisation",
                c.to_string(),
                "0 (exclusive) to 1000",
            );
        }
        for (option, value) in [
            ("rounds_max", self.rounds_max),
            ("min_documents", self.min_documents),
            ("features_max", self.features_max),
        ] {
            if value == 0 {
                return fault(option, value.to_string(), "1 to 4294967295");
            }
        }
        Ok(())
    }
}

fn support(n_labels: usize, examples: &[Example<'_>]) -> Result<Vec<u32>, TrainError> {
    let mut support = vec![0_u32; n_labels];
    for (index, example) in examples.iter().enumerate() {
        let Some(count) = support.get_mut(example.label) else {
            return Err(TrainError::NoSuchLabel {
                example: index,
                label: example.label,
                labels: n_labels,
            });
        };
        *count += 1;
    }
    let labels_seen = support.iter().filter(|&&count| count > 0).count();
    if labels_seen < 2 {
        return Err(TrainError::TooFewLabels {
            examples: examples.len(),
            labels_seen,
            labels: n_labels,
        });
    }
    Ok(support)
}
