//! Learning a task: its student, and the confidence from which each tier's answer is kept.
//!
//! Both come from the task's labelled records. A tier is judged on records that it did not learn
//! from: the student on folds held out in turn, the engine on all, since it saw none; and a later
//! tier only on what the tiers before it would have passed on.

pub(crate) mod asking;
pub(crate) mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, bail};
use domain::{LabelProbabilities, Labels, TierKind, TierName};
use routing::cascade::Rule;
use routing::folds::{Folds, out_of_fold};
use routing::student::{Example, Student, StudentOptions, TrainError};
use routing::threshold::{ErrorTarget, Fitted, Scored, fit};
use sha2::{Digest as _, Sha256};

use crate::batch::input::Input;
use crate::certificate::weights_sha256;
use crate::cli::Rows;
use crate::config::{Config, RecordsSource, TaskConfig};
use crate::student::shelf::Shelf;
use crate::terminal;
use crate::tier::Tier;

/// Parts into which the records are cut so that each is judged by a student that never saw it.
const FOLDS: usize = 5;
/// Seed of the cut.
const FOLDS_SEED: u64 = 1;

/// What was learned for a task.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) student: Option<Student>,
    /// For each tier before the last: what the records say about it.
    pub(crate) fitted: BTreeMap<TierName, Fitted>,
    /// SHA-256 of everything that shaped it.
    pub(crate) key: [u8; 32],
}

impl Learned {
    /// The rule of a tier that has others behind it.
    pub(crate) fn rule(&self, tier: &TierName) -> Rule {
        match self.fitted.get(tier).and_then(|fitted| fitted.threshold) {
            Some(threshold) => Rule::Threshold(threshold),
            None => Rule::Never,
        }
    }
}

/// A labelled text.
#[derive(Debug, Clone)]
pub(crate) struct Labelled {
    pub(crate) text: String,
    /// The index of its right label.
    pub(crate) label: usize,
}

/// What was learned for this task: read back if nothing that shaped it has changed, otherwise
/// learned now, with progress on the terminal.
///
/// # Errors
/// When the records can't be read or are too few, or the folder of what is kept can't be written.
pub(crate) async fn learned(
    config: &Config,
    task: &TaskConfig,
    tiers: &BTreeMap<TierName, Tier>,
) -> anyhow::Result<Option<Learned>> {
    let (Some(source), Some(labels)) = (&task.records, &task.task.labels) else {
        return Ok(None);
    };
    let name = &task.task.name;
    let records = read(source, labels).with_context(|| format!("tasks.{name}.records"))?;
    let key = key(config, task, &records)?;
    let folder = config.data_dir.join("learned").join(name.as_str());
    let mut learned = match stored::read(&folder, key, labels) {
        Some(learned) => learned,
        None => {
            let learned = learn(task, labels, tiers, &records, key).await;
            let learned = learned.with_context(|| {
                format!("tasks.{name}: nothing can be learned from the records")
            })?;
            stored::write(&folder, &learned)?;
            learned
        }
    };
    // One that was taught since takes the place of the one from the file.
    if let Some(taught) = Shelf::of(config, name).student(key, labels) {
        learned.student = Some(taught);
    }
    Ok(Some(learned))
}

/// A task's own labelled records, and the key of what its student is shaped by.
///
/// # Errors
/// When they can't be read.
pub(crate) fn own(
    config: &Config,
    task: &TaskConfig,
) -> anyhow::Result<Option<(Vec<Labelled>, [u8; 32])>> {
    let (Some(source), Some(labels)) = (&task.records, &task.task.labels) else {
        return Ok(None);
    };
    let name = &task.task.name;
    let records = read(source, labels).with_context(|| format!("tasks.{name}.records"))?;
    let key = key(config, task, &records)?;
    Ok(Some((records, key)))
}

/// What a judged tier made of the records: a score for each, in their order.
type Scores = Vec<Option<Scored>>;

