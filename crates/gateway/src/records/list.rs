//! Which records there are. Texts are not shown: a list is looked at in passing.

use ledger::{KeptRecord, RecordCounts, RecordOrder, RecordQuery, RecordsOnly, Timestamp};
use serde_json::{Value, json};

use super::content::Content;
use super::{TaskArgs, none, reader};
use crate::clock::date_of;
use crate::terminal::{count, say, table};

/// `tiergate records list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    of: TaskArgs,
    /// The most records that are shown, the newest first.
    #[arg(long, default_value_t = 20, value_name = "N")]
    most: usize,
    /// Only those that wait for a person.
    #[arg(long)]
    review: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let (config, task) = args.of.load()?;
    let range = args.of.days.range()?;
    let reader = reader(&config)?;
    let counts = reader.record_counts(&task, range)?;
    let query = RecordQuery {
        task: task.clone(),
        range,
        only: match args.review {
            true => RecordsOnly::AwaitingReview,
            false => RecordsOnly::All,
        },
        order: RecordOrder::NewestFirst,
    };
    let newest = reader.records(&query)?.take(args.most);
    let newest: Vec<KeptRecord> = newest.collect::<Result<_, _>>()?;
    if args.json {
        let records: Vec<Value> = newest.iter().map(to_json).collect();
        let summary = json!({
            "task": task.as_str(),
            "records": counts.records,
            "labelled": counts.labelled,
            "next_expiry": counts.next_expiry.map(moment),
            "shown": records,
        });
        say(format_args!("{summary:#}"));
    } else if newest.is_empty() {
        say(none(&config, &task));
    } else {
        say(to_table(&newest));
        say(in_words(&counts));
    }
    Ok(())
}

fn to_json(record: &KeptRecord) -> Value {
    json!({
        "id": record.request.0,
        "at": moment(record.at),
        "expires_at": moment(record.expires_at),
        "verdict": record.verdict,
        "tier": record.tier.as_ref().map(|tier| tier.as_str()),
        "answer": answer(record),
        "confidence": record.confidence,
        "gold": record.gold,
        "text_bytes": record.text.len(),
    })
}

fn to_table(records: &[KeptRecord]) -> comfy_table::Table {
    let header = [
        "id",
        "day (UTC)",
        "verdict",
        "tier",
        "answer",
        "confidence",
        "gold",
        "bytes",
        "until",
    ];
    let mut table = table(&header);
    let none = || "–".to_owned();
    for record in records {
        let number = |confidence: f64| format!("{confidence:.4}");
        table.add_row([
            record.request.0.clone(),
            date_of(record.at).to_string(),
            record.verdict.clone(),
            record.tier.as_ref().map_or_else(none, ToString::to_string),
            answer(record).map_or_else(none, |answer| shortened(&answer)),
            record.confidence.map_or_else(none, number),
            record.gold.as_deref().map_or_else(none, shortened),
            count(record.text.len()),
            date_of(record.expires_at).to_string(),
        ]);
    }
    table
}

/// The accepted answer.
fn answer(record: &KeptRecord) -> Option<String> {
    let content: Content = serde_json::from_str(&record.content).ok()?;
    let tier = record.tier.as_ref()?;
    content.models.get(tier.as_str())?.answer.clone()
}

fn shortened(answer: &str) -> String {
    const MOST: usize = 24;
    match answer.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &answer[..end]),
        None => answer.to_owned(),
    }
}

fn in_words(counts: &RecordCounts) -> String {
    let number = |n: u64| usize::try_from(n).map_or_else(|_| n.to_string(), count);
    let (records, labelled) = (number(counts.records), number(counts.labelled));
    let expiry = counts.next_expiry.map_or_else(String::new, |next| {
        format!("; the next is deleted on {}", date_of(next))
    });
    format!("{records} records, {labelled} with a person's answer{expiry}")
}

/// RFC 3339, in UTC.
fn moment(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.to_string())
}
