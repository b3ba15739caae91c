//! Right answers to what was asked: a person's word.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use domain::{Labels, Task, TaskName, TierName};
use ledger::{
    Correction, KeptRecord, Labelled, Ledger, Reader, RecordOrder, RecordQuery, RecordsOnly,
    RequestId,
};

use super::content::Content;
use super::{TaskArgs, none, reader, writing};
use crate::agreement::canonical;
use crate::audit::watch;
use crate::batch::input::{Fields, Input};
use crate::clock;
use crate::config::Config;
use crate::terminal::{complain, count, say};

/// Some of the ids are of no record (`EX_DATAERR` of sysexits.h).
const EXIT_DATA: u8 = 65;
/// Faults that are shown; more would only scroll away the first.
const SHOWN: usize = 5;

/// `tiergate records label`.
#[derive(Debug, clap::Args)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    of: TaskArgs,
    /// A JSONL or CSV file, or gzip of either, with the id of each request and its right answer;
    /// without it what waits for a person is shown one by one.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The field of a row that holds the id.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_field: String,
    /// The field of a row that holds the right answer.
    #[arg(long, value_name = "NAME", default_value = "gold")]
    gold_field: String,
}

pub(super) fn run(args: &LabelArgs) -> anyhow::Result<ExitCode> {
    let (config, task) = args.of.load()?;
    match &args.from {
        Some(file) => {
            let corrections = read(args, file, &config.tasks[&task].task)?;
            from_file(&config, task, corrections)
        }
        None => one_by_one(args, &config, &task).map(|()| ExitCode::SUCCESS),
    }
}

/// The right answers of a file.
///
/// # Errors
/// When it can't be read, or a row has no id or no right answer; the message shows the first such
/// rows, and nothing is booked.
fn read(args: &LabelArgs, file: &PathBuf, task: &Task) -> anyhow::Result<Vec<Correction>> {
    let fields = Fields {
        // The text is not looked at; any column will do.
        text: args.id_field.clone(),
        id: args.id_field.clone(),
        gold: args.gold_field.clone(),
    };
    let input = Input::open(std::slice::from_ref(file), fields, 0..u64::MAX)?;
    let (mut corrections, mut faults) = (Vec::new(), Vec::new());
    input.for_each(|row| {
        let unnamed = row.id == format!("{}:{}", file.display(), row.ordinal + 1);
        let gold = row
            .gold
            .ok_or_else(|| format!("no field `{}`", args.gold_field));
        let gold = gold.and_then(|gold| checked(&gold, task.labels.as_ref()));
        match gold {
            _ if unnamed => {
                faults.push(format!("row {}: no field `{}`", row.ordinal, args.id_field));
            }
            Err(fault) => faults.push(format!("row {}: {fault}", row.ordinal)),
            Ok(gold) => corrections.push(correction(task, RequestId(row.id), gold)),
        }
        true
    })?;
    if !faults.is_empty() {
        let shown = faults[..faults.len().min(SHOWN)].join("\n  ");
        let (file, faults) = (file.display(), faults.len());
        bail!("{file}: {faults} row(s) give no right answer, and none was taken:\n  {shown}");
    }
    if corrections.is_empty() {
        bail!("{}: holds no row", file.display());
    }
    Ok(corrections)
}

/// The right answer as it is kept: of a task with labels, the label's own name.
fn checked(gold: &str, labels: Option<&Labels>) -> Result<String, String> {
    let Some(labels) = labels else {
        return Ok(gold.to_owned());
    };
    match labels.parse(gold) {
        Some(label) => Ok(labels.name(label).to_owned()),
        None => Err(format!("`{gold}` is none of the labels {}", names(labels))),
    }
}

fn correction(task: &Task, request: RequestId, gold: String) -> Correction {
    let compared = match task.labels {
        Some(_) => gold.clone(),
        None => canonical(task.kind, &gold),
    };
    Correction {
        request,
        gold,
        compared,
    }
}

fn names(labels: &Labels) -> String {
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    names.join(", ")
}

fn from_file(
    config: &Config,
    task: TaskName,
    corrections: Vec<Correction>,
) -> anyhow::Result<ExitCode> {
    let given = corrections.len();
    let name = task.clone();
    let labelled = writing(config, async |ledger| {
        book(ledger, &task, corrections).await
    })?;
    let unknown = labelled.unknown;
    let booked = count(given - unknown.len());
    say(format_args!("{booked} right answers of {name} are booked"));
    tell_audits(labelled.audits);
    if unknown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let first: Vec<&str> = unknown.iter().take(SHOWN).map(|id| id.0.as_str()).collect();
    complain(format_args!(
        "{} ids are of no kept record of {name}: {}{}; their time may be over",
        count(unknown.len()),
        first.join(", "),
        if unknown.len() > SHOWN { ", …" } else { "" },
    ));
    Ok(ExitCode::from(EXIT_DATA))
}

