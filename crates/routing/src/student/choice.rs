//! Which options suit a task, found by cross-validation inside its training examples.

use domain::Labels;

use super::{Example, StudentOptions, TrainError};
use crate::elementary::ln;
use crate::folds::{Folds, out_of_fold};
use crate::random::Random;

/// Folds of the cross-validation.
const FOLDS: usize = 3;

/// Most examples that are looked at; more would take longer and hardly choose otherwise.
const EXAMPLES_MAX: usize = 6_000;

/// With fewer examples a difference would be chance.
const EXAMPLES_MIN: usize = 100;

/// The weaker pull to zero that is tried, as a multiple of `inverse_regularisation`.
const WEAKER_PULL: f64 = 2.0;

impl StudentOptions {
    /// The options among a few that suit these examples best: with near pairs or without, and
    /// with the pull to zero as stated or half as strong. One after the other is kept if it
    /// lowers the mean logarithmic loss of three-fold cross-validation. Takes about six times as
    /// long as training a student. With fewer than 100 examples the options stay as they are.
    ///
    /// Only the examples given are looked at, so records kept for tests must not be among them.
    ///
    /// # Errors
    /// As [`super::Student::train`].
    pub fn chosen_for(self, labels: &Labels, examples: &[Example<'_>]) -> Result<Self, TrainError> {
        let mut drawn = examples.to_vec();
        Random::new(self.seed).shuffle(&mut drawn);
        drawn.truncate(EXAMPLES_MAX);
        let classes: Vec<usize> = drawn.iter().map(|example| example.label).collect();
        let Ok(folds) = Folds::stratified(&classes, FOLDS, self.seed) else {
            return Ok(self);
        };
        if drawn.len() < EXAMPLES_MIN {
            return Ok(self);
        }
        let loss = |options: &Self| mean_loss(labels, &drawn, options, &folds);
        let mut best = self;
        let mut least = loss(&best)?;
        let near = Self {
            near_pairs: !best.near_pairs,
            ..best.clone()
        };
        let near_loss = loss(&near)?;
        if near_loss < least {
            (best, least) = (near, near_loss);
        }
        let weaker = Self {
            inverse_regularisation: (best.inverse_regularisation * WEAKER_PULL).min(1000.0),
            ..best.clone()
        };
        Ok(if loss(&weaker)? < least { weaker } else { best })
    }
}

/// The mean of −ln p(right label) of students that never saw the example, in nats.
fn mean_loss(
    labels: &Labels,
    examples: &[Example<'_>],
    options: &StudentOptions,
    folds: &Folds,
) -> Result<f64, TrainError> {
    let predictions = out_of_fold(labels, examples, options, folds)?;
    let losses = predictions
        .iter()
        .zip(examples)
        .map(|(p, example)| -ln(p.as_slice()[example.label].max(1e-12)));
    Ok(losses.sum::<f64>() / examples.len() as f64)
}
