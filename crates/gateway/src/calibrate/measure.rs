//! What the tiers make of the records, and what that proves.
//!
//! A tier is only asked about what those before it did not keep, as in production. Where the task
//! has labelled records of its own, all tiers are certified on all records that certify: each but
//! the last with a threshold from a ladder, which was fixed by the own records for the steps of
//! the tiers before it, so that what is left is a fair sample of what reaches the next tier, at
//! the price of the steps' weights. Where it has none, each tier is certified on a part of the
//! records of its own: the threshold of the one before was found on other records.

use std::collections::HashMap;

use domain::{TierKind, TierName};
use routing::certificate::{Goal, Proof};
use routing::random::Random;
use routing::student::Student;
use routing::threshold::Scored;

use super::claims::{Claims, Part};
use super::expectation::Expectation;
use super::records::{RIGHT, Sample};
use crate::agreement::Expected;
use crate::app::App;
use crate::certificate::{Extent, MissProof, TierProof, certifiable};
use crate::config::TaskConfig;
use crate::learn::asking::{self, Answer, Given};

/// Seed of the cut into parts.
const PARTS_SEED: u64 = 1;

/// What came of asking.
pub(super) struct Measured {
    /// In the order in which they are asked.
    pub(super) tiers: Vec<MeasuredTier>,
    /// Who keeps each record, with its answer; (n_records).
    pub(super) kept: Vec<Option<Kept>>,
}

/// A kept answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// The index of the tier.
    pub(super) tier: usize,
    /// The index of its label.
    pub(super) label: usize,
}

/// What one tier made of the records that reached it.
pub(super) struct MeasuredTier {
    pub(super) tier: TierName,
    pub(super) kind: TierKind,
    pub(super) goal: Goal,
    pub(super) proof: Proof,
    pub(super) missed: Vec<MissProof>,
    /// Every answer with its record's index.
    pub(super) answers: Vec<(usize, Answer)>,
    /// The records that certified it.
    pub(super) sample: Vec<Scored>,
}

impl MeasuredTier {
    pub(super) fn proof(&self) -> TierProof {
        TierProof {
            tier: self.tier.clone(),
            delta: self.goal.delta(),
            proof: self.proof.clone(),
            missed: self.missed.clone(),
        }
    }
}

/// What tiers have answered to records in free text, by tier and record, so that nobody is asked
/// twice where several things are proven.
pub(super) type Told = HashMap<(TierName, usize), Option<Given>>;

/// Asks the tiers one after the other, the student being this one, and certifies each for answers
/// of which so much decides.
///
/// # Errors
/// When a tier answers none of the records.
pub(super) async fn measure(
    app: &App,
    (task, student): (&TaskConfig, Option<&Student>),
    sample: &Sample,
    (goal, extent): (Goal, Extent),
    told: &mut Told,
) -> anyhow::Result<Measured> {
    let names = certifiable(&app.config, task);
    let claims = Claims::new(goal, &task.max_missed, names.len())?;
    let last = names.len() - 1;
    let mut own = match last {
        0 => None,
        _ => Expectation::new(app, task)?,
    };
    let n_parts = if own.is_some() { 1 } else { names.len() };
    let parts = parts(sample.records.len(), n_parts);
    let mut weight = 1.0;
    let mut left: Vec<usize> = (0..sample.records.len()).collect();
    let mut kept = vec![None; sample.records.len()];
    let mut tiers = Vec::new();
    for (index, tier) in names.into_iter().enumerate() {
        let answers = match &sample.expected {
            None => {
                let texts = texts(sample, &left);
                let answers = asking::inside_with(app, (task, student), &tier, texts).await?;
                let answers = left.iter().zip(answers);
                let given = answers.filter_map(|(&record, answer)| Some((record, answer?)));
                given.collect()
            }
            Some(expected) => {
                listen(app, (task, &tier), sample, &left, told).await?;
                judged(task, (&tier, extent), (expected, &left), told)
            }
        };
        let claims_left = claims.weighted(weight);
        let ladder = match &mut own {
            Some(own) if index < last => Some(own.ladder(&tier, claims_left.kept).await?),
            _ => None,
        };
        let of_part = |record: &usize| n_parts == 1 || parts[*record] == index;
        let records: Vec<usize> = (0..parts.len()).filter(of_part).collect();
        let floor = sample.floors.get(&tier).copied();
        let part = Part {
            records: &records,
            ladder: ladder.as_ref(),
            floor: floor.unwrap_or(f64::NEG_INFINITY),
        };
        let proven = claims_left.prove(sample, part, &answers);
        weight *= proven.weight;
        let threshold = proven.proof.threshold.unwrap_or(f64::INFINITY);
        if let Some(own) = &mut own {
            own.pass_on(threshold);
        }
        for (record, answer) in answers.iter().filter(|(_, a)| a.confidence >= threshold) {
            kept[*record] = Some(Kept {
                tier: index,
                label: answer.label,
            });
        }
        left.retain(|&record| kept[record].is_none());
        tiers.push(MeasuredTier {
            kind: app.tiers[&tier].kind(),
            tier,
            goal: claims.kept,
            proof: proven.proof,
            missed: proven.missed,
            answers,
            sample: proven.sample,
        });
    }
    Ok(Measured { tiers, kept })
}

