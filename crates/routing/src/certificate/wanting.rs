//! How many records more would prove something.

use super::starts::STARTS;
use super::{Candidate, Goal, Risk};
use crate::elementary::ln;

/// How many more records with the same error rates let some run of tests begin: by Chernoff's
/// bound so many errors or fewer among k have a probability of at most exp(−k · KL(rate ‖ α)),
/// and a run begins where that is at most its start's part of δ. Where no start is left, what
/// any threshold would need at the smallest part.
pub(super) fn wanting(
    candidates: &[Candidate],
    tested: &[Candidate],
    starts: &[(usize, f64)],
    (n_records, goal, risk): (usize, Goal, Risk),
) -> Option<usize> {
    let times = |c: &Candidate, delta: f64| {
        // With no error seen, half of one is assumed, or a quarter of what is allowed where that
        // is less: none at all would promise too much.
        let kept = match risk {
            Risk::Selective => c.kept as f64,
            Risk::Marginal => n_records as f64,
        };
        let rate = match c.errors {
            0 => (0.5 / kept).min(0.25 * goal.alpha()),
            errors => errors as f64 / kept,
        };
        (rate < goal.alpha()).then(|| ln(1.0 / delta) / (kept * divergence(rate, goal.alpha())))
    };
    let smallest = STARTS.iter().map(|(_, part)| part * goal.delta());
    let smallest = smallest.fold(goal.delta(), f64::min);
    let at_starts = starts
        .iter()
        .filter_map(|&(at, delta)| times(&tested[at], delta));
    let anywhere = candidates
        .iter()
        // The risk of very few records is luck.
        .filter(|c| c.kept >= 20)
        .filter_map(|c| times(c, smallest));
    let least = at_starts
        .reduce(f64::min)
        .or_else(|| anywhere.reduce(f64::min))?;
    Some((((least - 1.0) * n_records as f64).ceil() as usize).max(1))
}

/// Kullback and Leibler's divergence between coins that fall with probability `p` and `q`.
fn divergence(p: f64, q: f64) -> f64 {
    p * ln(p / q) + (1.0 - p) * ln((1.0 - p) / (1.0 - q))
}
