//! The deferral head: from several pieces of evidence to one probability of being right.
//!
//! Logistic regression with L2 regularisation, small enough to be fitted on 200 records. It must
//! be fitted on other records than those that certify with its score.

use crate::elementary::exp;

/// Fewest records to fit on.
pub const RECORDS_MIN: usize = 200;

/// A fitted head.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The constant first; (1 + n_features).
    weights: Vec<f64>,
}

/// Why no head can be fitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Fewer records than [`RECORDS_MIN`].
    #[error("{0} record(s); a deferral head needs 200 or more")]
    TooFew(usize),
    /// A record's evidence is not as long as the first one's, or holds no finite number.
    #[error("record {0}: its evidence differs in length from the first, or is no finite number")]
    Evidence(usize),
}

/// One record: its evidence, each piece of the size of about 1, and whether the answer was right.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The evidence; (n_features).
    pub evidence: Vec<f64>,
    /// Whether the answer was right.
    pub correct: bool,
}

impl Head {
    /// The head that makes these records likeliest, its weights but for the constant being held
    /// to zero by `ridge` times half their squares (1 is as much as a few records say).
    ///
    /// # Errors
    /// When there are too few records or their evidence is not of one shape.
    pub fn fit(records: &[Observation], ridge: f64) -> Result<Self, HeadError> {
        if records.len() < RECORDS_MIN {
            return Err(HeadError::TooFew(records.len()));
        }
        Self::fit_but(records, ridge, &[])
    }

    /// The same among those heads in which more of the evidence marked so never makes an answer
    /// less likely to be right: of what chance would have count the other way round, nothing is
    /// counted. Whoever judges it by folds of 200 records may give a fifth fewer.
    ///
    /// # Errors
    /// As [`Head::fit`].
    pub fn fit_rising(
        records: &[Observation],
        ridge: f64,
        rising: &[bool],
    ) -> Result<Self, HeadError> {
        if records.len() * 5 < RECORDS_MIN * 4 {
            return Err(HeadError::TooFew(records.len()));
        }
        let mut left_out = Vec::new();
        loop {
            let head = Self::fit_but(records, ridge, &left_out)?;
            let falls = |&at: &usize| head.weights[at + 1] < 0.0 && !left_out.contains(&at);
            let marked = (0..rising.len()).filter(|&at| rising[at]);
            // One at a time: what stands in for another may count the right way without it.
            let worst = marked
                .filter(falls)
                .min_by(|&a, &b| head.weights[a + 1].total_cmp(&head.weights[b + 1]));
            match worst {
                Some(worst) => left_out.push(worst),
                None => return Ok(head),
            }
        }
    }

    /// The head without what is left out.
    fn fit_but(records: &[Observation], ridge: f64, left_out: &[usize]) -> Result<Self, HeadError> {
        const STEPS: usize = 25;
        let n = records[0].evidence.len();
        let sound =
            |r: &Observation| r.evidence.len() == n && r.evidence.iter().all(|x| x.is_finite());
        if let Some(index) = records.iter().position(|record| !sound(record)) {
            return Err(HeadError::Evidence(index));
        }
        let mut head = Self {
            weights: vec![0.0; n + 1],
        };
        for _ in 0..STEPS {
            let step = head.newton_step(records, ridge, left_out);
            // A bounded step keeps Newton's method from leaping where the data are separable.
            let longest = step.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            let scale = if longest > 2.0 { 2.0 / longest } else { 1.0 };
            head.weights
                .iter_mut()
                .zip(&step)
                .for_each(|(weight, step)| *weight += scale * step);
            if longest < 1e-9 {
                break;
            }
        }
        Ok(head)
    }

    /// What is to be kept of it: the constant and the weight of each piece of evidence;
    /// (1 + n_features).
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The head with these weights; `None` of none, or where one is no finite number.
    #[must_use]
    pub fn from_weights(weights: Vec<f64>) -> Option<Self> {
        let sound = !weights.is_empty() && weights.iter().all(|weight| weight.is_finite());
        sound.then_some(Self { weights })
    }

    /// The probability that the answer is right.
    #[must_use]
    pub fn probability(&self, evidence: &[f64]) -> f64 {
        let sum = self.weights[1..]
            .iter()
            .zip(evidence)
            .map(|(w, x)| w * x)
            .sum::<f64>();
        1.0 / (1.0 + exp(-(self.weights[0] + sum)))
    }

