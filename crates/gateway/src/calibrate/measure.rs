//! What the tiers make of the records, and what that proves.
//!
//! A tier is only asked about what those before it did not keep, as in production. Where there are
//! records that certify nothing, the task's own or some put aside, they say by which deferral head
//! a tier's answers are ranked, and all tiers are certified on all other records: each but the last
//! with a threshold from a ladder, which was fixed by them for the steps of the tiers before it, so
//! that what is left is a fair sample of what reaches the next tier, at the price of the steps'
//! weights. Where there are none, each tier is certified on a part of the records of its own: the
//! threshold of the one before was found on other records.

use domain::{TaskKind, TierKind, TierName};
use routing::cascade::Rule;
use routing::certificate::{Goal, Grounds, Proof, Risk};
use routing::random::Random;

use super::claims::{Claims, Part, Shares};
use super::expectation::{Expectation, RANKED_STUDENT, Ranked};
use super::hearing::Hearing;
use super::records::{APART_FROM, Sample};
use super::routed::{Found, Routed, found};
use crate::app::App;
use crate::certificate::{Extent, LabelProof, MissProof, TierProof, certifiable};
use crate::config::TaskConfig;
use crate::deferral::{Heads, Ranking, TierHead};
use crate::learn::asking::Answer;
use crate::precall::{Routers, TierRouter};

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
    pub(super) by_label: Vec<LabelProof>,
    pub(super) missed: Vec<MissProof>,
    /// Every answer with its record's index.
    pub(super) answers: Vec<(usize, Answer)>,
    /// What is said of the answers that it keeps stands on this.
    pub(super) grounds: Grounds,
    /// Of the records that certified it, the share that it keeps, as they weigh.
    pub(super) share_kept: f64,
    /// Of these, the share that is wrong; with a share of all documents, of all.
    pub(super) share_wrong: f64,
    /// By which its answers were ranked, where it was not by their raw confidence.
    pub(super) head: Option<TierHead>,
    /// By what its answers were ranked, in words that follow "ranked".
    pub(super) ranked: String,
    /// What lets records through to it, where it is not asked about all.
    pub(super) router: Option<TierRouter>,
    /// What that skips, in a task that wants it of a local tier.
    pub(super) routed: Option<Routed>,
}

impl MeasuredTier {
    pub(super) fn proof(&self) -> TierProof {
        TierProof {
            tier: self.tier.clone(),
            delta: self.goal.delta(),
            proof: self.proof.clone(),
            by_label: self.by_label.clone(),
            missed: self.missed.clone(),
            head: self.head.clone(),
            router: self.router.clone(),
        }
    }
}

/// What is known of the tiers before the records that certify are looked at.
pub(super) struct Basis<'a> {
    /// Records that certify nothing, where there are any.
    pub(super) expected: Option<Expectation<'a>>,
    /// By which answers are ranked: at first those that were fixed before, where there are any.
    pub(super) heads: Heads,
    /// What lets records through to tiers: at first what was fixed before, if anything.
    pub(super) routers: Routers,
    /// Whether heads and routers may still be fitted.
    pub(super) may_fit: bool,
    /// Whether local tiers shall have routers.
    pub(super) wants_router: bool,
    /// The kind of the task, and how much of an answer decides.
    pub(super) by: (TaskKind, Extent),
}

impl Basis<'_> {
    /// Finds out by what a tier's answers are ranked, in words that follow "ranked".
    async fn ranked(
        &mut self,
        (tier, kind): (&TierName, TierKind),
        heard: Vec<TierName>,
    ) -> anyhow::Result<String> {
        if let Some(expected) = &mut self.expected {
            expected.hear(tier).await?;
        }
        if self.by.1 != Extent::Whole {
            return Ok("by its raw confidence after the first tokens".to_owned());
        }
        if !self.may_fit {
            let had = self.heads.get(tier).map(|head| head.records);
            return Ok(match had {
                Some(records) => format!("by the head of {records} records that it had"),
                None if kind == TierKind::Student => RANKED_STUDENT.to_owned(),
                None => "by its raw confidence, as before".to_owned(),
            });
        }
        let Some(expected) = &self.expected else {
            if kind == TierKind::Student {
                return Ok(RANKED_STUDENT.to_owned());
            }
            return Ok(format!(
                "by its raw confidence: a head takes labelled records of the task's own, or \
                 {APART_FROM} here"
            ));
        };
        let Ranked { head, why } = expected.head(tier, self.ranking(), heard);
        self.heads.extend(head.map(|head| (tier.clone(), head)));
        Ok(why)
    }

    /// Finds out which records a tier is not asked about, if it may have a router.
    fn route(
        &mut self,
        (tier, kind): (&TierName, TierKind),
        what: (Vec<TierName>, Goal, Risk),
    ) -> Option<Found> {
        if kind != TierKind::Local || !self.wants_router {
            return None;
        }
        let found = match (self.routers.get(tier), self.may_fit) {
            (Some(fixed), _) => Ok(fixed.clone()),
            (None, false) => Err("it had none before".to_owned()),
            (None, true) => found(self.expected.as_ref(), (tier, self.ranking()), what),
        };
        if let Ok(router) = &found {
            self.routers.insert(tier.clone(), router.clone());
        }
        Some(found)
    }

    /// By what answers are ranked, and what is asked for, so far.
    fn ranking(&self) -> Ranking<'_> {
        Ranking {
            kind: self.by.0,
            extent: self.by.1,
            heads: &self.heads,
            routers: &self.routers,
        }
    }

    /// Takes note of what a tier keeps.
    fn pass_on(&mut self, tier: &TierName, rule: &Rule) {
        let ranking = Ranking {
            kind: self.by.0,
            extent: self.by.1,
            heads: &self.heads,
            routers: &self.routers,
        };
        if let Some(expected) = &mut self.expected {
            expected.pass_on(tier, ranking, rule);
        }
    }
}

