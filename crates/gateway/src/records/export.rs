//! Records to a file, in the form that `eval` and `calibrate` read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use domain::Task;
use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::{AuditLine, KeptRecord, RecordOrder, RecordQuery, RecordsOnly};
use serde::Serialize;

use super::content::{Content, Lot, ModelAnswer};
use super::{TaskArgs, none, reader};
use crate::agreement::canonical;
use crate::terminal::{self, count, say};

/// `tiergate records export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    of: TaskArgs,
    /// The file: one JSON object a line, packed where the name ends in .gz.
    #[arg(short, long, value_name = "FILE.jsonl[.gz]")]
    out: PathBuf,
    /// Only records whose right answer a person gave.
    #[arg(long)]
    labelled: bool,
    /// Replace the file if it is there.
    #[arg(long)]
    again: bool,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    set: &'a str,
    split: &'static str,
    /// When it was answered: RFC 3339, in UTC.
    at: String,
    text: &'a str,
    gold: Option<&'a str>,
    models: BTreeMap<&'a str, Judged<'a>>,
    /// `answered`, `review` or `failed`.
    verdict: &'a str,
    tier: Option<&'a str>,
    confidence: Option<f64>,
    thresholds: &'a BTreeMap<String, f64>,
    certificate: Option<&'a str>,
    /// Of an answer that was accepted under a watched certificate.
    audit: Option<AuditJson>,
}

/// How an answer's lot fell, and what came of its audit.
#[derive(Serialize)]
struct AuditJson {
    probability: f64,
    chosen: bool,
    /// The tier that was asked, or `person`.
    #[serde(skip_serializing_if = "Option::is_none")]
    auditor: Option<String>,
    /// What that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<bool>,
}

/// A tier's answer, and whether it is right where that is known.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    answer: &'a ModelAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let (config, task) = args.of.load()?;
    let range = args.of.days.range()?;
    let out = &args.out;
    if out.exists() && !args.again {
        bail!(
            "{} is there already; name another file, or give --again to replace it",
            out.display()
        );
    }
    let reader = reader(&config)?;
    let counts = reader.record_counts(&task, range)?;
    let (only, rows) = match args.labelled {
        true => (RecordsOnly::Labelled, counts.labelled),
        false => (RecordsOnly::All, counts.records),
    };
    if rows == 0 {
        bail!("{}", none(&config, &task));
    }
    let query = RecordQuery {
        task: task.clone(),
        range,
        only,
        order: RecordOrder::OldestFirst,
    };
    let records = reader.records(&query)?;
    let of_task = &config.tasks[&task].task;
    let bar = terminal::bar(
        rows,
        "exporting [{bar:28}] {pos}/{len} · {rate} · {eta} left",
    );
    let written = write_whole(out, |file| {
        let mut written = 0;
        for record in records {
            let record = record?;
            let audit = reader.audit(&record.request)?;
            write_line(file, (&record, audit), of_task)?;
            written += 1;
            bar.inc(1);
        }
        Ok(written)
    })?;
    bar.finish_and_clear();
    say(format_args!(
        "{} records of {task}: {}",
        count(written),
        out.display()
    ));
    Ok(())
}

fn write_line(
    file: &mut dyn Write,
    (record, audit): (&KeptRecord, Option<AuditLine>),
    task: &Task,
) -> anyhow::Result<()> {
    let content: Content = serde_json::from_str(&record.content)
        .with_context(|| format!("the record of request {} is damaged", record.request))?;
    let gold = record.gold.as_deref();
    let right = |answer: &ModelAnswer| {
        let (answer, gold) = (answer.answer.as_deref()?, gold?);
        Some(match &task.labels {
            Some(labels) => labels.parse(answer) == labels.parse(gold),
            None => canonical(task.kind, answer) == canonical(task.kind, gold),
        })
    };
    let judged = |(tier, answer)| {
        let correct = right(answer);
        let tier: &String = tier;
        (tier.as_str(), Judged { answer, correct })
    };
    let line = Line {
        id: &record.request.0,
        set: task.name.as_str(),
        split: "live",
        at: jiff::Timestamp::from_millisecond(record.at.unix_ms())?.to_string(),
        text: &record.text,
        gold,
        models: content.models.iter().map(judged).collect(),
        verdict: &record.verdict,
        tier: record.tier.as_ref().map(|tier| tier.as_str()),
        confidence: record.confidence,
        thresholds: &content.thresholds,
        certificate: content.certificate.as_deref(),
        audit: content.audit.map(|lot| audit_json(lot, audit)),
    };
    serde_json::to_writer(&mut *file, &line)?;
    file.write_all(b"\n")?;
    Ok(())
}

fn audit_json(lot: Lot, audit: Option<AuditLine>) -> AuditJson {
    let auditor = audit.as_ref().map(|audit| match &audit.auditor {
        Some(tier) => tier.to_string(),
        None => "person".to_owned(),
    });
    let (reference, wrong) = audit.map_or((None, None), |audit| (audit.reference, audit.wrong));
    AuditJson {
        probability: lot.probability,
        chosen: lot.chosen,
        auditor,
        reference,
        wrong,
    }
}

/// Writes a file so that it is there whole or not at all; it is packed if its name says so.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = || -> anyhow::Result<T> {
        let mut file = BufWriter::new(File::create(&part)?);
        let done = if path.extension().is_some_and(|it| it == "gz") {
            let mut packed = GzEncoder::new(&mut file, Compression::default());
            let done = write(&mut packed)?;
            packed.finish()?;
            done
        } else {
            write(&mut file)?
        };
        let file = file.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        Ok(done)
    };
    written().with_context(|| {
        let _leftover = std::fs::remove_file(&part);
        format!("{} can't be written", path.display())
    })
}
