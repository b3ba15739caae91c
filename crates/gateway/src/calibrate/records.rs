//! The records that certify: texts that no tier learned from, each with the answer that counts
//! as right.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, bail};
use domain::{Labels, Picodollars, TaskName, TierName};

use super::live;
use crate::app::App;
use crate::batch::input::Input;
use crate::certificate::Reference;
use crate::cli::CalibrateArgs;
use crate::config::{Config, RecordsSource, TaskConfig, Tier};
use crate::learn::{self, Labelled};
use crate::reference::asked;
use crate::student::shelf::Shelf;
use crate::terminal::count;

/// What was read: the texts, with their right answers where these are known.
pub(super) struct Read {
    pub(super) texts: Vec<String>,
    pub(super) gold: Option<Vec<usize>>,
    pub(super) live: Option<Live>,
}

/// What is to be known of records from live traffic.
pub(super) struct Live {
    /// Below these confidences nothing can be said, because nothing was audited there.
    pub(super) floors: BTreeMap<TierName, f64>,
    /// How many requests there were whose right answer is known, before they were thinned out to
    /// an even chance for each.
    pub(super) known: usize,
    /// Requests whose right answer should be known and is not.
    pub(super) unknown: usize,
}

/// Records with the label that counts as right.
pub(crate) struct Sample {
    pub(super) task: TaskName,
    pub(super) labels: Labels,
    pub(crate) records: Vec<Labelled>,
    /// Records that the reference gave no label to; they are left out.
    pub(super) without_reference: usize,
    /// What the reference was paid.
    pub(super) cost: Picodollars,
    /// For tiers of which only the surer answers were audited: from which confidence on.
    pub(super) floors: BTreeMap<TierName, f64>,
    /// Of records from live traffic: how many were known before they were thinned out.
    pub(super) known: Option<usize>,
}

/// Reads the records of the command line.
///
/// # Errors
/// When they can't be read, or the task's student learned from some of their texts.
pub(super) fn read(
    args: &CalibrateArgs,
    config: &Config,
    task: &TaskConfig,
    reference: &Reference,
) -> anyhow::Result<Read> {
    let labels = labels(task)?;
    let Some(path) = &args.records else {
        return live::read(args, config, task, reference);
    };
    let fields = (args.text_field.as_ref(), args.gold_field.as_ref());
    let source = learn::source_beside(task, (path, &args.rows), fields);
    let read = match reference {
        Reference::Gold => {
            let records = learn::read(&source, labels).context("--records")?;
            Read {
                gold: Some(records.iter().map(|record| record.label).collect()),
                texts: records.into_iter().map(|record| record.text).collect(),
                live: None,
            }
        }
        Reference::Tier(_) => Read {
            texts: texts(&source).context("--records")?,
            gold: None,
            live: None,
        },
    };
    refuse_learned(config, task, read.texts.iter().map(String::as_str))?;
    Ok(read)
}

/// The labels that a tier may answer.
///
/// # Errors
/// When the task has none.
pub(crate) fn labels(task: &TaskConfig) -> anyhow::Result<&Labels> {
    let name = &task.task.name;
    let labels = task.task.labels.as_ref();
    labels.with_context(|| {
        format!("task {name} has no labels, and so nothing to compare an answer with")
    })
}

fn texts(source: &RecordsSource) -> anyhow::Result<Vec<String>> {
    let input = Input::of_records(source)?;
    let (mut texts, mut fault) = (Vec::new(), None);
    input.for_each(|row| match row.text {
        Ok(text) => {
            texts.push(text);
            true
        }
        Err(reason) => {
            fault = Some(format!("row {}: {reason}", row.ordinal));
            false
        }
    })?;
    let path = source.path.display();
    match fault {
        Some(fault) => bail!("{path}: {fault}"),
        None if texts.is_empty() => bail!("{path}: no rows in {:?}", source.rows),
        None => Ok(texts),
    }
}

/// A student is sure of what it has seen: such records would prove anything.
///
/// # Errors
/// When the task's student learned from some of these texts.
pub(crate) fn refuse_learned<'a>(
    config: &Config,
    task: &TaskConfig,
    texts: impl ExactSizeIterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let mut tiers = task.task.tiers.iter();
    let learns = tiers.any(|tier| matches!(config.tiers[tier], Tier::Student));
    let (Some(source), true) = (&task.records, learns) else {
        return Ok(());
    };
    let name = &task.task.name;
    let learned =
        learn::read(source, labels(task)?).with_context(|| format!("tasks.{name}.records"))?;
    let texts: Vec<&str> = texts.collect();
    let key = learn::key(config, task, &learned)?;
    let taught = Shelf::of(config, name).learned_from(key, texts.iter().copied());
    let learned: HashSet<&str> = learned.iter().map(|record| record.text.trim()).collect();
    let n_texts = texts.len();
    let shared = texts
        .iter()
        .filter(|text| learned.contains(text.trim()))
        .count();
    let shared = shared.max(taught);
    if shared > 0 {
        bail!(
            "the student learned from {} of these {} texts, so they can prove nothing about it; \
             give records that are not among tasks.{name}.records, for example its other rows \
             with --rows",
            count(shared),
            count(n_texts),
        );
    }
    Ok(())
}

impl Sample {
    /// The records with the reference's answers, which a tier is asked for if it is one.
    ///
    /// # Errors
    /// When the reference answers none of them, or the ledger can't record what it cost.
    pub(super) async fn new(
        app: &App,
        task: &TaskConfig,
        read: Read,
        reference: &Reference,
    ) -> anyhow::Result<Self> {
        let (answers, cost) = match (read.gold, reference) {
            (Some(gold), _) => (
                gold.into_iter().map(Some).collect::<Vec<_>>(),
                Picodollars::ZERO,
            ),
            (None, Reference::Tier(tier)) => {
                let (answers, cost) = asked(app, task, tier, &read.texts).await?;
                (answers.into_iter().map(|it| it.label).collect(), cost)
            }
            (None, Reference::Gold) => bail!("the records' right answers were not read"),
        };
        let n_texts = read.texts.len();
        let unknown = read.live.as_ref().map_or(0, |live| live.unknown);
        let known = read.live.as_ref().map(|live| live.known);
        let labelled = |(text, label): (String, Option<usize>)| {
            Some(Labelled {
                text,
                label: label?,
            })
        };
        let records: Vec<Labelled> = read
            .texts
            .into_iter()
            .zip(answers)
            .filter_map(labelled)
            .collect();
        Ok(Self {
            task: task.task.name.clone(),
            labels: labels(task)?.clone(),
            without_reference: n_texts - records.len() + unknown,
            records,
            cost,
            known,
            floors: read.live.map(|live| live.floors).unwrap_or_default(),
        })
    }

    /// SHA-256 of the texts and the labels that count as right.
    pub(super) fn digest(&self) -> String {
        learn::digest(&self.records, &self.labels)
    }
}
