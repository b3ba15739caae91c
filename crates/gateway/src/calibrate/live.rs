//! Records from live traffic: what was asked, where the ledger knows what is right of it.
//!
//! Each request had a chance that its right answer became known: that of its audit, or certainty
//! where it went on to the reference. A certificate needs a fair sample. Where there were few
//! requests, the likelier ones are thinned out by lot until each had the chance of the unlikeliest:
//! what is left is a plain random sample of the traffic. Where there were many, each record counts
//! as it was improbable ([`super::draws`]).

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, bail};
use domain::{Labels, TierName};
use ledger::{KeptRecord, Reader, RecordOrder, RecordQuery, RecordsOnly, TimeRange, Timestamp};
use routing::certificate::Draw;
use routing::random::Random;
use sha2::{Digest as _, Sha256};

use super::draws::{Draws, are_many};
use super::records::{Live, Read, Right, labels};
use crate::app::ledger_file;
use crate::certificate::Reference;
use crate::cli::CalibrateArgs;
use crate::config::{Config, TaskConfig};
use crate::learn;
use crate::records::content::{Content, instruction};
use crate::student::shelf::Shelf;
use crate::terminal::count;

/// The part of all requests that teaches students.
const TEACHING: f64 = 0.5;

/// What is known of a request.
enum Known {
    /// Its right answer, which became known with this probability.
    Right(f64, usize),
    /// It was not to become known, or belongs to nothing that is asked for.
    Not,
    /// It should be known and is not yet, or never will be.
    Missing,
    /// It was kept without a lot, so that nothing of its kind could become known.
    Unwatched,
}

/// A request whose right answer is known.
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) at: Timestamp,
    /// The reference's answer.
    pub(crate) label: usize,
    /// A person's, where there is one.
    pub(crate) gold: Option<usize>,
    /// Under which it was decided.
    certificate: Option<String>,
    probability: f64,
    /// For the lot by which it stays, and the one by which it is of the pilot.
    lots: (f64, f64),
    half: f64,
}

impl Row {
    /// Whether it belongs to the half that teaches students, and so can't certify any.
    pub(crate) fn teaches(&self) -> bool {
        self.half < TEACHING
    }

    /// How it became known, beside the rarest; `None` where it is left out by lot.
    pub(super) fn draw(&self, lowest: f64) -> Option<Draw> {
        Draw::of((lowest / self.probability).min(1.0), self.lots)
    }
}

/// What the ledger knows.
pub(crate) struct Gathered {
    pub(crate) rows: Vec<Row>,
    floors: BTreeMap<TierName, f64>,
    /// Whether what was kept of some depended on more than a threshold: on a deferral head, or on a
    /// router.
    is_of_one: bool,
    /// How many requests there were that could become known, by the certificate under which they
    /// were decided.
    requests: BTreeMap<Option<String>, usize>,
    missing: usize,
    unwatched: usize,
    /// The lowest chance that a request had, whether or not it became known.
    pub(crate) lowest: f64,
    /// When the last answer was kept without being watched.
    pub(crate) unwatched_until: Option<Timestamp>,
}