    fn newton_step(&self, records: &[Observation], ridge: f64, left_out: &[usize]) -> Vec<f64> {
        let n = self.weights.len();
        let mut curvature = vec![vec![0.0; n]; n];
        let mut slope = vec![0.0; n];
        for record in records {
            let p = self.probability(&record.evidence);
            let error = f64::from(u8::from(record.correct)) - p;
            let feature = |i: usize| if i == 0 { 1.0 } else { record.evidence[i - 1] };
            for i in 0..n {
                slope[i] += error * feature(i);
                for (j, cell) in curvature[i].iter_mut().enumerate() {
                    *cell += p * (1.0 - p) * feature(i) * feature(j);
                }
            }
        }
        for i in 0..n {
            // The constant is all but free.
            let hold = if i == 0 { 1e-3 } else { ridge };
            curvature[i][i] += hold;
            slope[i] -= hold * self.weights[i];
        }
        for i in left_out.iter().map(|at| at + 1) {
            curvature.iter_mut().for_each(|row| row[i] = 0.0);
            curvature[i].fill(0.0);
            curvature[i][i] = 1.0;
            slope[i] = 0.0;
        }
        solve(curvature, slope)
    }
}

/// The solution of a symmetric, positive definite system, by elimination.
fn solve(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for pivot in 0..n {
        let (above, below) = rows.split_at_mut(pivot + 1);
        let top = &above[pivot];
        for (offset, row) in below.iter_mut().enumerate() {
            let factor = row[pivot] / top[pivot];
            row.iter_mut()
                .zip(top)
                .for_each(|(cell, top)| *cell -= factor * top);
            right[pivot + 1 + offset] -= factor * right[pivot];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| rows[i][j] * right[j]).sum();
        right[i] = (right[i] - known) / rows[i][i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn observations(n: usize, seed: u64, truth: impl Fn(&[f64]) -> f64) -> Vec<Observation> {
        let mut random = Random::new(seed);
        let one = |_| {
            let evidence = vec![
                2.0 * random.unit() - 1.0,
                f64::from(u8::from(random.below(2) == 0)),
            ];
            let correct = random.unit() < 1.0 / (1.0 + exp(-truth(&evidence)));
            Observation { evidence, correct }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn it_finds_the_weights_that_made_the_records() {
        let records = observations(20_000, 1, |x| 0.5 + 2.0 * x[0] - x[1]);
        let head = Head::fit(&records, 1.0).unwrap();
        for (weight, truth) in head.weights.iter().zip([0.5, 2.0, -1.0]) {
            assert!((weight - truth).abs() < 0.15, "{:?}", head.weights);
        }
    }

    #[test]
    fn too_few_or_misshapen_records_are_refused() {
        assert_eq!(
            Head::fit(&observations(199, 1, |_| 0.0), 1.0),
            Err(HeadError::TooFew(199))
        );
        let mut records = observations(300, 1, |_| 0.0);
        records[7].evidence.pop();
        assert_eq!(Head::fit(&records, 1.0), Err(HeadError::Evidence(7)));
    }

    #[test]
    fn separable_records_give_finite_weights() {
        let mut records = observations(300, 1, |_| 0.0);
        records
            .iter_mut()
            .for_each(|r| r.correct = r.evidence[0] > 0.0);
        let head = Head::fit(&records, 1.0).unwrap();
        assert!(head.weights.iter().all(|w| w.is_finite()));
        assert!(head.probability(&[0.9, 0.0]) > 0.95);
    }

    #[test]
    fn what_should_rise_never_falls() {
        let records = observations(2_000, 1, |x| 0.5 - 2.0 * x[0] + x[1]);
        assert!(Head::fit(&records, 1.0).unwrap().weights()[1] < -1.5);
        let head = Head::fit_rising(&records, 1.0, &[true, true]).unwrap();
        assert_eq!(head.weights()[1], 0.0);
        assert!(head.weights()[2] > 0.5, "{head:?}");
        let free = Head::fit_rising(&records, 1.0, &[false, false]).unwrap();
        assert_eq!(free, Head::fit(&records, 1.0).unwrap());
    }

    proptest! {
        #[test]
        fn the_slope_vanishes_where_it_ends(seed: u64, ridge in 0.1_f64..10.0) {
            let records = observations(250, seed, |x| x[0]);
            let head = Head::fit(&records, ridge).unwrap();
            let step = head.newton_step(&records, ridge, &[]);
            prop_assert!(step.iter().all(|x| x.abs() < 1e-6));
        }
    }
}
