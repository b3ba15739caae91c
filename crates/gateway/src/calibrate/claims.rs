//! What is to be proven of each tier, so that all of it holds together.
//!
//! One claim is about the answers that the tier keeps, or one about those that it keeps with each
//! label that has a share of its own and one about all others, and one more about each label that
//! must not be missed. Every claim has an equal part of the failure probability; what may be missed
//! of a label is shared out over the tiers, since what each of them misses adds up.

use std::collections::HashMap;

use anyhow::Context as _;
use routing::cascade::Rule;
use routing::certificate::{Drawn, Goal, Grounds, Proof, Risk, Weighing};
use routing::threshold::Scored;

use super::ladder::{Ladder, Step};
use super::records::Sample;
use crate::certificate::{LabelProof, MissProof, rule};
use crate::learn::asking::Answer;

/// The claims about one tier; they are the same for each.
pub(super) struct Claims {
    /// Of what it keeps.
    pub(super) kept: Goal,
    /// Whether that is a share of what it keeps, or its part of a share of all documents.
    pub(super) risk: Risk,
    /// Of labels by their index: of what is kept with them, each with a threshold of its own.
    wrong: Vec<(usize, Goal)>,
    /// Of labels by their index: of what is kept of them with another.
    missed: Vec<(usize, Goal)>,
}

/// The shares that a target states for labels, by their index.
#[derive(Clone, Copy, Default)]
pub(super) struct Shares<'a> {
    pub(super) wrong: &'a [(usize, f64)],
    pub(super) missed: &'a [(usize, f64)],
}

/// The records that certify a tier, and where its threshold may lie.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) records: &'a [usize],
    /// It is one of these steps, where there are any.
    pub(super) ladder: Option<&'a Ladder>,
    /// It is no lower than this.
    pub(super) floor: f64,
}

/// What could be proven of a tier.
pub(super) struct Proven {
    pub(super) proof: Proof,
    /// Of labels that have thresholds of their own, and of the others together.
    pub(super) by_label: Vec<LabelProof>,
    /// When its answers are kept.
    pub(super) rule: Rule,
    pub(super) missed: Vec<MissProof>,
    /// The weight of what came out in the claims of later tiers.
    pub(super) weight: f64,
    /// What is said of the kept answers stands on this.
    pub(super) grounds: Grounds,
    /// Of all records of its part, the share that it keeps, as they weigh.
    pub(super) share_kept: f64,
    /// Of these, the share that is wrong; with a share of all documents, of all.
    pub(super) share_wrong: f64,
}