async fn learn(
    task: &TaskConfig,
    labels: &Labels,
    tiers: &BTreeMap<TierName, Tier>,
    records: &[Labelled],
    key: [u8; 32],
) -> anyhow::Result<Learned> {
    let order = &task.task.tiers;
    let has_student = order
        .iter()
        .filter_map(|tier| tiers.get(tier))
        .any(|tier| tier.kind() == TierKind::Student);
    let examples = examples(records);
    let (options, student) = if has_student {
        let (options, student) = computed(task, records, || train(labels, &examples))?;
        (options, Some(student))
    } else {
        (StudentOptions::default(), None)
    };
    let mut fitted = BTreeMap::new();
    // Where a certificate is demanded it brings the thresholds.
    let Some(target) = task.target.filter(|target| target.confidence.is_none()) else {
        return Ok(Learned {
            student,
            fitted,
            key,
        });
    };
    let target = ErrorTarget::new(target.max_error)?;
    let mut left: Vec<usize> = (0..records.len()).collect();
    for tier in &order[..order.len() - 1] {
        let scores = match &tiers[tier] {
            Tier::Student => computed(task, records, || {
                student_scores(labels, records, &examples, &options, &left)
            })?,
            running @ Tier::Local(_) => local_scores(task, (tier, running), records, &left).await?,
            // A server elsewhere brings no evidence yet, so nothing of it is kept unproven; a
            // frontier's answer is the reference.
            Tier::Remote(_) | Tier::Person => continue,
        };
        let seen: Vec<Scored> = scores.iter().flatten().copied().collect();
        let fit = fit(&seen, target);
        let kept = |score: &Option<Scored>| match (score, fit.threshold) {
            (Some(score), Some(threshold)) => score.confidence >= threshold,
            _ => false,
        };
        left = left
            .into_iter()
            .zip(&scores)
            .filter(|(_, s)| !kept(s))
            .map(|(i, _)| i)
            .collect();
        fitted.insert(tier.clone(), fit);
    }
    Ok(Learned {
        student,
        fitted,
        key,
    })
}

fn examples(records: &[Labelled]) -> Vec<Example<'_>> {
    let examples = records.iter().map(|record| Example {
        text: &record.text,
        label: record.label,
    });
    examples.collect()
}

/// What a computation of seconds gives, with a sign on the terminal that it goes on.
fn computed<T>(task: &TaskConfig, records: &[Labelled], compute: impl FnOnce() -> T) -> T {
    let records = terminal::count(records.len());
    let what = format!(
        "learning {} from {records} labelled records",
        task.task.name
    );
    let spinner = terminal::spinner(what);
    let value = tokio::task::block_in_place(compute);
    spinner.finish_and_clear();
    value
}

