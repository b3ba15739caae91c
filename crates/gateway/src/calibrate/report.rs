//! What the certificate is worth, in numbers: for the terminal, for machines and for the page.

use routing::certificate::Risk;
use routing::evaluation::Share;
use serde::Serialize;

use super::curves::{
    Bin, CostPoint, CostReport, Prices, RiskPoint, cost_quality, ratio, reliability, risk,
};
use super::measure::{Kept, Measured, MeasuredTier};
use super::records::Sample;
use super::routed::Routed;
use crate::app::App;
use crate::certificate::{
    Certificate, Extent, LabelProof, MissProof, Reference, TierProof, meaning,
};

/// All that is said about a certificate.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) task: String,
    /// How many tokens of a streamed answer decide, where it is not the whole answer.
    pub(super) early_tokens: Option<usize>,
    /// RFC 3339, in UTC.
    pub(super) made: String,
    /// The claim, in a sentence.
    pub(super) statement: String,
    /// Whether any tier may keep anything.
    pub(super) certified: bool,
    pub(super) max_error: f64,
    /// What that is a share of: `kept` answers or `all` documents.
    pub(super) max_error_of: &'static str,
    pub(super) confidence: f64,
    pub(super) delta: f64,
    /// `gold`, or the name of the tier.
    pub(super) reference: String,
    /// What the reference was paid, in US dollars.
    pub(super) reference_cost_usd: String,
    pub(super) records: usize,
    /// Records that the reference gave no label to; they are left out.
    pub(super) records_without_reference: usize,
    /// Records whose text is word by word one that came before: where a file holds records twice
    /// that were asked once, more is claimed than is proven.
    pub(super) records_repeated: usize,
    /// Of records from live traffic: how many requests' right answers were known, before they
    /// were thinned out so that each had the same chance.
    pub(super) records_known: Option<usize>,
    pub(super) records_sha256: String,
    /// About so many records more would prove something, where nothing was proven.
    pub(super) records_wanting: Option<usize>,
    /// Of all records: kept by some tier.
    pub(super) kept: usize,
    /// Of the kept: wrong.
    pub(super) errors: usize,
    pub(super) share_kept: f64,
    pub(super) tiers: Vec<TierReport>,
    /// None in a task without labels.
    pub(super) classes: Vec<ClassReport>,
    /// Beside the frontier alone, where the task has one with a price.
    pub(super) cost: Option<CostReport>,
    /// Kept answers' quality as thresholds are lowered, tier after tier.
    pub(super) cost_quality: Vec<CostPoint>,
    pub(super) provenance: Vec<PartReport>,
    /// The file.
    pub(super) certificate: String,
    pub(super) public_key: String,
    /// What is proven of streamed answers whose beginning decides, where the task has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) early: Option<Box<Report>>,
}

/// One tier's part.
#[derive(Debug, Serialize)]
pub(super) struct TierReport {
    pub(super) tier: String,
    pub(super) kind: &'static str,
    /// Its part of the failure probability.
    pub(super) delta: f64,
    /// Records that certified it.
    pub(super) records: usize,
    /// Keep from this confidence up.
    pub(super) threshold: Option<f64>,
    pub(super) kept: usize,
    pub(super) errors: usize,
    pub(super) share_kept: f64,
    /// Upper bound on the share of wrong ones among the kept, or among all.
    pub(super) bound: f64,
    pub(super) starts: Vec<StartReport>,
    pub(super) records_wanting: Option<usize>,
    /// What is proven of the answers kept with each label that has a threshold of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) by_label: Vec<LabelReport>,
    /// What is proven of labels that must not be missed.
    pub(super) missed: Vec<MissedReport>,
    /// Of all that it was asked, the share answered right.
    pub(super) accuracy: Option<f64>,
    pub(super) accuracy_interval_95: (f64, f64),
    /// By what its answers are ranked, in words that follow "ranked".
    pub(super) ranked: String,
    /// What its router skips, in a task that wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) router: Option<Routed>,
    pub(super) risk: Vec<RiskPoint>,
    pub(super) reliability: Vec<Bin>,
}

