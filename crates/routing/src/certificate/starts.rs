//! Where tests begin, learned from records that the certificate gives up.

use super::{Candidate, Goal, Risk};

/// Scores are given up while a window of them has more than this many times α of errors. At the
/// best threshold the *average* above it is α, and the error rate at the threshold itself is
/// several times that.
const GIVE_UP_RATIO: f64 = 6.0;

/// The window, as a part of all records.
const WINDOW: f64 = 0.05;

/// Given up in steps of this part of all records.
const STEP: f64 = 0.025;

/// Where runs start, as a share of the records not given up, with each start's part of δ. Half
/// way, there are enough records for power and few enough errors to pass; the small part at the
/// top helps where only few answers are good.
pub(super) const STARTS: [(f64, f64); 2] = [(0.2, 0.1), (0.5, 0.9)];

/// How many candidates are left after giving up scores from below. Only records below the result
/// are looked at, which is what keeps those above it a fair sample.
pub(super) fn not_given_up(candidates: &[Candidate], n_records: usize, alpha: f64) -> usize {
    let window = ((WINDOW * n_records as f64) as usize).max(1);
    let step = ((STEP * n_records as f64) as usize).max(1);
    let below = |end: usize, distance: usize| {
        let kept = candidates[..end].last().map_or(0, |c| c.kept);
        candidates[..end].partition_point(|c| c.kept + distance <= kept)
    };
    let mut end = candidates.len();
    loop {
        let start = below(end, window);
        if start == 0 {
            // A window would be all that is left: too little to learn a start from, so the run
            // is cut into its parts unseen if nothing was looked at, and is empty otherwise.
            return if end == candidates.len() { end } else { 0 };
        }
        let (top, bottom) = (candidates[start - 1], candidates[end - 1]);
        let errors = (bottom.errors - top.errors) as f64;
        if errors <= GIVE_UP_RATIO * alpha * (bottom.kept - top.kept) as f64 {
            // The window itself has been looked at and so is given up too.
            return start;
        }
        end = below(end, step);
    }
}

/// The indices of candidates at which a run starts, ascending, with their parts of δ.
pub(super) fn starts(tested: &[Candidate], risk: Risk, goal: Goal) -> Vec<(usize, f64)> {
    let Some(last) = tested.last() else {
        return Vec::new();
    };
    if risk == Risk::Marginal {
        return vec![(0, goal.delta())];
    }
    let start = |&(share, part): &(f64, f64)| {
        let kept = share * last.kept as f64;
        let at = tested.partition_point(|c| (c.kept as f64) < kept);
        (at, part * goal.delta())
    };
    STARTS.iter().map(start).collect()
}
