//! The largest share of answers that can be proven to be good enough.
//!
//! The claim: with probability 1 − δ over the records, the risk of what is kept is at most α. It
//! holds for any model, any score and any number of records, if the records are drawn as the
//! later requests are. It rests on three things.
//!
//! - One threshold is tested by the exact binomial tail of the errors among what it keeps
//!   (Clopper & Pearson 1934); for losses of 0 or 1 no test that is as safe certifies more.
//!   That is said of records that each had the same chance to be known. Of audited ones, which had
//!   not, a fair sample is left by lot before they come here; a betting bound that weighs all of
//!   them keeps less of few and more of many (`tests/thinned.rs` measures both), and isn't built.
//! - Many thresholds are tested in one fixed order, from fewer to more answers kept, each at the
//!   full level as long as all before it passed (fixed-sequence testing; Angelopoulos et al.,
//!   "Learn then test", 2021). δ is split over a few starts, and a start that is reached by a
//!   passing run adds its part to the run's level (the fallback procedure, Wiens & Dmitrienko
//!   2005), so a bad patch at the very top of the scores costs only the first part.
//! - Where the starts lie is learned from records that the certificate gives up anyway: going
//!   from the lowest score up, records are looked at until their error rate comes near α. What
//!   lies above that point has not been looked at, so its records are still a fair sample of
//!   that region, and nothing of δ or of the sample is spent.

use crate::binomial::{lower_tail, upper_bound};
use crate::elementary::ln;
use crate::threshold::Scored;

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
const STARTS: [(f64, f64); 2] = [(0.2, 0.1), (0.5, 0.9)];

/// What is proven: risk at most `alpha`, except with probability `delta`; both between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    alpha: f64,
    delta: f64,
}

/// Why numbers are no goal.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{name}: {value} is not between 0 and 1; take for example {example}")]
pub struct GoalError {
    name: &'static str,
    value: f64,
    example: f64,
}

impl Goal {
    /// The checked goal.
    ///
    /// # Errors
    /// When a number is not strictly between 0 and 1.
    pub fn new(alpha: f64, delta: f64) -> Result<Self, GoalError> {
        for (name, value, example) in [("alpha", alpha, 0.02), ("delta", delta, 0.05)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(GoalError {
                    name,
                    value,
                    example,
                });
            }
        }
        Ok(Self { alpha, delta })
    }

    /// The largest risk.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// The probability that the claim is wrong.
    #[must_use]
    pub fn delta(self) -> f64 {
        self.delta
    }

    /// The goal for each of several claims that shall hold together (Bonferroni).
    ///
    /// # Panics
    /// When `claims` is zero.
    #[must_use]
    pub fn split(self, claims: usize) -> Self {
        assert!(claims > 0, "delta can't be split over no claim");
        Self {
            alpha: self.alpha,
            delta: self.delta / claims as f64,
        }
    }
}

/// Which share of errors is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Risk {
    /// Errors among the answers that are kept.
    Selective,
    /// Kept errors among all records. With the records of one class alone this is the class's
    /// miss rate: how many of them are kept and answered with another label.
    Marginal,
}

/// A start of tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// How many records its first threshold keeps.
    pub kept: usize,
    /// Its part of δ.
    pub delta: f64,
}

/// What could be proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Keep from this score up; `None` when nothing can be proven, and everything escalates.
    pub threshold: Option<f64>,
    /// Records that were used.
    pub records: usize,
    /// Of these, how many the threshold keeps.
    pub kept: usize,
    /// Of the kept, how many are wrong.
    pub errors: usize,
    /// Clopper and Pearson's upper bound on the risk at the level at which the threshold passed;
    /// 1 when nothing passed.
    pub bound: f64,
    /// How δ was split.
    pub starts: Vec<Start>,
    /// When nothing passed: so many more records with the same error rates would prove something;
    /// `None` when something passed, or no threshold has few enough errors for any number to do.
    pub records_wanting: Option<usize>,
}

/// A threshold under test: it keeps so many records, of which so many are wrong.
#[derive(Clone, Copy)]
struct Candidate {
    score: f64,
    kept: usize,
    errors: usize,
}

