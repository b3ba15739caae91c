//! Multinomial logistic regression by stochastic dual coordinate ascent.
//!
//! Shalev-Shwartz & Zhang, "Accelerated proximal stochastic dual coordinate ascent" (2014), with
//! the block of one example's dual variables maximised exactly, as Yu, Huang & Lin, "Dual
//! coordinate descent methods for logistic regression and maximum entropy models" (2011) do for
//! single variables. It needs no step size, and its only state beside the weights is, for each
//! example, the probabilities q that the weights imply: W = C Σᵢ xᵢ (e_yᵢ − qᵢ)ᵀ always holds, and
//! at the optimum qᵢ = softmax(W xᵢ).

use super::StudentOptions;
use crate::elementary::{exp, ln};
use crate::random::Random;

/// Learning ends when a round moves the q of an example by less than this on average (L1).
const MOVE_MIN: f64 = 2e-3;

/// Sparse rows with their labels.
#[derive(Default)]
pub(super) struct Rows {
    cells: Vec<(u32, f32)>,
    /// Where each row ends in `cells`; (n_rows).
    ends: Vec<usize>,
    labels: Vec<usize>,
}

impl Rows {
    pub(super) fn push(&mut self, cells: &[(u32, f32)], label: usize) {
        self.cells.extend_from_slice(cells);
        self.ends.push(self.cells.len());
        self.labels.push(label);
    }

    fn row(&self, index: usize) -> &[(u32, f32)] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.cells[start..self.ends[index]]
    }
}

/// The weights, a row of labels for each feature, the constant's row last;
/// (n_features + 1, n_labels).
pub(super) fn weights(
    rows: &Rows,
    n_features: usize,
    n_labels: usize,
    options: &StudentOptions,
) -> Vec<f32> {
    let c = options.inverse_regularisation;
    let n_rows = rows.labels.len();
    let mut weights = vec![0.0_f32; (n_features + 1) * n_labels];
    let mut implied = vec![0.0_f64; n_rows * n_labels];
    for (row, &label) in rows.labels.iter().enumerate() {
        implied[row * n_labels + label] = 1.0;
    }
    let mut order: Vec<usize> = (0..n_rows).collect();
    let mut random = Random::new(options.seed);
    let mut block = Block::new(n_labels);
    let mut scores = vec![0.0_f32; n_labels];
    for _ in 0..options.rounds_max {
        random.shuffle(&mut order);
        let mut moved = 0.0;
        for &index in &order {
            let cells = rows.row(index);
            scores.fill(0.0);
            for &(feature, value) in cells {
                let at = feature as usize * n_labels;
                add_scaled(&mut scores, &weights[at..at + n_labels], value);
            }
            let square: f32 = cells.iter().map(|(_, value)| value * value).sum();
            let implied = &mut implied[index * n_labels..(index + 1) * n_labels];
            moved += block.ascend(&scores, c * f64::from(square), implied);
            let step: Vec<f32> = block
                .change
                .iter()
                .map(|change| (-c * change) as f32)
                .collect();
            for &(feature, value) in cells {
                let at = feature as usize * n_labels;
                add_scaled(&mut weights[at..at + n_labels], &step, value);
            }
        }
        if moved < MOVE_MIN * n_rows as f64 {
            break;
        }
    }
    weights
}

/// `target += scale * row`, label by label, so that the order of sums is fixed.
pub(super) fn add_scaled(target: &mut [f32], row: &[f32], scale: f32) {
    for (target, weight) in target.iter_mut().zip(row) {
        *target += scale * weight;
    }
}

/// The maximisation over one example's q; its vectors are kept between examples.
struct Block {
    /// ln q; (n_labels).
    logs: Vec<f64>,
    /// q as it moves; (n_labels).
    next: Vec<f64>,
    /// How far each q moved in the last step; (n_labels).
    change: Vec<f64>,
}

impl Block {
    fn new(n_labels: usize) -> Self {
        Self {
            logs: vec![0.0; n_labels],
            next: vec![0.0; n_labels],
            change: vec![0.0; n_labels],
        }
    }

