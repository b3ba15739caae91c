//! The records that certify: texts that no tier learned from, each with the answer that counts
//! as right.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, bail};
use domain::{Label, Labels, Picodollars, TaskKind, TaskName, TierName};
use routing::certificate::Draw;
use routing::random::Random;
use sha2::{Digest as _, Sha256};

use super::draws::Draws;
use super::live;
use crate::agreement::Expected;
use crate::app::App;
use crate::batch::input::{Input, Row};
use crate::certificate::Reference;
use crate::cli::CalibrateArgs;
use crate::config::{Config, RecordsSource, TaskConfig, Tier};
use crate::learn::stored::hex;
use crate::learn::{self, Labelled};
use crate::reference::{Referred, asked};
use crate::student::shelf::Shelf;
use crate::terminal::count;

/// What was read: the texts, with their right answers where these are known.
pub(super) struct Read {
    pub(super) texts: Vec<String>,
    pub(super) right: Right,
    pub(super) live: Option<Live>,
}

/// What is known of the right answers.
pub(super) enum Right {
    /// The labels' indices.
    Labels(Vec<usize>),
    /// Of a task without labels.
    Texts(Vec<Expected>),
    /// A tier says it.
    Asked,
}

/// The label under which a free answer stands that is right; one that is not stands under the
/// next. So a task without labels is certified as any other: on whether answers are right.
pub(super) const RIGHT: usize = 0;

/// From so many records on, where the task has none of its own, [`APART`] are put aside.
pub(super) const APART_FROM: usize = 1_000;

/// As many as a deferral head takes; more would be missed where they certify.
const APART: usize = 250;

/// Seed of the lot by which they are put aside.
const APART_SEED: u64 = 2;

/// What is to be known of records from live traffic.
pub(super) struct Live {
    /// Below these confidences nothing can be said, because nothing was audited there.
    pub(super) floors: BTreeMap<TierName, f64>,
    /// How many requests there were whose right answer is known, before any was left out by lot.
    pub(super) known: usize,
    /// Where they aren't thinned out to an even chance for each.
    pub(super) draws: Option<Draws>,
    /// Requests whose right answer should be known and is not.
    pub(super) unknown: usize,
}