#[derive(Debug, Serialize)]
pub(super) struct StartReport {
    pub(super) kept: usize,
    pub(super) delta: f64,
}

/// What is proven of the answers that are kept with one label, or with all that have no share of
/// their own.
#[derive(Debug, Serialize)]
pub(super) struct LabelReport {
    pub(super) label: Option<String>,
    /// The share of them that may be wrong.
    pub(super) max_wrong: f64,
    /// Its part of the failure probability.
    pub(super) delta: f64,
    /// Records to which the tier gave this label.
    pub(super) records: usize,
    /// Keep from this confidence up.
    pub(super) threshold: Option<f64>,
    pub(super) kept: usize,
    pub(super) errors: usize,
    /// Upper bound on the share of wrong ones among the kept; 1 where nothing could be proven.
    pub(super) bound: f64,
    /// About so many records more with this label would prove something.
    pub(super) records_wanting: Option<usize>,
}

/// What is proven of one label that must not be missed.
#[derive(Debug, Serialize)]
pub(super) struct MissedReport {
    pub(super) label: String,
    /// The tier's part of what may be missed.
    pub(super) max_missed: f64,
    /// Its part of the failure probability.
    pub(super) delta: f64,
    /// Records of this label.
    pub(super) records: usize,
    /// Of these, kept with another label.
    pub(super) errors: usize,
    /// Upper bound on their share; 1 where nothing could be proven.
    pub(super) bound: f64,
    pub(super) records_wanting: Option<usize>,
}

/// The documents of one label.
#[derive(Debug, Serialize)]
pub(super) struct ClassReport {
    pub(super) label: String,
    pub(super) records: usize,
    pub(super) kept: usize,
    pub(super) kept_wrong: usize,
    pub(super) share_kept: f64,
    /// Kept and answered with another label, of all of this label, with Wilson's interval.
    pub(super) missed: f64,
    pub(super) missed_interval_95: (f64, f64),
}

/// What the certificate depends on.
#[derive(Debug, Serialize)]
pub(super) struct PartReport {
    pub(super) part: String,
    pub(super) value: String,
    pub(super) meaning: &'static str,
}

impl Report {
    /// The report on what was measured; where the certificate is and its key are still to be
    /// filled in.
    pub(super) fn new(
        app: &App,
        certificate: &Certificate,
        sample: &Sample,
        measured: &Measured,
    ) -> Self {
        let n_records = sample.records.len();
        let all = wholly(sample, &measured.kept);
        let prices = Prices::new(app, sample);
        let proofs = certificate.tiers.iter().zip(&measured.tiers);
        let provenance = certificate.provenance.parts.iter();
        Self {
            task: certificate.task.to_string(),
            early_tokens: match certificate.extent {
                Extent::Whole => None,
                Extent::First(tokens) => Some(tokens),
            },
            made: certificate.made.to_string(),
            statement: certificate.statement(),
            certified: certificate.proves_something(),
            max_error: certificate.goal.alpha(),
            max_error_of: match certificate.risk {
                Risk::Selective => "kept",
                Risk::Marginal => "all",
            },
            confidence: certificate.confidence(),
            delta: certificate.goal.delta(),
            reference: match &certificate.reference {
                Reference::Gold => "gold".to_owned(),
                Reference::Tier(tier) => tier.to_string(),
            },
            reference_cost_usd: sample.cost.to_usd(),
            records: n_records,
            records_without_reference: sample.without_reference,
            records_repeated: sample.repeated(),
            records_known: sample.known,
            records_sha256: certificate.records_sha256.clone(),
            records_wanting: (!certificate.proves_something())
                .then(|| certificate.records_wanting())
                .flatten(),
            kept: all.of,
            errors: all.of - all.hits,
            share_kept: ratio(all.of, n_records),
            tiers: proofs
                .map(|(proof, tier)| tier_report((proof, certificate.risk), tier, sample))
                .collect(),
            classes: match sample.expected {
                None => classes(sample, &measured.kept),
                Some(_) => Vec::new(),
            },
            cost: prices.as_ref().map(|prices| prices.report(&measured.kept)),
            cost_quality: cost_quality(sample, measured, prices.as_ref()),
            provenance: provenance
                .map(|(part, value)| PartReport {
                    part: part.clone(),
                    value: value.clone(),
                    meaning: meaning(part),
                })
                .collect(),
            certificate: String::new(),
            public_key: String::new(),
            early: None,
        }
    }
}