/// A student of these examples, with the options that suit them.
///
/// # Errors
/// When they are too few.
pub(crate) fn train(
    labels: &Labels,
    examples: &[Example<'_>],
) -> Result<(StudentOptions, Student), TrainError> {
    let options = StudentOptions::default().chosen_for(labels, examples)?;
    let student = Student::train(labels, examples, &options)?;
    Ok((options, student))
}

fn student_scores(
    labels: &Labels,
    records: &[Labelled],
    examples: &[Example<'_>],
    options: &StudentOptions,
    left: &[usize],
) -> anyhow::Result<Scores> {
    let predictions = predictions(labels, records, examples, options)?;
    let score = |&index: &usize| {
        let (top, confidence) = predictions[index].top();
        Some(Scored {
            confidence,
            correct: top == records[index].label,
        })
    };
    Ok(left.iter().map(score).collect())
}

/// What students make of records that they did not learn from, each of those that learn from the
/// others.
fn predictions(
    labels: &Labels,
    records: &[Labelled],
    examples: &[Example<'_>],
    options: &StudentOptions,
) -> anyhow::Result<Vec<LabelProbabilities>> {
    let classes: Vec<usize> = records.iter().map(|record| record.label).collect();
    let folds = Folds::stratified(&classes, FOLDS, FOLDS_SEED)?;
    Ok(out_of_fold(labels, examples, options, &folds)?)
}

/// The same of a task's own records; for an expectation of how sure and how good the task's
/// student is.
///
/// # Errors
/// When the records can't be read or are too few.
pub(crate) fn held_out(task: &TaskConfig) -> anyhow::Result<Vec<LabelProbabilities>> {
    let (Some(source), Some(labels)) = (&task.records, &task.task.labels) else {
        return Ok(Vec::new());
    };
    let name = &task.task.name;
    let records = read(source, labels).with_context(|| format!("tasks.{name}.records"))?;
    let examples = examples(&records);
    computed(task, &records, || {
        let options = StudentOptions::default().chosen_for(labels, &examples)?;
        predictions(labels, &records, &examples, &options)
    })
}

async fn local_scores(
    task: &TaskConfig,
    (name, tier): (&TierName, &Tier),
    records: &[Labelled],
    left: &[usize],
) -> anyhow::Result<Scores> {
    let texts = left.iter().map(|&index| records[index].text.as_str());
    let answers = asking::labelled(task, name, tier, texts).await?;
    let score = |(answer, &index): (Option<asking::Answer>, &usize)| {
        let asking::Answer { label, confidence } = answer?;
        Some(Scored {
            confidence,
            correct: label == records[index].label,
        })
    };
    Ok(answers.into_iter().zip(left).map(score).collect())
}

/// Records that a command names, in the fields of the task's own unless it names others.
pub(crate) fn source_beside(
    task: &TaskConfig,
    (path, rows): (&Path, &Rows),
    (text, gold): (Option<&String>, Option<&String>),
) -> RecordsSource {
    let own = task.records.as_ref();
    let end = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
    let own_text = own.map_or(&task.text_field, |own| &own.text);
    let own_gold = own.map_or("gold", |own| &own.gold);
    RecordsSource {
        path: path.to_owned(),
        rows: end(rows.0.start)..end(rows.0.end),
        text: text.unwrap_or(own_text).clone(),
        gold: gold.map_or(own_gold, String::as_str).to_owned(),
    }
}

/// The labelled texts of a file, at least one.
///
/// # Errors
/// When the file can't be read or a row has no text or no right label; the message shows the
/// first such rows.
pub(crate) fn read(source: &RecordsSource, labels: &Labels) -> anyhow::Result<Vec<Labelled>> {
    /// Faults that are shown; more would only scroll away the first.
    const SHOWN: usize = 5;
    let input = Input::of_records(source)?;
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    input.for_each(|row| {
        match labelled(&row, source, labels) {
            Ok(record) => records.push(record),
            Err(fault) => faults.push(format!("row {}: {fault}", row.ordinal)),
        }
        true
    })?;
    let path = source.path.display();
    if !faults.is_empty() {
        let shown = faults[..faults.len().min(SHOWN)].join("\n  ");
        bail!("{path}: {} row(s) can't be used:\n  {shown}", faults.len());
    }
    if records.is_empty() {
        bail!(no_rows(source));
    }
    Ok(records)
}

/// What is to be said of a file without a row that was asked for.
pub(crate) fn no_rows(source: &RecordsSource) -> String {
    let path = source.path.display();
    let Range { start, end } = source.rows;
    match (start, end) {
        (0, usize::MAX) => format!("{path}: it holds no row; give at least one labelled record"),
        (_, usize::MAX) => format!("{path}: no rows in {start}..; the file is shorter than that"),
        _ => format!("{path}: no rows in {start}..{end}; the file is shorter than that"),
    }
}

/// SHA-256 of the texts and the labels that count as right.
pub(crate) fn digest(records: &[Labelled], labels: &Labels) -> String {
    let mut hash = Sha256::new();
    for record in records {
        for part in [record.text.as_str(), labels.name(record.label)] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    stored::hex(&hash.finalize())
}

fn labelled(
    row: &crate::batch::input::Row,
    source: &RecordsSource,
    labels: &Labels,
) -> Result<Labelled, String> {
    let text = row.text.clone()?;
    let gold = row.gold.as_deref();
    let gold = gold.ok_or_else(|| {
        format!(
            "there is no field `{}`; name the right answer's field with --gold-field, or with \
             `gold` in the task's records",
            source.gold
        )
    })?;
    let label = labels.parse(gold).ok_or_else(|| {
        let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        format!("`{gold}` is none of the labels {}", names.join(", "))
    })?;
    Ok(Labelled { text, label })
}

/// SHA-256 over everything that shapes what is learned.
///
/// # Errors
/// When a model's file can't be read.
pub(crate) fn key(
    config: &Config,
    task: &TaskConfig,
    records: &[Labelled],
) -> anyhow::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(task.fingerprint(config));
    for tier in &task.task.tiers {
        if let crate::config::Tier::Local(local) = &config.tiers[tier] {
            let weights = weights_sha256(config, &local.model);
            hash.update(weights.with_context(|| format!("tiers.{tier}.model"))?);
        }
    }
    for record in records {
        hash.update((record.text.len() as u64).to_le_bytes());
        hash.update(&record.text);
        hash.update((record.label as u64).to_le_bytes());
    }
    Ok(hash.finalize().into())
}
