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
mod weights;

use domain::{Label, Labels, TaskName, TierKind, TierName};
use ledger::Monitored;
use routing::cascade::Rule;
use routing::certificate::{Goal, Proof, Provenance, Risk};
use sha2::{Digest as _, Sha256};

use crate::clock::date_of;
use crate::config::{Config, TaskConfig};
use crate::deferral::{Heads, TierHead};
use crate::precall::{Routers, TierRouter};
use crate::terminal::{count, percent_short};

pub(crate) use self::extent::{Extent, path};
pub(crate) use self::file::{audit_key, encode, id, read, write};
pub(crate) use self::provenance::{Circumstances, may_be_reference, meaning, now};
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
    /// SHA-256 of the records' texts and right answers.
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

    /// `≤ 2 % wrong, 95 % sure, 1,200 records`.
    pub(crate) fn in_short(&self) -> String {
        let wrong = match self.reference {
            Reference::Gold => "wrong".to_owned(),
            Reference::Tier(ref tier) => format!("other than {tier}'s"),
        };
        let of = match self.risk {
            Risk::Selective => "",
            Risk::Marginal => " of all",
        };
        let missed = self
            .max_missed
            .iter()
            .map(|(label, share)| format!(" ≤ {} of {label} missed,", percent_short(*share)));
        let by_label = self.max_wrong.iter();
        let by_label =
            by_label.map(|(label, share)| format!(" ≤ {} of {label},", percent_short(*share)));
        format!(
            "≤ {}{of} {wrong},{}{} {} sure, {} records",
            percent_short(self.goal.alpha()),
            by_label.collect::<String>(),
            missed.collect::<String>(),
            percent_short(self.confidence()),
            count(self.records),
        )
    }

    /// The claim in a sentence for the person who answers for it.
    pub(crate) fn statement(&self) -> String {
        let keeping: Vec<&str> = self
            .tiers
            .iter()
            .filter(|tier| tier.proof.threshold.is_some())
            .map(|tier| tier.tier.as_str())
            .collect();
        if keeping.is_empty() {
            return "Nothing could be proven: every document goes on to the tiers behind."
                .to_owned();
        }
        let than = match (&self.reference, self.risk) {
            (Reference::Gold, Risk::Selective) => "are wrong".to_owned(),
            (Reference::Gold, Risk::Marginal) => "wrong answers".to_owned(),
            (Reference::Tier(tier), Risk::Selective) => format!("differ from what {tier} answers"),
            (Reference::Tier(tier), Risk::Marginal) => {
                format!("answers that differ from what {tier} answers")
            }
        };
        let missed = self.max_missed.iter().map(|(label, share)| {
            let share = percent_short(*share);
            format!(
                " and at most {share} of the documents that are {label} are kept as something else,"
            )
        });
        let wrong = self.max_wrong.iter().map(|(label, share)| {
            let share = percent_short(*share);
            format!(" and at most {share} of those that are kept as {label},")
        });
        let keeps = match self.extent {
            Extent::Whole => "keeps".to_owned(),
            Extent::First(tokens) => {
                format!("keeps after {tokens} tokens of a streamed answer")
            }
        };
        let (sure, most) = (
            percent_short(self.confidence()),
            percent_short(self.goal.alpha()),
        );
        let keeping = keeping.join(" or ");
        let claim = match self.risk {
            Risk::Selective => {
                format!("at most {most} of the answers that {keeping} {keeps} {than}")
            }
            Risk::Marginal => {
                format!("of all documents {keeping} {keeps} at most {most} with {than}")
            }
        };
        format!(
            "With {sure} confidence, {claim},{}{} as long as documents come as the {} records did \
             and nothing listed under provenance changes.",
            wrong.collect::<String>(),
            missed.collect::<String>(),
            count(self.records),
        )
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

/// Where a task's thresholds come from.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// The config states them, or there are none.
    Stated,
    /// They were found on held-out records: careful estimates, and no proof.
    Estimated,
    /// They are proven.
    Certified(Box<Certificate>),
    /// They were proven, and audits have shown since that the proof no longer holds.
    Revoked(Box<Certificate>, ledger::Timestamp),
    /// They should be proven and are not, so that there are none; why, to follow "because".
    Unproven(String),
}

impl Standing {
    /// What holds for a task now, where so much of an answer decides.
    pub(crate) fn of(task: &TaskConfig, circumstances: &Circumstances<'_>, extent: Extent) -> Self {
        let Some(target) = task.target else {
            return Self::Stated;
        };
        if target.confidence.is_none() {
            return Self::Estimated;
        }
        let name = &task.task.name;
        let certificate = match read(&circumstances.config.certificates, name, extent) {
            Ok(certificate) => certificate,
            Err(fault) => return Self::Unproven(fault.to_string()),
        };
        let now = match now(task, circumstances, (&certificate.reference, extent)) {
            Ok(now) => now,
            Err(fault) => return Self::Unproven(format!("it can't be checked: {fault:#}")),
        };
        let changed = circumstances.changed(&certificate.provenance, &now);
        if changed.is_empty() {
            Self::Certified(Box::new(certificate))
        } else {
            Self::Unproven(format!(
                "the one of {} is void: changed since: {}",
                certificate.day(),
                changed.join(", ")
            ))
        }
    }

