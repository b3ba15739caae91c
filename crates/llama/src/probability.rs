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

/// As [`probabilities`], with what the model would rather say whatever the text is taken out: each
/// label's probability over its prior, which is its probability after a text without content
/// (Zhao et al., "Calibrate Before Use", 2021).
///
/// ```
/// let [prior, after] = [[0.9_f64.ln(), 0.1_f64.ln()], [0.8_f64.ln(), 0.2_f64.ln()]];
/// let p = llama::prior_corrected(&after, &prior);
/// assert!(p[1] > p[0]);
/// ```
///
/// # Panics
///
/// Where there are not as many priors as labels.
pub fn prior_corrected(log_probabilities: &[f64], priors: &[f64]) -> Vec<f64> {
    assert_eq!(
        log_probabilities.len(),
        priors.len(),
        "a prior for each label"
    );
    let pairs = log_probabilities.iter().zip(priors);
    let corrected: Vec<f64> = pairs.map(|(log, prior)| log - prior).collect();
    probabilities(&corrected)
}

/// Where on a scale an answer lies whose steps, from the lowest up, have these probabilities: the
/// expected step, 1 for the lowest; 0 without steps.
///
/// ```
/// assert!((llama::expected_step(&[0.25, 0.5, 0.25]) - 2.0).abs() < 1e-12);
/// ```
pub fn expected_step(probabilities: &[f64]) -> f64 {
    let steps = (1_u32..).zip(probabilities);
    steps.map(|(step, p)| f64::from(step) * p).sum()
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