/// Books right answers, and says so where one of them revokes a certificate.
async fn book(
    ledger: &Ledger,
    task: &TaskName,
    corrections: Vec<Correction>,
) -> anyhow::Result<Labelled> {
    let now = clock::now();
    let how = (watch::advance(), now);
    let labelled = ledger.label(task.clone(), corrections, how).await?;
    for monitored in &labelled.monitors {
        if monitored.revoked_at == Some(now) {
            let picture = watch::picture(monitored)?;
            complain(format_args!(
                "the certificate of {task} is revoked: {} of {} audited answers were wrong; \
                 nothing is kept in house any more",
                picture.wrong, picture.audits
            ));
        }
    }
    Ok(labelled)
}

fn tell_audits(audits: u64) {
    if audits > 0 {
        say(format_args!(
            "{audits} audits that waited for a person are done"
        ));
    }
}

/// Something that waits for a person.
struct Waiting {
    request: RequestId,
    text: String,
    /// What a tier would answer. Of an audit it is not told, so that it sways nobody.
    suggestion: Option<(TierName, String)>,
}

/// Shows what waits for a person, asks for the right answer, and books each at once: first the
/// audits, which show whether the task's certificate still holds.
fn one_by_one(args: &LabelArgs, config: &Config, task: &TaskName) -> anyhow::Result<()> {
    let reader = reader(config)?;
    let query = RecordQuery {
        task: task.clone(),
        range: args.of.days.range()?,
        only: RecordsOnly::AwaitingReview,
        order: RecordOrder::OldestFirst,
    };
    let mut ids = reader.audits_awaiting_person(task)?;
    for record in reader.records(&query)? {
        ids.push(record?.request);
    }
    if ids.is_empty() {
        say(none(config, task));
        return Ok(());
    }
    let task = &config.tasks[task].task;
    let (booked, audits) = writing(config, async |ledger| {
        let (mut booked, mut audits) = (0, 0);
        for (index, request) in ids.iter().enumerate() {
            // It may have been forgotten, or answered by somebody else, meanwhile.
            let Some(waiting) = waiting(&reader, request, task)? else {
                continue;
            };
            say(format_args!("\n{} of {} · {request}", index + 1, ids.len()));
            let gold = match ask(&waiting, task.labels.as_ref())? {
                Answer::Right(gold) => gold,
                Answer::Skip => continue,
                Answer::Stop => break,
            };
            let request = waiting.request;
            let labelled = book(ledger, &task.name, vec![correction(task, request, gold)]).await?;
            booked += 1 - labelled.unknown.len();
            audits += labelled.audits;
        }
        Ok((booked, audits))
    })?;
    let name = &task.name;
    say(format_args!(
        "\n{} right answers of {name} are booked",
        count(booked)
    ));
    tell_audits(audits);
    Ok(())
}

fn waiting(reader: &Reader, request: &RequestId, task: &Task) -> anyhow::Result<Option<Waiting>> {
    let audit = reader
        .audit(request)?
        .filter(|audit| audit.auditor.is_none());
    if let Some(text) = audit.and_then(|audit| audit.text) {
        return Ok(Some(Waiting {
            request: request.clone(),
            text,
            suggestion: None,
        }));
    }
    let record = reader.record(request)?;
    let open = record.filter(|record| record.gold.is_none() && record.verdict == "review");
    Ok(open.map(|record| Waiting {
        request: request.clone(),
        suggestion: suggestion(&record, &task.tiers),
        text: record.text,
    }))
}

enum Answer {
    Right(String),
    Skip,
    Stop,
}

/// Asks until there is an answer that can be one.
fn ask(waiting: &Waiting, labels: Option<&Labels>) -> anyhow::Result<Answer> {
    say(&waiting.text);
    if let Some((tier, suggestion)) = &waiting.suggestion {
        say(format_args!("{tier} would answer: {suggestion}"));
    }
    let what = match labels {
        Some(labels) => {
            let numbered = labels.iter().enumerate();
            let numbered = numbered.map(|(index, label)| format!("{} {}", index + 1, label.name));
            say(numbered.collect::<Vec<_>>().join("  "));
            "number or name"
        }
        None => "on one line",
    };
    loop {
        let mut out = std::io::stdout().lock();
        write!(out, "the right answer ({what}; enter to skip, q to stop): ")?;
        out.flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(Answer::Stop);
        }
        match (line.trim(), labels) {
            ("", _) => return Ok(Answer::Skip),
            ("q", _) => return Ok(Answer::Stop),
            (given, None) => return Ok(Answer::Right(given.to_owned())),
            (given, Some(labels)) => match label(given, labels) {
                Some(name) => return Ok(Answer::Right(name)),
                None => say(format_args!("`{given}` is none of the labels")),
            },
        }
    }
}

fn label(given: &str, labels: &Labels) -> Option<String> {
    let numbered = given.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let label = labels
        .parse(given)
        .or_else(|| numbered.filter(|index| *index < labels.len()))?;
    Some(labels.name(label).to_owned())
}

/// What the last tier that answered says: later tiers are the stronger ones.
fn suggestion(record: &KeptRecord, tiers: &[TierName]) -> Option<(TierName, String)> {
    let content: Content = serde_json::from_str(&record.content).ok()?;
    tiers.iter().rev().find_map(|tier| {
        let answer = content.models.get(tier.as_str())?.answer.clone()?;
        Some((tier.clone(), answer))
    })
}