/// The requests of a time whose right answer is known, but for those that are left out by their
/// text and by the half that they belong to.
///
/// # Errors
/// When the ledger can't be read.
pub(crate) fn gather(
    reader: &Reader,
    task: &TaskConfig,
    (range, labels, reference): (TimeRange, &Labels, &Reference),
    is_left_out: impl Fn(&str, f64) -> bool,
) -> anyhow::Result<Gathered> {
    let query = RecordQuery {
        task: task.task.name.clone(),
        range,
        only: RecordsOnly::All,
        order: RecordOrder::OldestFirst,
    };
    let mut gathered = Gathered {
        rows: Vec::new(),
        floors: BTreeMap::new(),
        is_of_one: false,
        requests: BTreeMap::new(),
        missing: 0,
        unwatched: 0,
        lowest: 1.0,
        unwatched_until: None,
    };
    let asked = instruction(&task.task);
    for record in reader.records(&query)? {
        let record = record?;
        let content: Content = serde_json::from_str(&record.content)
            .with_context(|| format!("the record of request {} is damaged", record.request))?;
        if content.instruction != asked {
            continue;
        }
        if let Some(lot) = content.audit {
            gathered.lowest = gathered.lowest.min(lot.probability);
        }
        let draw = |purpose| lot(purpose, &record.request.0);
        let half = draw("half");
        let counts = !is_left_out(&record.text, half);
        match known(reader, (&record, &content), labels, reference)? {
            Known::Right(probability, label) => {
                raise(&mut gathered.floors, &content, reference)?;
                let gold = record.gold.as_deref();
                let scored = content.models.values().any(|it| it.score.is_some());
                gathered.is_of_one |= scored || content.routed;
                if !counts {
                    continue;
                }
                let under = content.certificate.clone();
                *gathered.requests.entry(under).or_default() += 1;
                gathered.rows.push(Row {
                    lots: (draw("thinned out"), draw("pilot")),
                    half,
                    gold: gold.and_then(|gold| labels.parse(gold)),
                    at: record.at,
                    text: record.text,
                    certificate: content.certificate,
                    probability,
                    label,
                });
            }
            Known::Not if counts && content.audit.is_some() => {
                *gathered.requests.entry(content.certificate).or_default() += 1;
            }
            Known::Not => {}
            Known::Missing => gathered.missing += 1,
            Known::Unwatched => {
                gathered.unwatched += 1;
                gathered.unwatched_until = Some(record.at);
            }
        }
    }
    Ok(gathered)
}

/// The records of the days that are named.
///
/// # Errors
/// When the ledger can't be read, knows too little, or some answers were kept unwatched.
pub(super) fn read(
    args: &CalibrateArgs,
    config: &Config,
    task: &TaskConfig,
    reference: &Reference,
) -> anyhow::Result<Read> {
    let name = &task.task.name;
    let reader = Reader::open(&ledger_file(config))?;
    let which = (args.days.range()?, labels(task)?, reference);
    // What the student has learned from proves nothing about it.
    let own = learn::own(config, task)?;
    let is_taught = matches!(&own, Some((_, key)) if Shelf::of(config, name).in_use(*key) > 0);
    let own = own.iter().flat_map(|(own, _)| own);
    let own: HashSet<&str> = own.map(|record| record.text.trim()).collect();
    let is_left_out =
        |text: &str, half: f64| own.contains(text.trim()) || is_taught && half < TEACHING;
    let mut gathered = gather(&reader, task, which, is_left_out)?;
    if gathered.unwatched > 0 {
        bail!(
            "{} answers of these days were kept without being watched, so that what is known of \
             the others is no fair sample; name days with --since on which audits were at work",
            count(gathered.unwatched)
        );
    }
    // Which answers were kept, and so known, depends on the head by which they were ranked, and
    // on what a router let through.
    if *reference == Reference::Gold && gathered.is_of_one {
        let newest = gathered.rows.last().and_then(|row| row.certificate.clone());
        gathered.rows.retain(|row| row.certificate == newest);
        gathered.requests.retain(|under, _| *under == newest);
    }
    if gathered.rows.is_empty() {
        bail!(
            "the ledger knows of no request of {name} what is right of it; it needs audits, and \
             records that are kept: audit = {{ share = 0.02 }} and records = {{ keep = true }}"
        );
    }
    let known = gathered.rows.len();
    let requests = gathered.requests.values().sum();
    let alpha = task.target.map_or(0.0, |target| target.max_error);
    let (records, draws) = if are_many((requests, gathered.lowest), alpha) {
        let (records, draws) = Draws::of(gathered.rows, (requests, gathered.lowest));
        (records, Some(draws))
    } else {
        (thinned(gathered.rows, gathered.lowest), None)
    };
    let (texts, gold) = records.into_iter().unzip();
    Ok(Read {
        texts,
        right: Right::Labels(gold),
        live: Some(Live {
            floors: gathered.floors,
            known,
            unknown: gathered.missing,
            draws,
        }),
    })
}