/// Of all kept records, the right ones.
fn wholly(sample: &Sample, kept: &[Option<Kept>]) -> Share {
    let kept = kept.iter().zip(&sample.records);
    let kept = kept.filter_map(|(kept, record)| Some(kept.as_ref()?.label == record.label));
    kept.fold(Share::default(), |share, right| Share {
        hits: share.hits + usize::from(right),
        of: share.of + 1,
    })
}

fn tier_report(
    (proven, of): (&TierProof, Risk),
    tier: &MeasuredTier,
    sample: &Sample,
) -> TierReport {
    let proof = &proven.proof;
    let right = |(record, answer): &&(usize, _)| {
        let answer: &crate::learn::asking::Answer = answer;
        answer.label == sample.records[*record].label
    };
    let accuracy = Share {
        hits: tier.answers.iter().filter(right).count(),
        of: tier.answers.len(),
    };
    TierReport {
        tier: tier.tier.to_string(),
        kind: tier.kind.as_str(),
        delta: proven.delta,
        records: proof.records,
        threshold: proof.threshold,
        kept: proof.kept,
        errors: proof.errors,
        share_kept: ratio(proof.kept, proof.records),
        bound: proof.bound,
        starts: proof
            .starts
            .iter()
            .map(|start| StartReport {
                kept: start.kept,
                delta: start.delta,
            })
            .collect(),
        records_wanting: proven.wanting_of(sample.records.len()),
        by_label: proven.by_label.iter().map(label_report).collect(),
        missed: proven.missed.iter().map(missed_report).collect(),
        accuracy: accuracy.value(),
        accuracy_interval_95: accuracy.interval(),
        ranked: tier.ranked.clone(),
        router: tier.routed.clone(),
        risk: risk(&tier.sample, of, tier.goal.delta()),
        reliability: reliability(tier, sample),
    }
}

fn label_report(of: &LabelProof) -> LabelReport {
    LabelReport {
        label: of.label.clone(),
        max_wrong: of.alpha,
        delta: of.delta,
        records: of.proof.records,
        threshold: of.proof.threshold,
        kept: of.proof.kept,
        errors: of.proof.errors,
        bound: of.proof.bound,
        records_wanting: of.proof.records_wanting,
    }
}

fn missed_report(missed: &MissProof) -> MissedReport {
    MissedReport {
        label: missed.label.clone(),
        max_missed: missed.alpha,
        delta: missed.delta,
        records: missed.records,
        errors: missed.errors,
        bound: missed.bound,
        records_wanting: missed.records_wanting,
    }
}

fn classes(sample: &Sample, kept: &[Option<Kept>]) -> Vec<ClassReport> {
    let class = |label: usize| {
        let own = sample
            .records
            .iter()
            .zip(kept)
            .filter(|(r, _)| r.label == label);
        let records = own.clone().count();
        let answers: Vec<usize> = own
            .filter_map(|(_, kept)| Some(kept.as_ref()?.label))
            .collect();
        let wrong = answers.iter().filter(|&&answer| answer != label).count();
        let missed = Share {
            hits: wrong,
            of: records,
        };
        ClassReport {
            label: sample.labels.name(label).to_owned(),
            records,
            kept: answers.len(),
            kept_wrong: wrong,
            share_kept: ratio(answers.len(), records),
            missed: missed.value().unwrap_or(0.0),
            missed_interval_95: missed.interval(),
        }
    };
    (0..sample.labels.len()).map(class).collect()
}
