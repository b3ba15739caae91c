//! A lesson: a new student from what became known, that takes the present one's place if its
//! certificate lets at least as much be kept.
//!
//! The requests whose right answer is known are cut in two by a lot from their ids. One half
//! teaches, a person's word before the reference's; the other certifies, and never teaches.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use domain::{Labels, TaskName};
use ledger::{Lesson, Reader};
use routing::student::{Example, Student};

use super::shelf::Shelf;
use crate::app::{App, ledger_file, watched};
use crate::calibrate::live;
use crate::calibrate::taught::{prove, share_kept};
use crate::certificate::{self, Certificate, Reference, Standing};
use crate::clock;
use crate::config::{Config, TaskConfig};
use crate::learn::{self, Labelled, Learned};
use crate::ready::{Proven, ReadyTask, Rules};

/// The most requests that are taught, the newest: it bounds the time of a lesson.
const TAUGHT_MAX: usize = 20_000;

/// What came of wanting to give a lesson.
#[derive(Debug)]
pub(crate) enum Given {
    /// It was given.
    Lesson(Lesson),
    /// There was none; why.
    Not(String),
}

/// What is known, cut in two.
struct Known {
    labels: u64,
    teaching: Vec<Labelled>,
    gold: usize,
    /// The lowest chance that a request had to become known.
    lowest: f64,
    proof: Vec<live::Row>,
}

/// Gives the student of a task a lesson, books it, and where the new student is as good takes it
/// into use: on disk, and in this process.
///
/// # Errors
/// When the records can't be read or learned from, a tier can't be asked, or a file or the ledger
/// can't be written.
pub(crate) async fn give(app: &App, name: &TaskName) -> anyhow::Result<Given> {
    let start = Instant::now();
    let task = &app.config.tasks[name];
    let ready = app
        .task(name)
        .with_context(|| format!("task {name} isn't ready"))?;
    let (certificate, reference) = match learned_against(name, &ready.rules) {
        Ok(found) => found,
        Err(why) => return Ok(Given::Not(why)),
    };
    let (Some(labels), Some(present)) = (&task.task.labels, &ready.student) else {
        return Ok(Given::Not(format!("task {name} has no student")));
    };
    let known = known(app, task, labels, reference)?;
    if known.teaching.is_empty() || known.proof.is_empty() {
        return Ok(Given::Not(format!(
            "too little is known of what {name} was asked: a lesson takes audits, or what went on \
             to the reference"
        )));
    }
    let (key, student) = taught(&app.config, task, labels, &known.teaching)?;
    let texts = live::thinned(known.proof, known.lowest);
    let proven = prove(app, task, &student, (texts, certificate)).await?;
    let before = share_kept(app, task, present, (certificate, &proven.sample)).await?;
    let after = proven.share_kept;
    let mut lesson = Lesson {
        at: clock::now(),
        labels: known.labels,
        taught: known.teaching.len() as u64,
        proof: proven.sample.records.len() as u64,
        share_before: before,
        share_after: after,
        seconds: 0.0,
        student: None,
        certificate: None,
    };
    if proven.certificate.proves_something() && after >= before {
        let shelf = Shelf::of(&app.config, name);
        let texts = known.teaching.iter().map(|it| it.text.as_str());
        let reference = known.teaching.len() - known.gold;
        let file = certificate::encode(&app.config.certificates, &proven.certificate)?;
        let number = shelf.add((key, &student), (known.gold, reference, texts), &file)?;
        lesson.student = Some(number.to_string());
        lesson.certificate = Some(certificate::id(&proven.certificate));
        take_in(app, task, (key, student), proven.certificate).await?;
    }
    lesson.seconds = start.elapsed().as_secs_f64();
    app.ledger.book_lesson(name.clone(), lesson.clone()).await?;
    tracing::info!(
        task.id = %name,
        labels = lesson.labels,
        taught = lesson.taught,
        share_before = before,
        share_after = after,
        student = lesson.student,
        duration_ms = (lesson.seconds * 1e3).round(),
        "a lesson was given"
    );
    Ok(Given::Lesson(lesson))
}

/// The certificate that a new student has to match, and the reference that teaches it; or why
/// there is none.
fn learned_against<'a>(
    name: &TaskName,
    rules: &'a Rules,
) -> Result<(&'a Certificate, &'a Reference), String> {
    match &rules.standing {
        Standing::Certified(certificate) if rules.standing_now() == "certified" => {
            match &certificate.reference {
                Reference::Gold => Err(format!(
                    "the certificate of {name} was proven against persons' answers, which are not \
                     known of a fair sample of what is asked; certify with --reference"
                )),
                reference => Ok((certificate, reference)),
            }
        }
        standing => Err(format!("{name}: {}", standing.in_words())),
    }
}

fn known(
    app: &App,
    task: &TaskConfig,
    labels: &Labels,
    reference: &Reference,
) -> anyhow::Result<Known> {
    let reader = Reader::open(&ledger_file(&app.config))?;
    // As whoever decides that there be a lesson counts them.
    let labels_known = match reference {
        Reference::Tier(tier) => reader.labels_known(&task.task.name, tier)?,
        Reference::Gold => 0,
    };
    let gathered = live::gather(
        &reader,
        task,
        (ledger::TimeRange::ALL, labels, reference),
        |_, _| false,
    )?;
    // What was kept unwatched spoils what came before it.
    let from = gathered.unwatched_until;
    let mut known = Known {
        labels: labels_known,
        teaching: Vec::new(),
        gold: 0,
        lowest: gathered.lowest,
        proof: Vec::new(),
    };
    for row in gathered.rows.into_iter().rev() {
        if !row.teaches() {
            if from.is_none_or(|from| row.at > from) {
                known.proof.push(row);
            }
        } else if known.teaching.len() < TAUGHT_MAX {
            known.gold += usize::from(row.gold.is_some());
            known.teaching.push(Labelled {
                label: row.gold.unwrap_or(row.label),
                text: row.text,
            });
        }
    }
    Ok(known)
}

/// A student of the task's own records and of what is taught, and what shaped the file's own.
fn taught(
    config: &Config,
    task: &TaskConfig,
    labels: &Labels,
    teaching: &[Labelled],
) -> anyhow::Result<([u8; 32], Student)> {
    let name = &task.task.name;
    let (own, key) = learn::own(config, task)?.with_context(|| format!("{name} has no records"))?;
    let examples = own.iter().chain(teaching).map(|record| Example {
        text: &record.text,
        label: record.label,
    });
    let examples: Vec<Example<'_>> = examples.collect();
    let student = tokio::task::block_in_place(|| learn::train(labels, &examples))
        .with_context(|| format!("the student of {name} can't be taught"))?;
    Ok((key, student.1))
}

/// Has this process answer with the new student, under its certificate, from the next request on.
async fn take_in(
    app: &App,
    task: &TaskConfig,
    (key, student): ([u8; 32], Student),
    certificate: Certificate,
) -> anyhow::Result<()> {
    let learned = Learned {
        student: Some(student),
        fitted: BTreeMap::new(),
        key,
    };
    let standing = Standing::Certified(Box::new(certificate));
    // A task with a student has labels, and nothing is decided early in it.
    let whole = watched(&app.config, task, (standing, None), &app.ledger).await?;
    let proven = Proven { whole, early: None };
    app.put(ReadyTask::new(&app.config, task, Some(learned), proven));
    Ok(())
}
