//! What a certificate claims, as it is signed and written in JSON.

use std::collections::BTreeMap;

mod learned;

use domain::{TaskName, TierName};
use routing::certificate::{Goal, Proof, Provenance, Risk, Start, Weighing};
use serde::{Deserialize, Serialize};

use self::learned::{HeadJson, RouterJson, head, head_json, router, router_json};
use super::{Certificate, Extent, LabelProof, MissProof, Reference, TierProof};

/// Raised when the meaning of the file changes.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimJson {
    pub(super) version: u32,
    pub(super) task: String,
    /// How many tokens of an answer decide, where it is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) early_tokens: Option<usize>,
    /// RFC 3339, in UTC.
    made: String,
    statement: String,
    max_error: f64,
    /// Whether it is a share of all documents, and not of those that are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    of_all: bool,
    delta: f64,
    max_missed: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    max_wrong: BTreeMap<String, f64>,
    reference: ReferenceJson,
    records: usize,
    /// Of records from live traffic: how many were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<usize>,
    records_sha256: String,
    tiers: Vec<TierJson>,
    provenance: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceJson {
    Gold,
    Tier(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierJson {
    tier: String,
    delta: f64,
    threshold: Option<f64>,
    records: usize,
    kept: usize,
    errors: usize,
    bound: f64,
    starts: Vec<StartJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weighing: Option<WeighingJson>,
    records_wanting: Option<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by_label: Vec<LabelJson>,
    missed: Vec<MissedJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<HeadJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    router: Option<RouterJson>,
}

/// What was proven of the answers kept with a label, or with all that are not named.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelJson {
    label: Option<String>,
    alpha: f64,
    delta: f64,
    threshold: Option<f64>,
    records: usize,
    kept: usize,
    errors: usize,
    bound: f64,
    starts: Vec<StartJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weighing: Option<WeighingJson>,
    records_wanting: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MissedJson {
    label: String,
    alpha: f64,
    delta: f64,
    records: usize,
    errors: usize,
    bound: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weighing: Option<WeighingJson>,
    records_wanting: Option<usize>,
}

/// What records said that each counted as it was improbable; of one that has none each counted
/// once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeighingJson {
    effective: f64,
    share_kept: f64,
    risk: f64,
    bet: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartJson {
    kept: usize,
    delta: f64,
}

/// What a certificate claims.
pub(super) fn claim(certificate: &Certificate) -> ClaimJson {
    let tier = |TierProof {
                    tier,
                    delta,
                    proof,
                    by_label,
                    missed,
                    head,
                    router,
                }: &TierProof| TierJson {
        by_label: by_label.iter().map(label_json).collect(),
        head: head.as_ref().map(head_json),
        router: router.as_ref().map(router_json),
        tier: tier.to_string(),
        delta: *delta,
        missed: missed.iter().map(missed_json).collect(),
        threshold: proof.threshold,
        records: proof.records,
        kept: proof.kept,
        errors: proof.errors,
        bound: proof.bound,
        starts: starts_json(proof),
        weighing: proof.weighing.map(weighing_json),
        records_wanting: proof.records_wanting,
    };
    ClaimJson {
        version: VERSION,
        task: certificate.task.to_string(),
        early_tokens: match certificate.extent {
            Extent::Whole => None,
            Extent::First(tokens) => Some(tokens),
        },
        made: certificate.made.to_string(),
        statement: certificate.statement(),
        max_error: certificate.goal.alpha(),
        of_all: certificate.risk == Risk::Marginal,
        delta: certificate.goal.delta(),
        max_missed: certificate.max_missed.iter().cloned().collect(),
        max_wrong: certificate.max_wrong.iter().cloned().collect(),
        reference: match &certificate.reference {
            Reference::Gold => ReferenceJson::Gold,
            Reference::Tier(tier) => ReferenceJson::Tier(tier.to_string()),
        },
        records: certificate.records,
        known: certificate.known,
        records_sha256: certificate.records_sha256.clone(),
        tiers: certificate.tiers.iter().map(tier).collect(),
        provenance: certificate.provenance.parts.clone(),
    }
}

fn starts_json(proof: &Proof) -> Vec<StartJson> {
    let start = |&Start { kept, delta }: &Start| StartJson { kept, delta };
    proof.starts.iter().map(start).collect()
}

fn starts(starts: Vec<StartJson>) -> Vec<Start> {
    let start = |StartJson { kept, delta }| Start { kept, delta };
    starts.into_iter().map(start).collect()
}

fn weighing_json(weighing: Weighing) -> WeighingJson {
    let Weighing {
        effective,
        share_kept,
        risk,
        bet,
    } = weighing;
    WeighingJson {
        effective,
        share_kept,
        risk,
        bet,
    }
}

fn weighing(json: WeighingJson) -> Weighing {
    let WeighingJson {
        effective,
        share_kept,
        risk,
        bet,
    } = json;
    Weighing {
        effective,
        share_kept,
        risk,
        bet,
    }
}

fn label_json(of: &LabelProof) -> LabelJson {
    LabelJson {
        label: of.label.clone(),
        alpha: of.alpha,
        delta: of.delta,
        threshold: of.proof.threshold,
        records: of.proof.records,
        kept: of.proof.kept,
        errors: of.proof.errors,
        bound: of.proof.bound,
        starts: starts_json(&of.proof),
        weighing: of.proof.weighing.map(weighing_json),
        records_wanting: of.proof.records_wanting,
    }
}

fn by_label(json: LabelJson) -> LabelProof {
    LabelProof {
        label: json.label,
        alpha: json.alpha,
        delta: json.delta,
        proof: Proof {
            threshold: json.threshold,
            records: json.records,
            kept: json.kept,
            errors: json.errors,
            bound: json.bound,
            starts: starts(json.starts),
            weighing: json.weighing.map(weighing),
            records_wanting: json.records_wanting,
        },
    }
}

fn missed_json(missed: &MissProof) -> MissedJson {
    let MissProof {
        label,
        alpha,
        delta,
        records,
        errors,
        bound,
        weighing,
        records_wanting,
    } = missed.clone();
    MissedJson {
        label,
        alpha,
        delta,
        records,
        errors,
        bound,
        weighing: weighing.map(weighing_json),
        records_wanting,
    }
}

fn missed(json: MissedJson) -> MissProof {
    let MissedJson {
        label,
        alpha,
        delta,
        records,
        errors,
        bound,
        weighing: weighed,
        records_wanting,
    } = json;
    MissProof {
        label,
        alpha,
        delta,
        records,
        errors,
        bound,
        weighing: weighed.map(weighing),
        records_wanting,
    }
}

/// The certificate that claims this.
///
/// # Errors
/// When a part of it is none of a certificate.
pub(super) fn certificate(claim: ClaimJson) -> anyhow::Result<Certificate> {
    let tier = |tier: TierJson| -> anyhow::Result<TierProof> {
        Ok(TierProof {
            tier: TierName::new(&tier.tier)?,
            delta: tier.delta,
            missed: tier.missed.into_iter().map(missed).collect(),
            by_label: tier.by_label.into_iter().map(by_label).collect(),
            head: tier.head.map(head).transpose()?,
            router: tier.router.map(router).transpose()?,
            proof: Proof {
                threshold: tier.threshold,
                records: tier.records,
                kept: tier.kept,
                errors: tier.errors,
                bound: tier.bound,
                starts: starts(tier.starts),
                weighing: tier.weighing.map(weighing),
                records_wanting: tier.records_wanting,
            },
        })
    };
    Ok(Certificate {
        task: TaskName::new(&claim.task)?,
        extent: claim.early_tokens.map_or(Extent::Whole, Extent::First),
        made: claim.made.parse()?,
        goal: Goal::new(claim.max_error, claim.delta)?,
        risk: match claim.of_all {
            true => Risk::Marginal,
            false => Risk::Selective,
        },
        reference: match claim.reference {
            ReferenceJson::Gold => Reference::Gold,
            ReferenceJson::Tier(tier) => Reference::Tier(TierName::new(&tier)?),
        },
        max_missed: claim.max_missed.into_iter().collect(),
        max_wrong: claim.max_wrong.into_iter().collect(),
        records: claim.records,
        known: claim.known,
        records_sha256: claim.records_sha256,
        tiers: claim
            .tiers
            .into_iter()
            .map(tier)
            .collect::<Result<_, _>>()?,
        provenance: Provenance {
            parts: claim.provenance,
        },
    })
}
