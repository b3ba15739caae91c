//! How many records more would prove something.

use super::starts::STARTS;
use super::{Candidate, Goal, Risk};
use crate::elementary::ln;

/// The risk of fewer records than these is luck.
pub(super) const KEPT_MIN: usize = 20;

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
        let of = match risk {
            Risk::Selective => c.kept,
            Risk::Marginal => n_records,
        };
        times(c.errors as f64, of as f64, (goal.alpha(), delta))
    };
    let smallest = STARTS.iter().map(|(_, part)| part * goal.delta());
    let smallest = smallest.fold(goal.delta(), f64::min);
    let at_starts = starts
        .iter()
        .filter_map(|&(at, delta)| times(&tested[at], delta));
    let anywhere = candidates
        .iter()
        .filter(|c| c.kept >= KEPT_MIN)
        .filter_map(|c| times(c, smallest));
    let least = at_starts
        .reduce(f64::min)
        .or_else(|| anywhere.reduce(f64::min))?;
    Some(more(least, n_records))
}

/// How many times as many records as these, of which so many are wrong, would prove a risk of at
/// most `alpha` at the level `delta`; `None` where too many are wrong.
pub(super) fn times(errors: f64, of: f64, (alpha, delta): (f64, f64)) -> Option<f64> {
    // With no error seen, half of one is assumed, or a quarter of what is allowed where that is
    // less: none at all would promise too much.
    let rate = match errors > 0.0 {
        true => errors / of,
        false => (0.5 / of).min(0.25 * alpha),
    };
    (rate < alpha).then(|| ln(1.0 / delta) / (of * divergence(rate, alpha)))
}

/// How many records have to come to so many for there to be so many times as many; at least one.
pub(super) fn more(times: f64, n_records: usize) -> usize {
    (((times - 1.0) * n_records as f64).ceil() as usize).max(1)
}

/// Kullback and Leibler's divergence between coins that fall with probability `p` and `q`.
fn divergence(p: f64, q: f64) -> f64 {
    p * ln(p / q) + (1.0 - p) * ln((1.0 - p) / (1.0 - q))
}