/// The lowest threshold that is proven to meet the goal. The records must be a fair sample of
/// later requests, and the score must not have been fitted on them.
#[must_use]
pub fn certify(records: &[Scored], risk: Risk, goal: Goal) -> Proof {
    certify_from(records, risk, goal, f64::NEG_INFINITY)
}

/// As [`certify`], but the threshold is at least `floor`, for several claims that one threshold
/// must meet. The floor may have been found on the same records: every threshold that passes on
/// the way down is proven, so that stopping earlier, for whatever reason, spends nothing.
#[must_use]
pub fn certify_from(records: &[Scored], risk: Risk, goal: Goal, floor: f64) -> Proof {
    let candidates = candidates(records);
    let tested = match risk {
        // More kept can only mean more kept errors: the risk is monotone and one run suffices.
        Risk::Marginal => &candidates[..],
        Risk::Selective => &candidates[..not_given_up(&candidates, records.len(), goal.alpha)],
    };
    let starts = starts(tested, risk, goal);
    let trials = |c: &Candidate| match risk {
        Risk::Selective => c.kept,
        Risk::Marginal => records.len(),
    };
    let (mut level, mut passed) = (0.0, None);
    for (index, candidate) in tested.iter().enumerate() {
        level += starts
            .iter()
            .filter(|(at, _)| *at == index)
            .map(|(_, delta)| delta)
            .sum::<f64>();
        if level > 0.0 && lower_tail(candidate.errors, trials(candidate), goal.alpha) <= level {
            if candidate.score >= floor {
                passed = Some((candidate, level));
            }
        } else {
            level = 0.0;
        }
    }
    let none = Candidate {
        score: f64::INFINITY,
        kept: 0,
        errors: 0,
    };
    let best = passed.map_or(none, |(candidate, _)| *candidate);
    Proof {
        threshold: passed.map(|(candidate, _)| candidate.score),
        records: records.len(),
        kept: best.kept,
        errors: best.errors,
        bound: passed.map_or(1.0, |(c, level)| upper_bound(c.errors, trials(c), level)),
        starts: starts
            .iter()
            .map(|&(at, delta)| Start {
                kept: tested[at].kept,
                delta,
            })
            .collect(),
        records_wanting: match passed {
            Some(_) => None,
            None => wanting(&candidates, tested, &starts, (records.len(), goal, risk)),
        },
    }
}

/// One candidate for each different score, from the highest down; NaN is never kept.
fn candidates(records: &[Scored]) -> Vec<Candidate> {
    let mut sorted: Vec<&Scored> = records.iter().filter(|r| !r.confidence.is_nan()).collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let (mut kept, mut errors) = (0, 0);
    let candidate = |equals: &[&Scored]| {
        kept += equals.len();
        errors += equals.iter().filter(|record| !record.correct).count();
        Candidate {
            score: equals[0].confidence,
            kept,
            errors,
        }
    };
    sorted
        .chunk_by(|a, b| a.confidence == b.confidence)
        .map(candidate)
        .collect()
}

/// How many candidates are left after giving up scores from below. Only records below the result
/// are looked at, which is what keeps those above it a fair sample.
fn not_given_up(candidates: &[Candidate], n_records: usize, alpha: f64) -> usize {
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
fn starts(tested: &[Candidate], risk: Risk, goal: Goal) -> Vec<(usize, f64)> {
    let Some(last) = tested.last() else {
        return Vec::new();
    };
    if risk == Risk::Marginal {
        return vec![(0, goal.delta)];
    }
    let start = |&(share, part): &(f64, f64)| {
        let kept = share * last.kept as f64;
        let at = tested.partition_point(|c| (c.kept as f64) < kept);
        (at, part * goal.delta)
    };
    STARTS.iter().map(start).collect()
}

/// How many more records with the same error rates let some run of tests begin: by Chernoff's
/// bound so many errors or fewer among k have a probability of at most exp(−k · KL(rate ‖ α)),
/// and a run begins where that is at most its start's part of δ. Where no start is left, what
/// any threshold would need at the smallest part.
fn wanting(
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
            0 => (0.5 / kept).min(0.25 * goal.alpha),
            errors => errors as f64 / kept,
        };
        (rate < goal.alpha).then(|| ln(1.0 / delta) / (kept * divergence(rate, goal.alpha)))
    };
    let smallest = STARTS.iter().map(|(_, part)| part * goal.delta);
    let smallest = smallest.fold(goal.delta, f64::min);
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

