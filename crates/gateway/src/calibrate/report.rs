//! What the certificate is worth, in numbers: for the terminal, for machines and for the page.

use routing::certificate::{Risk, Weighing};
use routing::evaluation::WeighedShare;
use serde::Serialize;

use super::curves::{
    Bin, CostPoint, CostReport, Prices, RiskPoint, cost_quality, reliability, risk,
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
    /// Of records from live traffic: how many requests' right answers were known, before any was
    /// left out by lot.
    pub(super) records_known: Option<usize>,
    /// Whether records count as often as they were improbable to become known, in all shares,
    /// costs and curves; otherwise each counts once.
    pub(super) records_weighed: bool,
    pub(super) records_sha256: String,
    /// About so many records more would prove something, where nothing was proven.
    pub(super) records_wanting: Option<usize>,
    /// Of all records: kept by some tier.
    pub(super) kept: usize,
    /// Of the kept: wrong.
    pub(super) errors: usize,
    /// As records weigh.
    pub(super) share_kept: f64,
    /// Of what is kept, as records weigh; 0 of nothing.
    pub(super) share_wrong: f64,
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
    /// As records weigh.
    pub(super) share_kept: f64,
    /// Of the kept, or of all, the share that is wrong, as records weigh.
    pub(super) share_wrong: f64,
    /// Upper bound on the share of wrong ones among the kept, or among all.
    pub(super) bound: f64,
    /// What weighing says, where the bound is proven by it and not by an exact test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weighing: Option<WeighingReport>,
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

impl TierReport {
    /// Whether something is proven of it by weighing records.
    pub(super) fn weighs(&self) -> bool {
        let by_label = self.by_label.iter().map(|it| it.weighing);
        let missed = self.missed.iter().map(|it| it.weighing);
        let mut all = by_label.chain(missed).chain([self.weighing]);
        all.any(|it| it.is_some())
    }
}

/// What a bound stands on that was proven by records of unequal weight.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct WeighingReport {
    /// So many records of one weight would say as much.
    pub(super) effective: f64,
    /// The part of the wealth that the heaviest wrong record cost in the betting test.
    pub(super) bet: f64,
}

impl From<Weighing> for WeighingReport {
    fn from(weighing: Weighing) -> Self {
        Self {
            effective: weighing.effective,
            bet: weighing.bet,
        }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weighing: Option<WeighingReport>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weighing: Option<WeighingReport>,
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
        let is_right = |&(record, kept): &(usize, Kept)| kept.label == sample.records[record].label;
        let kept = measured.kept.iter().enumerate();
        let kept: Vec<(usize, Kept)> = kept.filter_map(|(it, kept)| Some((it, (*kept)?))).collect();
        let right = kept.iter().filter(|it| is_right(it)).count();
        let wrong = kept.iter().map(|it| (sample.weight(it.0), !is_right(it)));
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
            records_weighed: sample.draws.is_some(),
            records_sha256: certificate.records_sha256.clone(),
            records_wanting: (!certificate.proves_something())
                .then(|| certificate.records_wanting())
                .flatten(),
            kept: kept.len(),
            errors: kept.len() - right,
            share_kept: share(sample, 0..n_records, |it| measured.kept[it].is_some())
                .value()
                .unwrap_or(0.0),
            share_wrong: WeighedShare::of(wrong).value().unwrap_or(0.0),
            tiers: proofs
                .map(|(proof, tier)| tier_report(proof, tier, sample))
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

/// Of these records, those that count, each as it weighs.
fn share(
    sample: &Sample,
    records: impl IntoIterator<Item = usize>,
    counts: impl Fn(usize) -> bool,
) -> WeighedShare {
    let records = records.into_iter();
    WeighedShare::of(records.map(|record| (sample.weight(record), counts(record))))
}

fn tier_report(proven: &TierProof, tier: &MeasuredTier, sample: &Sample) -> TierReport {
    let proof = &proven.proof;
    let answers = tier.answers.iter();
    let accuracy = WeighedShare::of(answers.map(|(record, answer)| {
        let is_right = answer.label == sample.records[*record].label;
        (sample.weight(*record), is_right)
    }));
    TierReport {
        tier: tier.tier.to_string(),
        kind: tier.kind.as_str(),
        delta: proven.delta,
        records: proof.records,
        threshold: proof.threshold,
        kept: proof.kept,
        errors: proof.errors,
        share_kept: tier.share_kept,
        share_wrong: tier.share_wrong,
        bound: proof.bound,
        weighing: proof.weighing.map(WeighingReport::from),
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
        risk: risk(&tier.grounds, tier.goal.delta()),
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
        weighing: of.proof.weighing.map(WeighingReport::from),
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
        weighing: missed.weighing.map(WeighingReport::from),
        records_wanting: missed.records_wanting,
    }
}

fn classes(sample: &Sample, kept: &[Option<Kept>]) -> Vec<ClassReport> {
    let class = |label: usize| {
        let all = 0..sample.records.len();
        let own: Vec<usize> = all
            .filter(|&it| sample.records[it].label == label)
            .collect();
        let is_kept = |record: usize| kept[record].is_some();
        let is_wrong = |record: usize| kept[record].is_some_and(|it| it.label != label);
        let missed = share(sample, own.iter().copied(), is_wrong);
        let count = |of: &dyn Fn(usize) -> bool| own.iter().filter(|it| of(**it)).count();
        ClassReport {
            label: sample.labels.name(label).to_owned(),
            records: own.len(),
            kept: count(&is_kept),
            kept_wrong: count(&is_wrong),
            share_kept: share(sample, own.iter().copied(), is_kept)
                .value()
                .unwrap_or(0.0),
            missed: missed.value().unwrap_or(0.0),
            missed_interval_95: missed.interval(),
        }
    };
    (0..sample.labels.len()).map(class).collect()
}