/// Records with the label that counts as right.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(super) task: TaskName,
    pub(super) labels: Labels,
    pub(crate) records: Vec<Labelled>,
    /// In a task without labels: what is known of each record's right answer.
    pub(super) expected: Option<Vec<Expected>>,
    /// Records that the reference gave no label to; they are left out.
    pub(super) without_reference: usize,
    /// What the reference was paid.
    pub(super) cost: Picodollars,
    /// For tiers of which only the surer answers were audited: from which confidence on.
    pub(super) floors: BTreeMap<TierName, f64>,
    /// Of records from live traffic: how many were known before any was left out by lot.
    pub(super) known: Option<usize>,
    /// Where not every record had the same chance to be one: how each came to be.
    pub(super) draws: Option<Draws>,
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
    let Some(path) = &args.records else {
        return live::read(args, config, task, reference);
    };
    let fields = (args.text_field.as_ref(), args.gold_field.as_ref());
    let source = learn::source_beside(task, (path, &args.rows), fields);
    let kind = task.task.kind;
    let (texts, right) = match (reference, &task.task.labels) {
        (Reference::Gold, Some(labels)) => {
            let records = learn::read(&source, labels).context("--records")?;
            let gold = records.iter().map(|record| record.label).collect();
            let texts = records.into_iter().map(|record| record.text);
            (texts.collect(), Right::Labels(gold))
        }
        (Reference::Gold, None) => {
            let known = |row: &Row| {
                let known = Expected::of(kind, row.gold.as_deref(), &row.judged);
                known.ok_or_else(|| {
                    let gold = &source.gold;
                    format!("no field `{gold}`, and no tier's answer that is judged")
                })
            };
            let (texts, expected) = rows(&source, known).context("--records")?;
            (texts, Right::Texts(expected))
        }
        (Reference::Tier(_), _) => {
            let (texts, _) = rows(&source, |_| Ok(())).context("--records")?;
            (texts, Right::Asked)
        }
    };
    let read = Read {
        texts,
        right,
        live: None,
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

/// The texts of a file, with what is read of each row beside its text.
fn rows<T>(
    source: &RecordsSource,
    beside: impl Fn(&Row) -> Result<T, String>,
) -> anyhow::Result<(Vec<String>, Vec<T>)> {
    let input = Input::of_records(source)?;
    let (mut texts, mut read, mut fault) = (Vec::new(), Vec::new(), None);
    input.for_each(|row| {
        let beside = beside(&row);
        match row.text.and_then(|text| Ok((text, beside?))) {
            Ok((text, beside)) => {
                texts.push(text);
                read.push(beside);
                true
            }
            Err(reason) => {
                fault = Some(format!("row {}: {reason}", row.ordinal));
                false
            }
        }
    })?;
    let path = source.path.display();
    match fault {
        Some(fault) => bail!("{path}: {fault}"),
        None if texts.is_empty() => bail!(learn::no_rows(source)),
        None => Ok((texts, read)),
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
    // A local tier's head is fitted on them, and so is the order of thresholds before it.
    let learns = tiers.any(|tier| matches!(config.tiers[tier], Tier::Student | Tier::Local(_)));
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
    let mut tiers = task.task.tiers.iter();
    let has_student = tiers.any(|tier| matches!(config.tiers[tier], Tier::Student));
    let learner = if has_student {
        "the student"
    } else {
        "the task"
    };
    if shared > 0 {
        bail!(
            "{learner} learned from {} of these {} texts, so they can prove nothing about it; \
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
        let n_texts = read.texts.len();
        let mut cost = Picodollars::ZERO;
        let answers: Vec<Option<Known>> = match (read.right, reference) {
            (Right::Labels(labels), _) => labels
                .into_iter()
                .map(|label| Some(Known(label, None)))
                .collect(),
            (Right::Texts(expected), _) => {
                let known = |expected| Some(Known(RIGHT, Some(expected)));
                expected.into_iter().map(known).collect()
            }
            (Right::Asked, Reference::Tier(tier)) => {
                let (answers, asked_cost) = asked(app, task, tier, &read.texts).await?;
                cost = asked_cost;
                let kind = task.task.kind;
                answers.iter().map(|it| Known::referred(kind, it)).collect()
            }
            (Right::Asked, Reference::Gold) => bail!("the records' right answers were not read"),
        };
        let unknown = read.live.as_ref().map_or(0, |live| live.unknown);
        let known = read.live.as_ref().map(|live| live.known);
        let (floors, draws) = read
            .live
            .map(|it| (it.floors, it.draws))
            .unwrap_or_default();
        let (mut records, mut expected) = (Vec::new(), Vec::new());
        for (text, answer) in read.texts.into_iter().zip(answers) {
            let Some(Known(label, answer)) = answer else {
                continue;
            };
            records.push(Labelled { text, label });
            expected.extend(answer);
        }
        let labels = task.task.labels.clone();
        Ok(Self {
            task: task.task.name.clone(),
            expected: labels.is_none().then_some(expected),
            labels: labels.unwrap_or_else(right_or_not),
            without_reference: n_texts - records.len() + unknown,
            records,
            cost,
            known,
            floors,
            draws,
        })
    }

    /// Records of which all is known.
    pub(super) fn known(task: TaskName, labels: Labels, records: Vec<Labelled>) -> Self {
        Self {
            task,
            labels,
            records,
            expected: None,
            without_reference: 0,
            cost: Picodollars::ZERO,
            floors: BTreeMap::new(),
            known: None,
            draws: None,
        }
    }

    /// How a record came to be one.
    pub(super) fn draw(&self, record: usize) -> Draw {
        self.draws.as_ref().map_or(Draw::EVEN, |it| it.of[record])
    }

    /// How much a record counts.
    pub(super) fn weight(&self, record: usize) -> f64 {
        self.draw(record).weight()
    }

    /// How many of each record are expected to stay where records are thinned out.
    pub(super) fn rate(&self) -> f64 {
        self.draws.as_ref().map_or(1.0, |it| it.rate)
    }

    /// The records that certify, and those that were put aside by lot, where there are enough of
    /// both.
    pub(super) fn put_aside(self) -> (Self, Option<Self>) {
        if self.records.len() < APART_FROM {
            return (self, None);
        }
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        Random::new(APART_SEED).shuffle(&mut order);
        let (aside, rest) = order.split_at_mut(APART);
        aside.sort_unstable();
        rest.sort_unstable();
        let part = |which: &[usize]| {
            let expected = self.expected.as_ref();
            Self {
                records: which.iter().map(|&it| self.records[it].clone()).collect(),
                expected: expected.map(|all| which.iter().map(|&it| all[it].clone()).collect()),
                ..Self::known(self.task.clone(), self.labels.clone(), Vec::new())
            }
        };
        let (aside, rest) = (part(aside), part(rest));
        let rest = Self {
            without_reference: self.without_reference,
            cost: self.cost,
            floors: self.floors,
            known: self.known,
            ..rest
        };
        (rest, Some(aside))
    }

    /// How many records say word by word what one before them said; of live traffic, which is as
    /// it is, none.
    pub(super) fn repeated(&self) -> usize {
        if self.known.is_some() {
            return 0;
        }
        let texts: HashSet<&str> = self.records.iter().map(|it| it.text.trim()).collect();
        self.records.len() - texts.len()
    }

    /// SHA-256 of the texts, the labels that count as right, and where records weigh unequally
    /// their weights and lots.
    pub(super) fn digest(&self) -> String {
        let records = learn::digest(&self.records, &self.labels);
        if self.expected.is_none() && self.draws.is_none() {
            return records;
        }
        let mut hash = Sha256::new();
        hash.update(records);
        let expected = self.expected.iter().flatten();
        for told in expected.flat_map(Expected::told) {
            hash.update((told.len() as u64).to_le_bytes());
            hash.update(told);
        }
        if let Some(draws) = &self.draws {
            draws.update(&mut hash);
        }
        hex(&hash.finalize())
    }
}

/// The label that counts as right, and in a task without labels what is known of the answer.
struct Known(usize, Option<Expected>);

impl Known {
    fn referred(kind: TaskKind, answer: &Referred) -> Option<Self> {
        match (answer.label, &answer.text) {
            (Some(label), _) => Some(Self(label, None)),
            (None, Some(text)) => Some(Self(RIGHT, Expected::of(kind, Some(text), &[]))),
            (None, None) => None,
        }
    }
}

/// What stands for labels in a task that has none.
fn right_or_not() -> Labels {
    let label = |name: &str| Label {
        name: name.to_owned(),
        definition: None,
    };
    let labels = Labels::new(vec![label("as the reference"), label("otherwise")]);
    labels.unwrap_or_else(|_| unreachable!("these are labels"))
}
