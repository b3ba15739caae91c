//! Certificates in use: which thresholds of a task are proven, and whether the proof still holds.
//!
//! `tiergate calibrate` writes a certificate; whatever answers a task reads it here at start-up.
//! One that can't be read, was not signed with the data folder's key, or depends on something
//! that has changed since, is void: then nothing is kept that was not proven.

mod claim;
mod extent;
mod file;
mod provenance;
mod signing;
mod standing;
mod tiers;
mod weights;
mod words;

use domain::{Label, Labels, TaskName, TierName};
use routing::cascade::Rule;
use routing::certificate::{Goal, Proof, Provenance, Risk, Weighing};

use crate::deferral::{Heads, TierHead};
use crate::precall::{Routers, TierRouter};

pub(crate) use self::extent::{Extent, path};
pub(crate) use self::file::{audit_key, encode, id, read, write};
pub(crate) use self::provenance::{Circumstances, meaning, now};
pub(crate) use self::standing::Standing;
pub(crate) use self::tiers::{certifiable, may_be_reference};
pub(crate) use self::weights::sha256 as weights_sha256;

/// What the answers were compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The records' right answers.
    Gold,
    /// What a later tier of the task answers.
    Tier(TierName),
}

/// What was proven of a task's tiers, together.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) task: TaskName,
    /// How much of an answer decides.
    pub(crate) extent: Extent,
    pub(crate) made: jiff::Timestamp,
    /// At most this share of what the tiers keep is wrong, but for this probability.
    pub(crate) goal: Goal,
    /// Whether it is a share of what they keep or of all documents.
    pub(crate) risk: Risk,
    pub(crate) reference: Reference,
    /// For labels by name: at most this share of their documents is kept with another label.
    pub(crate) max_missed: Vec<(String, f64)>,
    /// For labels by name: at most this share of the answers kept with this label is wrong.
    pub(crate) max_wrong: Vec<(String, f64)>,
    /// How many records there were.
    pub(crate) records: usize,
    /// Of records from live traffic: how many were known, before any was left out by lot.
    pub(crate) known: Option<usize>,
    /// SHA-256 of the records' texts and right answers, and of how they weigh where they do so
    /// unequally.
    pub(crate) records_sha256: String,
    /// In the order in which they are asked.
    pub(crate) tiers: Vec<TierProof>,
    /// What it was proven for.
    pub(crate) provenance: Provenance,
}

/// What was proven of one tier.
#[derive(Debug, Clone)]
pub(crate) struct TierProof {
    pub(crate) tier: TierName,
    /// Its part of the failure probability.
    pub(crate) delta: f64,
    /// Of all that it keeps; where labels have proofs of their own, what these add up to: the
    /// lowest threshold, the highest bound.
    pub(crate) proof: Proof,
    /// The proofs of labels that have thresholds of their own, and of the others together.
    pub(crate) by_label: Vec<LabelProof>,
    /// What its threshold leaves of each label that must not be missed.
    pub(crate) missed: Vec<MissProof>,
    /// By which its answers are ranked, where it is not by their raw confidence.
    pub(crate) head: Option<TierHead>,
    /// What lets requests through to it, where it is not asked all: the proof is about these.
    pub(crate) router: Option<TierRouter>,
}

/// What was proven of the answers that one tier keeps with one label.
#[derive(Debug, Clone)]
pub(crate) struct LabelProof {
    /// `None` for all labels that have no proof of their own.
    pub(crate) label: Option<String>,
    /// The share of them that may be wrong.
    pub(crate) alpha: f64,
    /// Its part of the failure probability.
    pub(crate) delta: f64,
    pub(crate) proof: Proof,
}