/// Asks the tiers one after the other and certifies each for answers of which so much decides.
///
/// # Errors
/// When a tier answers none of the records.
pub(super) async fn measure(
    app: &App,
    task: &TaskConfig,
    (sample, hearing): (&Sample, &mut Hearing<'_>),
    goal: Goal,
    mut basis: Basis<'_>,
) -> anyhow::Result<Measured> {
    let names = certifiable(&app.config, task);
    let shares = Shares {
        wrong: &task.max_wrong,
        missed: &task.max_missed,
    };
    let of = (names.len(), sample.labels.len());
    let claims = Claims::new((goal, risk(task)), shares, of)?;
    let last = names.len() - 1;
    // A ladder of thresholds of all labels would have too many steps.
    let on_ladders = basis.expected.is_some() && !claims.are_by_label();
    let n_parts = if on_ladders { 1 } else { names.len() };
    let parts = parts(sample.records.len(), n_parts);
    let mut weight = 1.0;
    let mut left: Vec<usize> = (0..sample.records.len()).collect();
    let mut kept = vec![None; sample.records.len()];
    let mut tiers: Vec<MeasuredTier> = Vec::new();
    for (index, tier) in names.into_iter().enumerate() {
        let kind = app.tiers[&tier].kind();
        hearing.listen(&tier, sample, &left).await?;
        let ranked = basis.ranked((&tier, kind), heard(task, &tiers)).await?;
        let claims_left = claims.weighted(weight);
        let what = (heard(task, &tiers), claims_left.kept, claims.risk);
        let routed = basis.route((&tier, kind), what);
        let ranking = basis.ranking();
        let answers = hearing.answers(&tier, ranking, (sample, &left));
        let expected = basis.expected.as_ref();
        let ladder = expected.filter(|_| on_ladders && index < last);
        let ladder = ladder.map(|it| it.ladder(&tier, ranking, claims_left.kept));
        let of_part = |record: &usize| n_parts == 1 || parts[*record] == index;
        let records: Vec<usize> = (0..parts.len()).filter(of_part).collect();
        let part = Part {
            records: &records,
            ladder: ladder.as_ref(),
            floor: *sample.floors.get(&tier).unwrap_or(&f64::NEG_INFINITY),
        };
        let proven = claims_left.prove(sample, part, &answers);
        weight *= proven.weight;
        let rule = proven.rule;
        let routed = routed.map(|found| {
            let on = (sample, &left[..], &rule);
            Routed::new(&found, (&tier, hearing), ranking, on)
        });
        basis.pass_on(&tier, &rule);
        let is_kept = |answer: &Answer| rule.accepts(Some(answer.label), Some(answer.confidence));
        for (record, answer) in answers.iter().filter(|(_, answer)| is_kept(answer)) {
            kept[*record] = Some(Kept {
                tier: index,
                label: answer.label,
            });
        }
        left.retain(|&record| kept[record].is_none());
        tiers.push(MeasuredTier {
            kind,
            head: basis.heads.get(&tier).cloned(),
            router: basis.routers.get(&tier).cloned(),
            routed,
            ranked,
            tier,
            goal: claims.kept,
            proof: proven.proof,
            by_label: proven.by_label,
            missed: proven.missed,
            answers,
            grounds: proven.grounds,
            share_kept: proven.share_kept,
            share_wrong: proven.share_wrong,
        });
    }
    Ok(Measured { tiers, kept })
}

/// Whether the error is a share of what is kept or of all documents.
pub(super) fn risk(task: &TaskConfig) -> Risk {
    task.target.map_or(Risk::Selective, |target| target.risk)
}

/// The tiers whose answers can be evidence for the next one: those that are asked in production
/// too, which a student is at no cost, and another one where it may keep something.
fn heard(task: &TaskConfig, before: &[MeasuredTier]) -> Vec<TierName> {
    let is_asked =
        |tier: &&MeasuredTier| tier.kind == TierKind::Student || tier.proof.threshold.is_some();
    let asked = before.iter().filter(is_asked);
    let asked = asked.filter(|_| task.task.labels.is_some());
    asked.map(|tier| tier.tier.clone()).collect()
}

/// The part of each record, by chance and of equal size to one record.
fn parts(n_records: usize, n_parts: usize) -> Vec<usize> {
    let mut parts: Vec<usize> = (0..n_records).map(|record| record % n_parts).collect();
    Random::new(PARTS_SEED).shuffle(&mut parts);
    parts
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
