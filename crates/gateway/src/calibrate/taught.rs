//! Certifying a student that was taught while it worked, and comparing it with the present one.

use routing::cascade::Rule;
use routing::student::Student;

use super::expectation::Expectation;
use super::hearing::Hearing;
use super::measure::{Basis, measure};
use super::records::{Sample, labels};
use super::{certified, goal};
use crate::app::App;
use crate::certificate::{Certificate, Extent};
use crate::config::TaskConfig;
use crate::deferral::Ranking;
use crate::learn::Labelled;

/// What could be proven of a task with a student.
pub(crate) struct Proven {
    pub(crate) certificate: Certificate,
    /// The share of the records that it lets be kept.
    pub(crate) share_kept: f64,
    pub(crate) sample: Sample,
}

/// Certifies a task with this student as `tiergate calibrate` does, on a fair sample of what was
/// asked, with the labels that count as right, against the reference of the present certificate
/// and by its heads and routers.
///
/// # Errors
/// When the task demands no certificate, or a tier answers none of the records.
pub(crate) async fn prove(
    app: &App,
    task: &TaskConfig,
    student: &Student,
    (texts, present): (Vec<(String, usize)>, &Certificate),
) -> anyhow::Result<Proven> {
    let name = &task.task.name;
    let known = texts.len();
    let labelled = |(text, label)| Labelled { text, label };
    let records = texts.into_iter().map(labelled).collect();
    let sample = Sample {
        known: Some(known),
        ..Sample::known(name.clone(), labels(task)?.clone(), records)
    };
    let goal = goal(&app.config, name)?;
    let what = (goal, Extent::Whole);
    let basis = Basis {
        expected: Expectation::of_own(app, task)?,
        heads: present.heads(),
        routers: present.routers(),
        may_fit: false,
        wants_router: task.router,
        by: (task.task.kind, Extent::Whole),
    };
    let mut hearing = Hearing::new(app, (task, Some(student)));
    let measured = measure(app, task, (&sample, &mut hearing), goal, basis).await?;
    let kept = measured.kept.iter().flatten().count();
    Ok(Proven {
        certificate: certified(
            app,
            (&sample, Some(student)),
            &measured,
            (what, present.reference.clone()),
        )?,
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
    let all = sample.records.len();
    let mut left: Vec<usize> = (0..all).collect();
    let mut hearing = Hearing::new(app, (task, Some(student)));
    let (heads, routers) = (certificate.heads(), certificate.routers());
    let ranking = Ranking {
        kind: task.task.kind,
        extent: certificate.extent,
        heads: &heads,
        routers: &routers,
    };
    for proof in &certificate.tiers {
        // One that keeps nothing may be heard by others.
        hearing.listen(&proof.tier, sample, &left).await?;
        let rule = proof.rule(Some(&sample.labels)).unwrap_or(Rule::Never);
        left.retain(|&record| {
            let answer = hearing.answer(&proof.tier, ranking, (sample, record));
            !answer.is_some_and(|it| rule.accepts(Some(it.label), Some(it.confidence)))
        });
    }
    Ok((all - left.len()) as f64 / all.max(1) as f64)
}
