//! A local model beside a reference, on the records that have both.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use domain::LabelProbabilities;
use routing::threshold::Scored;

use super::records::{self, EvalRecord, ModelAnswer};

/// The name by which the right answer takes the place of a reference model.
pub(crate) const GOLD: &str = "gold";

/// What a local model and a reference made of the records of one file.
pub(crate) struct Pairs {
    /// For each record that has both: the local score, and whether the two agree.
    pub(crate) scored: Vec<Scored>,
    /// Records without one of the two.
    pub(crate) left_out: usize,
    /// Whether the local model brings no evidence at all, so that all scores are equal.
    pub(crate) without_evidence: bool,
}

/// Reads a file and compares the two models.
///
/// # Errors
/// When the file can't be read or no record has both.
pub(crate) fn read(path: &Path, local: &str, reference: &str) -> anyhow::Result<Pairs> {
    let records = records::read(path)?;
    let mut scored = Vec::with_capacity(records.len());
    let mut with_evidence = false;
    for record in &records {
        let (Some(answer), Some(agrees)) =
            (record.models.get(local), agrees(record, local, reference))
        else {
            continue;
        };
        let score = score(answer);
        with_evidence |= score.is_some();
        scored.push(Scored {
            confidence: score.unwrap_or(f64::NEG_INFINITY),
            correct: agrees,
        });
    }
    if scored.is_empty() {
        bail!(
            "{}: no record has answers of both `{local}` and `{reference}`; it has models {}",
            path.display(),
            names(&records)
        );
    }
    let left_out = records.len() - scored.len();
    if !with_evidence {
        // Minus infinity would read as the lowest of scores; without any, all are the same.
        scored.iter_mut().for_each(|record| record.confidence = 0.0);
    }
    Ok(Pairs {
        scored,
        left_out,
        without_evidence: !with_evidence,
    })
}

/// Whether a model's answer agrees with the reference's, or is right where the reference is
/// [`GOLD`]; `None` where one of the two is missing. Space and case around an answer are forgiven.
pub(crate) fn agrees(record: &EvalRecord, local: &str, reference: &str) -> Option<bool> {
    let local = record.models.get(local)?;
    if reference == GOLD {
        return right(local, record.gold.as_deref());
    }
    let reference = record.models.get(reference)?;
    Some(same(local.answer.as_deref()?, reference.answer.as_deref()?))
}

/// Whether an answer is right: as the source says, or else as the right answer has it.
pub(crate) fn right(answer: &ModelAnswer, gold: Option<&str>) -> Option<bool> {
    answer
        .correct
        .or_else(|| Some(same(answer.answer.as_deref()?, gold?)))
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// A model's raw score: its confidence on whatever scale, or the top probability of its logits.
pub(crate) fn score(answer: &ModelAnswer) -> Option<f64> {
    let usable = |logits: &&Vec<f64>| !logits.is_empty() && logits.iter().all(|x| x.is_finite());
    answer.confidence.or_else(|| {
        let logits = answer.logits.as_ref().filter(usable)?;
        Some(LabelProbabilities::from_logits(logits).top().1)
    })
}

fn names(records: &[EvalRecord]) -> String {
    let mut names = BTreeMap::new();
    for name in records.iter().flat_map(|record| record.models.keys()) {
        *names.entry(name.as_str()).or_insert(0_usize) += 1;
    }
    if names.is_empty() {
        return "none".to_owned();
    }
    names.into_keys().collect::<Vec<_>>().join(", ")
}
