//! Where a task's thresholds come from now, and which rules follow from it.

use domain::{Labels, TierName};
use ledger::Monitored;
use routing::cascade::Rule;
use sha2::{Digest as _, Sha256};

use super::provenance::{Circumstances, now};
use super::{Certificate, Extent, LabelProof, TierProof, read};
use crate::config::TaskConfig;
use crate::deferral::Heads;
use crate::precall::{Routers, TierRouter};

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