    /// Moves q to the solution of q = softmax(z + k (q_old − q)) with k = C |x|², and returns the
    /// L1 length of the move.
    ///
    /// In logarithms l = ln q this is l + k eˡ = z + k q_old − ν with Σ eˡ = 1: Newton's method on
    /// l and ν together, whose linear system is an arrow and solved in one sweep. Steps in l are
    /// clamped, because far from the solution the exponential overshoots.
    fn ascend(&mut self, scores: &[f32], k: f64, implied: &mut [f64]) -> f64 {
        const STEPS_MAX: usize = 30;
        let n_labels = implied.len() as f64;
        for (log, &q) in self.logs.iter_mut().zip(&*implied) {
            // From a corner of the simplex Newton would creep, so the start keeps off it.
            *log = ln(0.9 * q + 0.1 / n_labels);
        }
        let mut multiplier = 0.0;
        for _ in 0..STEPS_MAX {
            for (next, &log) in self.next.iter_mut().zip(&self.logs) {
                *next = exp(log);
            }
            let residual = |i: usize, logs: &[f64], next: &[f64]| {
                logs[i] + k * (next[i] - implied[i]) - f64::from(scores[i])
            };
            let (mut total, mut weighted, mut slope) = (0.0, 0.0, 0.0);
            for (i, &q) in self.next.iter().enumerate() {
                let share = q / (1.0 + k * q);
                total += q;
                weighted += share * residual(i, &self.logs, &self.next);
                slope += share;
            }
            multiplier = (total - 1.0 - weighted) / slope;
            let mut largest = 0.0_f64;
            for i in 0..self.logs.len() {
                let step =
                    -(residual(i, &self.logs, &self.next) + multiplier) / (1.0 + k * self.next[i]);
                self.logs[i] = (self.logs[i] + step.clamp(-3.0, 1.0)).min(0.0);
                largest = largest.max((step * self.next[i]).abs());
            }
            if largest < 1e-6 {
                break;
            }
        }
        debug_assert!(multiplier.is_finite());
        self.settle(implied)
    }

    fn settle(&mut self, implied: &mut [f64]) -> f64 {
        for (next, &log) in self.next.iter_mut().zip(&self.logs) {
            *next = exp(log);
        }
        let total: f64 = self.next.iter().sum();
        let mut moved = 0.0;
        for ((next, change), implied) in self.next.iter().zip(&mut self.change).zip(implied) {
            let q = next / total;
            *change = q - *implied;
            *implied = q;
            moved += change.abs();
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_step_solves_its_equation(
            scores in proptest::collection::vec(-20.0_f32..20.0, 2..80),
            k in 0.001_f64..3000.0,
            seed: u64,
        ) {
            let n = scores.len();
            let mut random = Random::new(seed);
            let mut before: Vec<f64> = (0..n).map(|_| random.unit()).collect();
            let total: f64 = before.iter().sum();
            before.iter_mut().for_each(|q| *q /= total);
            let mut after = before.clone();
            Block::new(n).ascend(&scores, k, &mut after);
            let shifted: Vec<f64> = (0..n)
                .map(|i| f64::from(scores[i]) + k * (before[i] - after[i]))
                .collect();
            let softmax = domain::LabelProbabilities::from_logits(&shifted);
            // An error e in q returns multiplied by k, hence the tolerance.
            for (q, p) in after.iter().zip(softmax.as_slice()) {
                prop_assert!((q - p).abs() < 1e-4 * (1.0 + k), "{q} {p}");
            }
        }
    }

    #[test]
    fn the_optimum_has_no_gradient_left() {
        let mut random = Random::new(3);
        let mut rows = Rows::default();
        for _ in 0..60 {
            let label = random.below(3);
            let cells: Vec<(u32, f32)> = (0..6)
                .map(|feature| {
                    (
                        feature,
                        random.unit() as f32 + f32::from(feature as usize % 3 == label),
                    )
                })
                .chain([(6, 1.0)])
                .collect();
            rows.push(&cells, label);
        }
        let options = StudentOptions {
            rounds_max: 3000,
            inverse_regularisation: 1.0,
            ..StudentOptions::default()
        };
        let weights = weights(&rows, 6, 3, &options);
        // The gradient of C Σ loss + |W|²/2 is W − C Σ x (e_y − p)ᵀ.
        let mut gradient: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
        for index in 0..60 {
            let mut scores = [0.0_f32; 3];
            for &(feature, value) in rows.row(index) {
                add_scaled(&mut scores, &weights[feature as usize * 3..][..3], value);
            }
            let p = domain::LabelProbabilities::from_logits(&scores.map(f64::from));
            for &(feature, value) in rows.row(index) {
                for label in 0..3 {
                    let error = f64::from(rows.labels[index] == label) - p.as_slice()[label];
                    gradient[feature as usize * 3 + label] -= f64::from(value) * error;
                }
            }
        }
        let largest = gradient.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
        assert!(largest < 0.05, "{largest}");
    }
}
