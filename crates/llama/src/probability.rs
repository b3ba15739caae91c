//! Logits to probabilities.

use crate::kernels::{Instructions, LANES, Lanes, LogSumExp};

/// `ln(sum(exp(logits)))`, computed without overflow: what turns a logit into a log-probability
/// by subtraction.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - most).exp())
        .sum();
    most + sum.ln()
}

/// Log-probabilities that are not of everything possible, as probabilities that sum to 1: the
/// chance of each, given that it is one of them.
///
/// ```
/// let p = llama::probabilities(&[0.2_f64.ln(), 0.6_f64.ln()]);
/// assert!((p[0] - 0.25).abs() < 1e-12 && (p[1] - 0.75).abs() < 1e-12);
/// ```
pub fn probabilities(log_probabilities: &[f64]) -> Vec<f64> {
    let most = log_probabilities
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_probabilities.iter().map(|l| (l - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// As [`log_sum_exp`] within 1e-6, of a row of `width` logits in sixteens, many times faster.
pub(crate) fn log_normaliser<'a>(
    instructions: Instructions,
    row: impl Iterator<Item = &'a Lanes> + Clone,
    width: usize,
) -> f64 {
    let whole = width / LANES;
    let logits = row.enumerate().map(move |(i, lanes)| {
        let mut lanes = *lanes;
        if i == whole {
            lanes.0[width % LANES..].fill(f32::NEG_INFINITY);
        }
        lanes
    });
    instructions.run(LogSumExp { logits })
}

/// As [`log_normaliser`], the same bits.
pub(crate) fn log_normaliser_of(instructions: Instructions, logits: &[f32]) -> f64 {
    let logits = logits.chunks(LANES).map(|chunk| {
        let mut lanes = Lanes([f32::NEG_INFINITY; LANES]);
        lanes.0[..chunk.len()].copy_from_slice(chunk);
        lanes
    });
    instructions.run(LogSumExp { logits })
}