/// What a claim was proven for, as digests. A certificate holds only where all are as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Name of a thing the claim depends on, such as `prompt`, `labels`, `model`, `quantisation`,
    /// `engine` or `reference`, with the digest or version it had.
    pub parts: std::collections::BTreeMap<String, String>,
}

/// A proof with what it was proven for.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// What was asked for.
    pub goal: Goal,
    /// Which risk.
    pub risk: Risk,
    /// What could be proven.
    pub proof: Proof,
    /// What it was proven for.
    pub provenance: Provenance,
}

impl Provenance {
    /// The names of all things that differ between then and now, are new or are gone, in
    /// alphabetical order.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let names = self.parts.keys().chain(now.parts.keys());
        let mut changed: Vec<String> = names
            .filter(|name| self.parts.get(*name) != now.parts.get(*name))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

impl Certificate {
    /// The threshold, if the certificate holds for what is here now.
    ///
    /// # Errors
    /// The names of all things that changed, are new or are gone: they void the certificate.
    pub fn threshold_for(&self, now: &Provenance) -> Result<Option<f64>, Vec<String>> {
        let changed = self.provenance.changed(now);
        if changed.is_empty() {
            Ok(self.proof.threshold)
        } else {
            Err(changed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn goal(alpha: f64) -> Goal {
        Goal::new(alpha, 0.05).unwrap()
    }

    /// Records of uniform score, wrong with a probability that depends on the score.
    fn records(n: usize, seed: u64, wrong: impl Fn(f64) -> f64) -> Vec<Scored> {
        let mut random = Random::new(seed);
        let record = |_| {
            let confidence = random.unit();
            Scored {
                confidence,
                correct: random.unit() >= wrong(confidence),
            }
        };
        (0..n).map(record).collect()
    }

    /// The true selective risk from a threshold up, by Simpson's rule.
    fn true_risk(threshold: f64, wrong: impl Fn(f64) -> f64) -> f64 {
        let steps = 2_000;
        let width = (1.0 - threshold) / f64::from(steps);
        let at = |i: i32| wrong(threshold + width * (f64::from(i) + 0.5));
        (0..steps).map(at).sum::<f64>() / f64::from(steps)
    }

    fn violations(n: usize, alpha: f64, wrong: fn(f64) -> f64) -> (usize, f64) {
        let (mut violations, mut kept) = (0, 0.0);
        for seed in 0..400 {
            let proof = certify(&records(n, seed, wrong), Risk::Selective, goal(alpha));
            if let Some(threshold) = proof.threshold {
                violations += usize::from(true_risk(threshold, wrong) > alpha);
                kept += (1.0 - threshold) / 400.0;
            }
        }
        (violations, kept)
    }

    #[test]
    fn the_claim_fails_no_more_often_than_delta() {
        let curves: [fn(f64) -> f64; 5] = [
            |s| 0.3 * (1.0 - s) * (1.0 - s),
            |s| if s > 0.97 { 0.2 } else { 0.2 * (1.0 - s) },
            |s| if s > 0.5 { 0.051 } else { 0.9 },
            |_| 0.051,
            |s| 0.5 * s,
        ];
        for (index, wrong) in curves.into_iter().enumerate() {
            let (violations, _) = violations(1_000, 0.05, wrong);
            // 400 draws at 5 % give 20 on average; 33 is three standard deviations above.
            assert!(violations <= 33, "curve {index}: {violations}");
        }
    }

    #[test]
    fn it_keeps_most_of_what_could_be_kept_even_with_a_bad_top() {
        // Risk from t up is (1 - t)^2 / 10: at 5 % the oracle keeps 0.707.
        let (_, kept) = violations(2_000, 0.05, |s| 0.3 * (1.0 - s) * (1.0 - s));
        assert!(kept > 0.80 * 0.707, "{kept}");
        let (_, kept) = violations(
            2_000,
            0.05,
            |s| if s > 0.99 { 0.5 } else { 0.1 * (1.0 - s) },
        );
        // Half of the top hundredth is wrong; a run from the very top would end there at once.
        assert!(kept > 0.40, "{kept}");
    }

    #[test]
    fn nothing_is_certified_where_nothing_is_good_and_it_says_what_is_missing() {
        let hopeless = certify(&records(2_000, 1, |_| 0.3), Risk::Selective, goal(0.05));
        assert_eq!((hopeless.threshold, hopeless.bound), (None, 1.0));
        let few = certify(&records(40, 1, |_| 0.0), Risk::Selective, goal(0.02));
        assert_eq!(few.threshold, None);
        let wanting = few.records_wanting.unwrap();
        assert!((50..1_000).contains(&wanting), "{few:?}");
        // With so many it is proven.
        let enough = certify(
            &records(40 + wanting, 1, |_| 0.0),
            Risk::Selective,
            goal(0.02),
        );
        assert!(enough.threshold.is_some(), "{enough:?}");
        let none = certify(&[], Risk::Selective, goal(0.02));
        assert_eq!((none.threshold, none.records_wanting), (None, None));
    }

    #[test]
    fn a_marginal_risk_is_met_by_keeping_until_the_budget_is_spent() {
        let records = records(2_000, 5, |s| 1.0 - s);
        let proof = certify(&records, Risk::Marginal, goal(0.05));
        // Kept errors among all are (1 - t)^2 / 2, 5 % at t = 0.684.
        assert!(
            proof.threshold.unwrap() > 0.684 && proof.threshold.unwrap() < 0.75,
            "{proof:?}"
        );
        assert!(proof.bound <= 0.05 + 1e-9);
    }

    #[test]
    fn a_floor_only_stops_earlier() {
        let records = records(2_000, 5, |s| 0.3 * (1.0 - s) * (1.0 - s));
        let free = certify(&records, Risk::Selective, goal(0.05));
        let lowest = free.threshold.unwrap();
        let at = |floor| certify_from(&records, Risk::Selective, goal(0.05), floor);
        assert_eq!(at(lowest - 0.1), free);
        let higher = at(lowest + 0.05).threshold.unwrap();
        assert!(
            higher >= lowest + 0.05 && higher < lowest + 0.06,
            "{higher}"
        );
        // Above where the tests begin nothing was tested, and so nothing is proven.
        assert_eq!(at(0.9999).threshold, None);
    }

    #[test]
    fn any_change_voids_a_certificate() {
        let provenance = |prompt: &str, extra: Option<&str>| {
            let mut parts = std::collections::BTreeMap::new();
            parts.insert("prompt".to_owned(), prompt.to_owned());
            extra.map(|value| parts.insert("engine".to_owned(), value.to_owned()));
            Provenance { parts }
        };
        let certificate = Certificate {
            goal: goal(0.05),
            risk: Risk::Selective,
            proof: certify(&records(500, 1, |_| 0.0), Risk::Selective, goal(0.05)),
            provenance: provenance("abc", Some("1.0")),
        };
        assert!(
            certificate
                .threshold_for(&provenance("abc", Some("1.0")))
                .unwrap()
                .is_some()
        );
        for (now, name) in [
            (provenance("abd", Some("1.0")), "prompt"),
            (provenance("abc", None), "engine"),
            (provenance("abc", Some("1.1")), "engine"),
        ] {
            assert_eq!(certificate.threshold_for(&now), Err(vec![name.to_owned()]));
        }
    }

    proptest! {
        #[test]
        fn what_is_proven_adds_up(
            raw in proptest::collection::vec((0_u8..30, proptest::bool::weighted(0.97)), 0..600),
            alpha in 0.01_f64..0.3,
        ) {
            let records: Vec<Scored> = raw
                .into_iter()
                .map(|(c, correct)| Scored { confidence: f64::from(c), correct })
                .collect();
            let proof = certify(&records, Risk::Selective, goal(alpha));
            let spent: f64 = proof.starts.iter().map(|start| start.delta).sum();
            prop_assert!(spent <= 0.05 + 1e-12);
            if let Some(threshold) = proof.threshold {
                let kept = records.iter().filter(|r| r.confidence >= threshold);
                prop_assert_eq!(kept.clone().count(), proof.kept);
                prop_assert_eq!(kept.filter(|r| !r.correct).count(), proof.errors);
                prop_assert!(proof.bound <= alpha + 1e-9);
            }
        }
    }
}