fn known(
    reader: &Reader,
    (record, content): (&KeptRecord, &Content),
    labels: &Labels,
    reference: &Reference,
) -> anyhow::Result<Known> {
    let tier = record.tier.as_ref().map(TierName::as_str);
    let Some(lot) = content.audit else {
        let by_threshold = tier.is_some_and(|tier| content.thresholds.contains_key(tier));
        if by_threshold {
            return Ok(Known::Unwatched);
        }
        // It went on to the last word: to the reference, or past it.
        let Reference::Tier(wanted) = reference else {
            return Ok(Known::Not);
        };
        let answer = content.models.get(wanted.as_str());
        let answer = answer.and_then(|model| labels.parse(model.answer.as_deref()?));
        return Ok(answer.map_or(Known::Missing, |label| Known::Right(1.0, label)));
    };
    if !lot.chosen {
        return Ok(Known::Not);
    }
    let Some(audit) = reader.audit(&record.request)? else {
        return Ok(Known::Missing);
    };
    let answer = match (reference, &audit.auditor) {
        (Reference::Gold, None) => record.gold.as_ref().or(audit.reference.as_ref()),
        (Reference::Tier(wanted), Some(auditor)) if wanted == auditor => audit.reference.as_ref(),
        _ => None,
    };
    let label = answer.and_then(|answer| labels.parse(answer));
    Ok(label.map_or(Known::Missing, |label| {
        Known::Right(audit.probability, label)
    }))
}

/// With right answers from persons nothing is known below the thresholds: what was passed on was
/// not audited.
fn raise(
    floors: &mut BTreeMap<TierName, f64>,
    content: &Content,
    reference: &Reference,
) -> anyhow::Result<()> {
    if *reference == Reference::Gold {
        for (tier, threshold) in &content.thresholds {
            let floor = floors.entry(TierName::new(tier)?).or_insert(*threshold);
            *floor = floor.max(*threshold);
        }
    }
    Ok(())
}

/// A number in `0.0..1.0` that depends on the request's id alone, another for each purpose.
fn lot(purpose: &str, request: &str) -> f64 {
    let hash = Sha256::digest(format!("{purpose}: {request}"));
    let seed = hash.iter().take(8);
    let seed = seed.fold(0_u64, |seed, byte| seed << 8 | u64::from(*byte));
    Random::new(seed).unit()
}

/// The rows that stay, when each had the lowest chance that any request had.
pub(crate) fn thinned(rows: Vec<Row>, lowest: f64) -> Vec<(String, usize)> {
    rows.into_iter()
        .filter(|row| row.lots.0 < lowest / row.probability)
        .map(|row| (row.text, row.label))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_a_fair_sample_of_what_there_was() {
        // Half of the requests are hard, known with certainty and mostly of label 1; the others
        // became known with a chance of a tenth.
        let mut random = Random::new(1);
        let mut rows = Vec::new();
        for index in 0..60_000 {
            let hard = random.unit() < 0.5;
            let probability = if hard { 1.0 } else { 0.1 };
            let label = usize::from(random.unit() < if hard { 0.8 } else { 0.1 });
            if random.unit() < probability {
                let id = format!("r{index}");
                rows.push(Row {
                    lots: (lot("thinned out", &id), lot("pilot", &id)),
                    half: 0.0,
                    gold: None,
                    certificate: None,
                    at: Timestamp::from_unix_ms(0),
                    text: id,
                    probability,
                    label,
                });
            }
        }
        let known = rows.len();
        let left = thinned(rows, 0.1);
        let share = left.iter().filter(|(_, label)| *label == 1).count() as f64 / left.len() as f64;
        // 0.5 · 0.8 + 0.5 · 0.1, and four standard errors of 6,000.
        assert!((share - 0.45).abs() < 0.026, "{share}");
        assert!(left.len() > 5_500 && left.len() < 6_500 && known > 30_000);
    }
}
