//! What is to be proven of each tier, so that all of it holds together.
//!
//! One claim is about the answers that the tier keeps, and one more about each label that must
//! not be missed. Every claim has an equal part of the failure probability; what may be missed of
//! a label is shared out over the tiers, since what each of them misses adds up.

use std::collections::HashMap;

use anyhow::Context as _;
use routing::binomial::upper_bound;
use routing::certificate::{Goal, Proof, Risk, certify, certify_from};
use routing::threshold::Scored;

use super::records::Sample;
use crate::certificate::MissProof;
use crate::learn::asking::Answer;

/// The claims about one tier; they are the same for each.
pub(super) struct Claims {
    /// Of what it keeps.
    pub(super) kept: Goal,
    /// Of labels by their index.
    missed: Vec<(usize, Goal)>,
}

/// What could be proven of a tier.
pub(super) struct Proven {
    pub(super) proof: Proof,
    pub(super) missed: Vec<MissProof>,
    /// The records that prove what is said of the kept answers.
    pub(super) sample: Vec<Scored>,
}

impl Claims {
    /// The claims about each of so many tiers, for a goal of them all.
    ///
    /// # Errors
    /// When a share is no goal.
    pub(super) fn new(
        goal: Goal,
        max_missed: &[(usize, f64)],
        n_tiers: usize,
    ) -> anyhow::Result<Self> {
        let kept = goal.split(n_tiers * (1 + max_missed.len()));
        let missed = max_missed.iter().map(|&(label, share)| {
            let goal = Goal::new(share / n_tiers as f64, kept.delta());
            Ok((label, goal.context("target.max_missed")?))
        });
        Ok(Self {
            kept,
            missed: missed.collect::<anyhow::Result<_>>()?,
        })
    }

    /// What a tier's answers prove, from the records of its part.
    pub(super) fn prove(
        &self,
        sample: &Sample,
        part: &[usize],
        answers: &[(usize, Answer)],
    ) -> Proven {
        let answers: HashMap<usize, Answer> = answers.iter().copied().collect();
        let scored = |record: &usize| {
            let answer = answers.get(record)?;
            Some(Scored {
                confidence: answer.confidence,
                correct: answer.label == sample.records[*record].label,
            })
        };
        let own: Vec<Scored> = part.iter().filter_map(scored).collect();
        // What the tier is not asked, or gives no answer to, counts among the label's documents
        // and is never kept by it.
        let not_kept = Scored {
            confidence: f64::NAN,
            correct: false,
        };
        let of_label = |label: usize| {
            let own = part
                .iter()
                .filter(move |&&r| sample.records[r].label == label);
            own.map(|record| scored(record).unwrap_or(not_kept))
                .collect::<Vec<_>>()
        };
        let missed = self.missed.iter().map(|&(label, goal)| {
            let records = of_label(label);
            let proof = certify(&records, Risk::Marginal, goal);
            (label, goal, records, proof)
        });
        let missed: Vec<_> = missed.collect();
        let floors = missed
            .iter()
            .map(|(.., proof)| proof.threshold.unwrap_or(f64::INFINITY));
        let floor = floors.fold(f64::NEG_INFINITY, f64::max);
        let mut proof = certify_from(&own, Risk::Selective, self.kept, floor);
        if floor == f64::INFINITY {
            // What is wanting for the label is said there.
            proof.records_wanting = certify(&own, Risk::Selective, self.kept).records_wanting;
        }
        let threshold = proof.threshold;
        let missed = missed.into_iter().map(|(label, goal, records, proof)| {
            let name = sample.labels.name(label).to_owned();
            miss_proof(name, goal, (&records, &proof), threshold)
        });
        Proven {
            missed: missed.collect(),
            proof,
            sample: own,
        }
    }
}

/// What is proven of a label at the tier's threshold; where it has none, at the label's own.
fn miss_proof(
    label: String,
    goal: Goal,
    (records, proof): (&[Scored], &Proof),
    threshold: Option<f64>,
) -> MissProof {
    let (errors, bound) = match threshold {
        Some(threshold) => {
            let missed = |r: &&Scored| r.confidence >= threshold && !r.correct;
            let errors = records.iter().filter(missed).count();
            (errors, upper_bound(errors, records.len(), goal.delta()))
        }
        None => (proof.errors, proof.bound),
    };
    MissProof {
        label,
        alpha: goal.alpha(),
        delta: goal.delta(),
        records: records.len(),
        errors,
        bound,
        records_wanting: proof.records_wanting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_claims_together_spend_what_there_is() {
        let goal = Goal::new(0.02, 0.05).unwrap();
        let claims = Claims::new(goal, &[(0, 0.1), (2, 0.2)], 2).unwrap();
        let spent = claims.kept.delta() + claims.missed.iter().map(|(_, g)| g.delta()).sum::<f64>();
        assert!((2.0 * spent - 0.05).abs() < 1e-12, "{spent}");
        assert_eq!(claims.kept.alpha(), 0.02);
        let shares: Vec<f64> = claims.missed.iter().map(|(_, goal)| goal.alpha()).collect();
        assert_eq!(shares, [0.05, 0.1]);
    }
}