    /// The certificate, where one holds or was revoked.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certified(certificate) | Self::Revoked(certificate, _) => Some(certificate),
            Self::Stated | Self::Estimated | Self::Unproven(_) => None,
        }
    }

    /// The same, once it is known what its monitor says.
    pub(crate) fn watched(self, monitored: Option<&Monitored>) -> Self {
        match (self, monitored.and_then(|it| it.revoked_at)) {
            (Self::Certified(certificate), Some(at)) => Self::Revoked(certificate, at),
            (standing, _) => standing,
        }
    }

    /// The rule of a tier that has others behind it, where it depends on a certificate.
    pub(crate) fn rule(&self, tier: &TierName, labels: Option<&Labels>) -> Option<Rule> {
        let certificate = match self {
            Self::Stated | Self::Estimated => return None,
            Self::Unproven(_) | Self::Revoked(..) => return Some(Rule::Never),
            Self::Certified(certificate) => certificate,
        };
        let mut tiers = certificate.tiers.iter();
        let proven = tiers.find(|proven| proven.tier == *tier);
        Some(match proven.and_then(|proven| proven.rule(labels)) {
            Some(rule) => rule,
            None if certificate.hears(tier) => Rule::Heard,
            None => Rule::Never,
        })
    }

    /// By which the tiers' answers are ranked, where it is not by their raw confidence.
    pub(crate) fn heads(&self) -> Heads {
        self.certificate()
            .map(Certificate::heads)
            .unwrap_or_default()
    }

    /// What lets requests through to tiers that are not asked all.
    pub(crate) fn routers(&self) -> Routers {
        self.certificate()
            .map(Certificate::routers)
            .unwrap_or_default()
    }

    /// One word for reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Estimated => "estimated",
            Self::Certified(_) => "certified",
            Self::Revoked(..) => "revoked",
            Self::Unproven(_) => "unproven",
        }
    }

    /// Where the thresholds come from, for the ledger's notes.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Stated => "thresholds stand in the config".to_owned(),
            Self::Estimated => {
                "thresholds were found on held-out records and are not certified".to_owned()
            }
            Self::Certified(certificate) if certificate.proves_something() => format!(
                "certified on {}: {}",
                certificate.day(),
                certificate.in_short()
            ),
            Self::Certified(certificate) => format!(
                "the certificate of {} proves nothing, and nothing is kept in house",
                certificate.day()
            ),
            Self::Revoked(certificate, at) => format!(
                "audits have revoked the certificate of {} on {}, and nothing is kept in house",
                certificate.day(),
                date_of(*at)
            ),
            Self::Unproven(why) => {
                format!("a certificate is demanded and {why}, and nothing is kept in house")
            }
        }
    }

    /// What a person should know before documents are answered, with the command that helps.
    pub(crate) fn warning(&self, config: &Config, task: &TaskName) -> Option<String> {
        let (why, records) = match self {
            Self::Unproven(why) => (why.clone(), "LABELLED.jsonl"),
            Self::Revoked(certificate, at) => {
                let (made, revoked) = (certificate.day(), date_of(*at));
                let why = format!("audits have revoked the one of {made} on {revoked}");
                (why, "NEW.jsonl")
            }
            Self::Certified(certificate) if !certificate.proves_something() => {
                let wanting = certificate.records_wanting().map_or_else(
                    || "more records alone would not help".to_owned(),
                    |wanting| format!("about {} records more would do", count(wanting)),
                );
                let day = certificate.day();
                (
                    format!("the one of {day} proves nothing: {wanting}"),
                    "MORE.jsonl",
                )
            }
            _ => return None,
        };
        let file = config.file.display();
        Some(format!(
            "task {task} keeps nothing in house: its target demands a certificate, and {why}; \
             make one with: tiergate calibrate {task} --records {records} --config {file}"
        ))
    }

    /// The fingerprint of a task together with its proven thresholds: others give other answers.
    pub(crate) fn fingerprint(&self, task: [u8; 32]) -> [u8; 32] {
        let tiers = match self {
            Self::Stated | Self::Estimated => return task,
            Self::Unproven(_) => &[][..],
            // What was begun under it goes on; what is left of it is passed on.
            Self::Certified(certificate) | Self::Revoked(certificate, _) => &certificate.tiers[..],
        };
        let mut hash = Sha256::new();
        hash.update(task);
        for TierProof {
            tier,
            proof,
            head,
            router,
            by_label,
            ..
        } in tiers
        {
            if let Some(threshold) = proof.threshold {
                hash.update((tier.as_str().len() as u64).to_le_bytes());
                hash.update(tier.as_str());
                hash.update(threshold.to_bits().to_le_bytes());
            }
            for LabelProof { label, proof, .. } in by_label {
                hash.update(label.as_deref().unwrap_or_default());
                let threshold = proof.threshold.unwrap_or(f64::INFINITY);
                hash.update(threshold.to_bits().to_le_bytes());
            }
            let weights = head.iter().flat_map(|head| head.deferral.parts().0);
            weights.for_each(|weight| hash.update(weight.to_bits().to_le_bytes()));
            if let Some(TierRouter { router, .. }) = router {
                let (text, weights) = router.parts();
                hash.update(text);
                let numbers = weights.iter().copied().chain([router.skips_to()]);
                numbers.for_each(|number| hash.update(number.to_bits().to_le_bytes()));
            }
        }
        hash.finalize().into()
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

/// The tiers of a task that bring evidence and have another tier behind them, in the order in
/// which they are asked: those that a certificate is about. What stands behind a frontier is
/// asked only when that fails.
pub(crate) fn certifiable(config: &Config, task: &TaskConfig) -> Vec<TierName> {
    let tiers = &task.task.tiers;
    let kind = |tier: &TierName| config.tiers[tier].kind();
    tiers[..tiers.len() - 1]
        .iter()
        .take_while(|tier| kind(tier) != TierKind::Frontier)
        .filter(|tier| matches!(kind(tier), TierKind::Student | TierKind::Local))
        .cloned()
        .collect()
}