/// What was proven of one label and one tier.
#[derive(Debug, Clone)]
pub(crate) struct MissProof {
    pub(crate) label: String,
    /// The tier's part of the share that may be missed.
    pub(crate) alpha: f64,
    /// Its part of the failure probability.
    pub(crate) delta: f64,
    /// Records of this label.
    pub(crate) records: usize,
    /// Of these, kept with another label.
    pub(crate) errors: usize,
    /// Upper bound on that share; 1 when nothing could be proven.
    pub(crate) bound: f64,
    /// Where records weigh unequally: what weighing them says.
    pub(crate) weighing: Option<Weighing>,
    /// About so many records more of this label would prove it.
    pub(crate) records_wanting: Option<usize>,
}

impl Certificate {
    /// Whether any tier may keep anything.
    pub(crate) fn proves_something(&self) -> bool {
        self.tiers.iter().any(|tier| tier.proof.threshold.is_some())
    }

    /// How sure the claim is, 0 to 1.
    pub(crate) fn confidence(&self) -> f64 {
        1.0 - self.goal.delta()
    }

    /// How many records more would let a tier keep something, about, where no tier may.
    pub(crate) fn records_wanting(&self) -> Option<usize> {
        let wanting = |tier: &TierProof| tier.wanting_of(self.records);
        self.tiers.iter().filter_map(wanting).min()
    }

    /// Whether what a tier says is evidence for a tier that keeps something.
    fn hears(&self, tier: &TierName) -> bool {
        let mut heads = self.tiers.iter().filter(|it| it.proof.threshold.is_some());
        heads.any(|it| {
            it.head
                .as_ref()
                .is_some_and(|head| head.heard.contains(tier))
        })
    }

    /// By which the tiers' answers are ranked, where it is not by their raw confidence.
    pub(crate) fn heads(&self) -> Heads {
        let head = |tier: &TierProof| Some((tier.tier.clone(), tier.head.clone()?));
        self.tiers.iter().filter_map(head).collect()
    }

    /// What lets requests through to tiers that are not asked all.
    pub(crate) fn routers(&self) -> Routers {
        let router = |tier: &TierProof| Some((tier.tier.clone(), tier.router.clone()?));
        self.tiers.iter().filter_map(router).collect()
    }

    fn day(&self) -> jiff::civil::Date {
        self.made.to_zoned(jiff::tz::TimeZone::UTC).date()
    }
}

impl TierProof {
    /// When the tier's answers are kept, if they ever are.
    pub(crate) fn rule(&self, labels: Option<&Labels>) -> Option<Rule> {
        rule((&self.proof, &self.by_label), labels)
    }

    /// How many records more, of which this tier sees its part, would prove something of it;
    /// `None` where something is proven, or no number would do.
    pub(crate) fn wanting_of(&self, records: usize) -> Option<usize> {
        if self.proof.threshold.is_some() {
            return None;
        }
        let scaled = |wanting: usize, seen: usize| {
            (seen > 0).then(|| (wanting as f64 * records as f64 / seen as f64).ceil() as usize)
        };
        let own = self.proof.records_wanting;
        let mut most = own.and_then(|wanting| scaled(wanting, self.proof.records));
        for missed in self.missed.iter().filter(|missed| missed.bound >= 1.0) {
            most = most.max(Some(scaled(missed.records_wanting?, missed.records)?));
        }
        most
    }
}

/// When answers are kept of which this is proven, by label where labels have proofs of their own;
/// `None` where none ever is.
pub(crate) fn rule(
    (proof, by_label): (&Proof, &[LabelProof]),
    labels: Option<&Labels>,
) -> Option<Rule> {
    let threshold = proof.threshold?;
    let Some(labels) = labels.filter(|_| !by_label.is_empty()) else {
        return Some(Rule::Threshold(threshold));
    };
    let of = |label: &Label| {
        let own = by_label
            .iter()
            .find(|it| it.label.as_ref() == Some(&label.name));
        let others = || by_label.iter().find(|it| it.label.is_none());
        let proof = own.or_else(others).map(|it| &it.proof);
        proof.and_then(|it| it.threshold).unwrap_or(f64::INFINITY)
    };
    Some(Rule::ByLabel(labels.iter().map(of).collect()))
}
