//! How likely a tier's answer is right, from everything that is known of it.
//!
//! One raw confidence leaves out what the other tiers said, whether a value stands in its source,
//! and that a model is sure of some labels without cause. A [`Head`] over all of it ranks answers
//! better, where it does: it is only taken if it ranks answers better that it was not fitted on.

mod pieces;

use domain::LabelProbabilities;

use self::pieces::{pieces, prior};
use crate::checks::Checks;
use crate::evidence::Evidence;
use crate::folds::Folds;
use crate::head::{Head, HeadError, Observation, RECORDS_MIN};

/// How strongly the weights are held to zero.
const RIDGE: f64 = 1.0;

/// Folds by which it is judged, and the seed of their cut.
const FOLDS: usize = 5;
const SEED: u64 = 1;

/// Everything that one answer brings.
#[derive(Clone, Debug)]
pub struct Brought<'a> {
    /// What its own tier computed.
    pub evidence: &'a Evidence,
    /// What tiers asked before it give each label, always the same ones in the same order;
    /// `None` of one that gave no answer.
    pub earlier: Vec<Option<&'a LabelProbabilities>>,
    /// Of a free text.
    pub checks: Checks,
}

/// The score of one tier's answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferral {
    head: Head,
    /// The mean log-probability of each label, which a model gives it whatever the text is;
    /// (n_labels), empty for free text.
    prior: Vec<f64>,
}

impl Deferral {
    /// The score that these answers lead to, each with whether it was right; `None` where it
    /// ranks answers that it was not fitted on no better than their raw confidence does.
    ///
    /// # Errors
    /// When there are fewer than 200 answers, or they bring different kinds of evidence.
    pub fn fit(records: &[(Brought<'_>, bool)]) -> Result<Option<Self>, HeadError> {
        if records.len() < RECORDS_MIN {
            return Err(HeadError::TooFew(records.len()));
        }
        let all: Vec<usize> = (0..records.len()).collect();
        let Ok(folds) = Folds::new(records.len(), FOLDS, SEED) else {
            return Err(HeadError::TooFew(records.len()));
        };
        let mut scores = vec![0.0; records.len()];
        for fold in 0..folds.n_folds() {
            let fitted = Self::fit_on(records, &folds.train(fold))?;
            for index in folds.test(fold) {
                scores[index] = fitted.probability(&records[index].0);
            }
        }
        let raw = records
            .iter()
            .map(|(brought, _)| brought.evidence.confidence());
        let right: Vec<bool> = records.iter().map(|(_, right)| *right).collect();
        let raw = ranking(&raw.collect::<Vec<_>>(), &right);
        if ranking(&scores, &right) <= raw {
            return Ok(None);
        }
        Self::fit_on(records, &all).map(Some)
    }

    fn fit_on(records: &[(Brought<'_>, bool)], which: &[usize]) -> Result<Self, HeadError> {
        let prior = prior(which.iter().map(|&index| records[index].0.evidence));
        let mut rising = Vec::new();
        let mut observation = |&index: &usize| {
            let (brought, correct) = &records[index];
            let pieces = pieces(brought, &prior);
            rising = pieces.iter().map(|piece| piece.rises).collect();
            Observation {
                evidence: pieces.iter().map(|piece| piece.value).collect(),
                correct: *correct,
            }
        };
        let observations: Vec<Observation> = which.iter().map(&mut observation).collect();
        // Folds of 200 records are a little smaller.
        let head = Head::fit_rising(&observations, RIDGE, &rising)?;
        Ok(Self { head, prior })
    }

    /// The probability that the answer is right, 0 to 1; 0 where it brings another kind of
    /// evidence than those that it was fitted on.
    #[must_use]
    pub fn probability(&self, brought: &Brought<'_>) -> f64 {
        let n_labels = match brought.evidence {
            Evidence::Labels(own) => own.as_slice().len(),
            Evidence::Tokens(_) => 0,
        };
        let alike =
            |it: &Option<&LabelProbabilities>| it.is_none_or(|it| it.as_slice().len() == n_labels);
        if n_labels != self.prior.len() || !brought.earlier.iter().all(alike) {
            return 0.0;
        }
        let pieces = pieces(brought, &self.prior);
        if pieces.len() + 1 != self.head.weights().len() {
            return 0.0;
        }
        let evidence: Vec<f64> = pieces.iter().map(|piece| piece.value).collect();
        self.head.probability(&evidence)
    }

    /// What is to be kept of it: the head's weights, and the labels' prior.
    #[must_use]
    pub fn parts(&self) -> (&[f64], &[f64]) {
        (self.head.weights(), &self.prior)
    }

    /// The score of these parts; `None` where they hold no finite numbers, or no weight.
    #[must_use]
    pub fn from_parts(weights: Vec<f64>, prior: Vec<f64>) -> Option<Self> {
        let sound = prior.iter().all(|x| x.is_finite());
        let head = Head::from_weights(weights)?;
        sound.then_some(Self { head, prior })
    }
}

/// The probability that a right answer has a higher score than a wrong one, equals counting half
/// (Mann & Whitney 1947); a half where all are right or all are wrong.
fn ranking(scores: &[f64], right: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut wrong_below, mut wins, mut n_right) = (0.0, 0.0, 0.0);
    for equals in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let rights = equals.iter().filter(|&&index| right[index]).count() as f64;
        let wrongs = equals.len() as f64 - rights;
        wins += rights * (wrong_below + 0.5 * wrongs);
        wrong_below += wrongs;
        n_right += rights;
    }
    let pairs = n_right * wrong_below;
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

#[cfg(test)]
mod tests;