/// The part of each record, by chance and of equal size to one record.
fn parts(n_records: usize, n_parts: usize) -> Vec<usize> {
    let mut parts: Vec<usize> = (0..n_records).map(|record| record % n_parts).collect();
    Random::new(PARTS_SEED).shuffle(&mut parts);
    parts
}

fn texts<'a>(sample: &'a Sample, records: &'a [usize]) -> impl ExactSizeIterator<Item = &'a str> {
    let text = |&record: &usize| sample.records[record].text.as_str();
    records.iter().map(text)
}

/// Has a tier answer, in free text, the records that it has not answered yet. A record that it
/// fails on goes on, as it would in production.
async fn listen(
    app: &App,
    (task, tier): (&TaskConfig, &TierName),
    sample: &Sample,
    left: &[usize],
    told: &mut Told,
) -> anyhow::Result<()> {
    let mut open = left.to_vec();
    open.retain(|&record| !told.contains_key(&(tier.clone(), record)));
    if !open.is_empty() {
        let texts = texts(sample, &open);
        let given = asking::given(task, (tier, &app.tiers[tier]), texts).await?;
        let given = open.iter().zip(given);
        told.extend(given.map(|(&record, given)| ((tier.clone(), record), given)));
    }
    Ok(())
}

/// Free answers as labels: that of [`RIGHT`], or another. What nobody has judged counts as wrong,
/// which can make a claim too careful and never too bold.
fn judged(
    task: &TaskConfig,
    (tier, extent): (&TierName, Extent),
    (expected, left): (&[Expected], &[usize]),
    told: &Told,
) -> Vec<(usize, Answer)> {
    let kind = task.task.kind;
    let mut unknown = 0;
    let answer = |&record: &usize| {
        let given = told.get(&(tier.clone(), record))?.as_ref()?;
        let agrees = expected[record].agrees(kind, tier, &given.text);
        unknown += usize::from(agrees.is_none());
        let answer = Answer {
            label: RIGHT + usize::from(agrees != Some(true)),
            confidence: extent.confidence(&given.evidence),
        };
        Some((record, answer))
    };
    let answers = left.iter().filter_map(answer).collect();
    if unknown > 0 {
        tracing::warn!(
            tier.id = %tier,
            records = unknown,
            "answers count as wrong because the records judge other answers of this tier, and \
             give no right one"
        );
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_in_one_part_and_all_parts_are_of_one_size() {
        for n_parts in 1..4 {
            let parts = parts(100, n_parts);
            for part in 0..n_parts {
                let size = parts.iter().filter(|&&p| p == part).count();
                assert!(size == 100 / n_parts || size == 100 / n_parts + 1);
            }
            assert_eq!(
                parts,
                super::parts(100, n_parts),
                "the same parts each time"
            );
        }
    }
}