impl Claims {
    /// The claims about each of so many tiers, for a goal of them all.
    ///
    /// # Errors
    /// When a share is no goal.
    pub(super) fn new(
        (goal, risk): (Goal, Risk),
        Shares {
            wrong: max_wrong,
            missed: max_missed,
        }: Shares<'_>,
        (n_tiers, n_labels): (usize, usize),
    ) -> anyhow::Result<Self> {
        let n_kept = match max_wrong.len() {
            all if all > 0 && all == n_labels => all,
            some => some + 1,
        };
        let mut kept = goal.split(n_tiers * (n_kept + max_missed.len()));
        if risk == Risk::Marginal {
            // What each tier keeps wrongly adds up.
            kept = Goal::new(kept.alpha() / n_tiers as f64, kept.delta())?;
        }
        let missed = max_missed.iter().map(|&(label, share)| {
            let goal = Goal::new(share / n_tiers as f64, kept.delta());
            Ok((label, goal.context("target.max_missed")?))
        });
        let wrong = max_wrong.iter().map(|&(label, share)| {
            let goal = Goal::new(share, kept.delta());
            Ok((label, goal.context("target.max_wrong")?))
        });
        Ok(Self {
            kept,
            risk,
            wrong: wrong.collect::<anyhow::Result<_>>()?,
            missed: missed.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The same claims with this weight of their parts of the failure probability.
    pub(super) fn weighted(&self, weight: f64) -> Self {
        let weighted = |goal: &Goal| {
            let goal = Goal::new(goal.alpha(), goal.delta() * weight);
            goal.unwrap_or_else(|_| unreachable!("a weight is above 0 and at most 1"))
        };
        let all = |of: &[(usize, Goal)]| {
            let weighted = |(label, goal): &(usize, Goal)| (*label, weighted(goal));
            of.iter().map(weighted).collect()
        };
        Self {
            kept: weighted(&self.kept),
            risk: self.risk,
            wrong: all(&self.wrong),
            missed: all(&self.missed),
        }
    }

    /// What a tier's answers prove, from the records of its part.
    pub(super) fn prove(
        &self,
        sample: &Sample,
        Part {
            records: part,
            ladder,
            floor,
        }: Part<'_>,
        answers: &[(usize, Answer)],
    ) -> Proven {
        let answers: HashMap<usize, Answer> = answers.iter().copied().collect();
        let answered = |record: &usize| Some(drawn(sample, *record, *answers.get(record)?));
        // What the tier is not asked, or gives no answer to, counts among all documents, or the
        // label's, and is never kept by it.
        let any = |record: &usize| answered(record).unwrap_or_else(|| not_kept(sample, *record));
        let rate = sample.rate();
        let own: Vec<Drawn> = match self.risk {
            Risk::Selective => part.iter().filter_map(answered).collect(),
            Risk::Marginal => part.iter().map(any).collect(),
        };
        let grounds = Grounds::new(&own, rate, self.risk, self.kept);
        let missed = self.missed.iter().map(|&(label, goal)| {
            let is_of_label = |record: &&usize| sample.records[**record].label == label;
            let records: Vec<Drawn> = part.iter().filter(is_of_label).map(any).collect();
            let grounds = Grounds::new(&records, rate, Risk::Marginal, goal);
            let proof = grounds.prove(f64::NEG_INFINITY);
            (label, goal, grounds, proof)
        });
        let missed: Vec<_> = missed.collect();
        let floors = missed
            .iter()
            .map(|(.., proof)| proof.threshold.unwrap_or(f64::INFINITY));
        let floor = floors.fold(floor, f64::max);
        let by_label = self.by_label(sample, &answers, (part, floor));
        let mut proof = match &by_label[..] {
            [] => grounds.prove(floor),
            labels => together(labels),
        };
        if floor == f64::INFINITY {
            // What is wanting for the label is said there.
            proof.records_wanting = grounds.prove(f64::NEG_INFINITY).records_wanting;
        }
        let step = ladder.map(|ladder| ladder.step(proof.threshold));
        if let Some(step) = step {
            proof = stepped(&grounds, proof, step);
        }
        let threshold = proof.threshold;
        let missed = missed.into_iter().map(|(label, goal, grounds, proof)| {
            let name = sample.labels.name(label).to_owned();
            miss_proof(name, goal, (&grounds, &proof), threshold)
        });
        let rule = rule((&proof, &by_label), Some(&sample.labels)).unwrap_or(Rule::Never);
        let is_kept = |answer: &Answer| rule.accepts(Some(answer.label), Some(answer.confidence));
        let kept = part.iter().filter_map(|it| Some((*it, *answers.get(it)?)));
        let kept = kept.filter(|(_, answer)| is_kept(answer));
        let kept: Vec<Drawn> = kept.map(|(it, answer)| drawn(sample, it, answer)).collect();
        let wrong = kept.iter().filter(|it| !it.scored.correct);
        let of = match self.risk {
            Risk::Selective => &kept,
            Risk::Marginal => &own,
        };
        Proven {
            share_kept: part_of(weight(&kept), weight(&own)),
            share_wrong: part_of(weight(wrong), weight(of)),
            rule,
            by_label,
            missed: missed.collect(),
            weight: ladder.map_or(1.0, |ladder| ladder.step(proof.threshold).weight),
            proof,
            grounds,
        }
    }

    /// Whether labels have thresholds of their own.
    pub(super) fn are_by_label(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// What is proven of the answers with each label that has a share of its own, and of all
    /// others; nothing where no label has.
    fn by_label(
        &self,
        sample: &Sample,
        answers: &HashMap<usize, Answer>,
        (part, floor): (&[usize], f64),
    ) -> Vec<LabelProof> {
        let is_named = |label: usize| self.wrong.iter().any(|(named, _)| *named == label);
        let prove = |label: Option<usize>, goal: Goal| {
            let of = |answer: &&Answer| match label {
                Some(label) => answer.label == label,
                None => !is_named(answer.label),
            };
            let own = part.iter().filter_map(|record| {
                let answer = answers.get(record).filter(of)?;
                Some(drawn(sample, *record, *answer))
            });
            let own: Vec<Drawn> = own.collect();
            let grounds = Grounds::new(&own, sample.rate(), Risk::Selective, goal);
            LabelProof {
                label: label.map(|label| sample.labels.name(label).to_owned()),
                alpha: goal.alpha(),
                delta: goal.delta(),
                proof: grounds.prove(floor),
            }
        };
        let named = self.wrong.iter();
        let mut proofs: Vec<LabelProof> = named
            .map(|&(label, goal)| prove(Some(label), goal))
            .collect();
        if !proofs.is_empty() && proofs.len() < sample.labels.len() {
            proofs.push(prove(None, self.kept));
        }
        proofs
    }
}

/// A tier's answer to a record, with how the record came to be one.
fn drawn(sample: &Sample, record: usize, answer: Answer) -> Drawn {
    Drawn {
        scored: Scored {
            confidence: answer.confidence,
            correct: answer.label == sample.records[record].label,
        },
        draw: sample.draw(record),
    }
}

/// A record that no threshold keeps.
fn not_kept(sample: &Sample, record: usize) -> Drawn {
    Drawn {
        scored: Scored {
            confidence: f64::NAN,
            correct: false,
        },
        draw: sample.draw(record),
    }
}

fn weight<'a>(records: impl IntoIterator<Item = &'a Drawn>) -> f64 {
    records.into_iter().map(|it| it.draw.weight()).sum()
}

fn part_of(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The proof at a step of the ladder. What the step keeps of the records is what the lowest score
/// at or above it keeps, so that the one is proven with the other.
fn stepped(grounds: &Grounds, lowest: Proof, step: Step) -> Proof {
    if step.threshold == f64::INFINITY {
        let nothing = |it: Weighing| Weighing {
            share_kept: 0.0,
            risk: 0.0,
            ..it
        };
        return Proof {
            threshold: None,
            kept: 0,
            errors: 0,
            bound: 1.0,
            weighing: lowest.weighing.map(nothing),
            ..lowest
        };
    }
    let proof = grounds.prove(step.threshold);
    Proof {
        threshold: proof.threshold.map(|_| step.threshold),
        ..proof
    }
}

/// What the proofs of all labels add up to: of everything that is kept no larger share can be wrong
/// than of the worst label.
fn together(labels: &[LabelProof]) -> Proof {
    let kept = || labels.iter().filter(|it| it.proof.threshold.is_some());
    let sum = |of: fn(&Proof) -> usize| labels.iter().map(|it| of(&it.proof)).sum();
    let wanting = labels.iter().filter_map(|it| it.proof.records_wanting);
    let lowest = kept().filter_map(|it| it.proof.threshold);
    let threshold = lowest.reduce(f64::min);
    Proof {
        threshold,
        records: sum(|proof| proof.records),
        kept: sum(|proof| proof.kept),
        errors: sum(|proof| proof.errors),
        bound: kept()
            .map(|it| it.proof.bound)
            .reduce(f64::max)
            .unwrap_or(1.0),
        starts: Vec::new(),
        records_wanting: match threshold {
            Some(_) => None,
            None => wanting.min(),
        },
        // Each label is proven in its own way.
        weighing: None,
    }
}

/// What is proven of a label at the tier's threshold; where it has none, at the label's own.
fn miss_proof(
    label: String,
    goal: Goal,
    (grounds, proof): (&Grounds, &Proof),
    threshold: Option<f64>,
) -> MissProof {
    let (errors, bound) = match threshold {
        Some(threshold) => {
            let effect = grounds.effect(threshold, goal.delta());
            (effect.errors, effect.bound)
        }
        None => (proof.errors, proof.bound),
    };
    MissProof {
        label,
        alpha: goal.alpha(),
        delta: goal.delta(),
        records: proof.records,
        errors,
        bound,
        weighing: proof.weighing,
        records_wanting: proof.records_wanting,
    }
}

#[cfg(test)]
mod tests;
