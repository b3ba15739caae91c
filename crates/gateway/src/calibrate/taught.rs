//! Certifying a student that was taught while it worked, and comparing it with the present one.

use std::collections::BTreeMap;

use domain::Picodollars;
use routing::student::Student;

use super::measure::{Told, measure};
use super::records::{Sample, labels};
use super::{certified, goal};
use crate::app::App;
use crate::certificate::{Certificate, Extent, Reference};
use crate::config::TaskConfig;
use crate::learn::Labelled;
use crate::learn::asking;

/// What could be proven of a task with a student.
pub(crate) struct Proven {
    pub(crate) certificate: Certificate,
    /// The share of the records that it lets be kept.
    pub(crate) share_kept: f64,
    pub(crate) sample: Sample,
}

/// Certifies a task with this student as `tiergate calibrate` does, on a fair sample of what was
/// asked, with the labels that count as right.
///
/// # Errors
/// When the task demands no certificate, or a tier answers none of the records.
pub(crate) async fn prove(
    app: &App,
    task: &TaskConfig,
    student: &Student,
    (texts, reference): (Vec<(String, usize)>, Reference),
) -> anyhow::Result<Proven> {
    let name = &task.task.name;
    let known = texts.len();
    let labelled = |(text, label)| Labelled { text, label };
    let sample = Sample {
        task: name.clone(),
        labels: labels(task)?.clone(),
        records: texts.into_iter().map(labelled).collect(),
        expected: None,
        without_reference: 0,
        cost: Picodollars::ZERO,
        floors: BTreeMap::new(),
        known: Some(known),
    };
    let goal = goal(&app.config, name)?;
    let what = (goal, Extent::Whole);
    let told = &mut Told::new();
    let measured = measure(app, (task, Some(student)), &sample, what, told).await?;
    let kept = measured.kept.iter().flatten().count();
    Ok(Proven {
        certificate: certified(app, (&sample, Some(student)), &measured, (what, reference))?,
        share_kept: kept as f64 / sample.records.len().max(1) as f64,
        sample,
    })
}

/// The share of records that a certificate lets be kept, with the student that it is about.
///
/// # Errors
/// When a tier answers none of the records.
pub(crate) async fn share_kept(
    app: &App,
    task: &TaskConfig,
    student: &Student,
    (certificate, sample): (&Certificate, &Sample),
) -> anyhow::Result<f64> {
    let mut left: Vec<&str> = sample.records.iter().map(|it| it.text.as_str()).collect();
    let all = left.len();
    for proof in &certificate.tiers {
        let Some(threshold) = proof.proof.threshold else {
            continue;
        };
        let texts = left.iter().copied();
        let answers = asking::inside_with(app, (task, Some(student)), &proof.tier, texts).await?;
        let passed = |answer: &Option<asking::Answer>| {
            answer.is_none_or(|answer| answer.confidence < threshold)
        };
        let passed: Vec<bool> = answers.iter().map(passed).collect();
        let mut passed = passed.into_iter();
        left.retain(|_| passed.next().unwrap_or(true));
    }
    Ok((all - left.len()) as f64 / all.max(1) as f64)
}
