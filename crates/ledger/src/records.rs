//! Records: the texts of requests and what the tiers made of them, where a task keeps them.
//!
//! They and the texts of audits are the only part of the books that is forgotten: when their time is over, or when
//! somebody asks for it. What is deleted is overwritten in the file.

use std::fmt;
use std::path::{Path, PathBuf};

use domain::{TaskName, TierName};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::audits;
use crate::error::{Fault, LedgerError};
use crate::ids::{RequestId, Timestamp};
use crate::keeping;
use crate::monitors::{Advance, Monitored};
use crate::report::{TimeRange, name};
use crate::writer::Books;

const KEEP: &str = "
    INSERT INTO records (request, task, at, expires_at, text, content)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (request) DO NOTHING";
const LABEL: &str = "UPDATE records SET gold = ?3, gold_at = ?4 WHERE request = ?1 AND task = ?2";
const FORGET_EXPIRED: &str = "DELETE FROM records WHERE expires_at <= ?1";
const FORGET_BEFORE: &str = "DELETE FROM records WHERE task = ?1 AND at < ?2";
const FORGET_ONE: &str = "DELETE FROM records WHERE task = ?1 AND request = ?2";
const COUNTS: &str = "
    SELECT COUNT(*), COUNT(gold), MIN(at), MIN(expires_at) FROM records
    WHERE task = ?1 AND at >= ?2 AND at < ?3";
/// Rows read at a time: some megabytes of ordinary documents.
const PAGE_ROWS: u16 = 256;

/// What is kept of a request beside its decision. Its `Debug` shows lengths only, so that it
/// can't reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// What was asked.
    pub text: String,
    /// What the tiers made of it, as JSON text.
    pub content: String,
    /// When it is to be deleted.
    pub expires_at: Timestamp,
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record of {} bytes", self.text.len())
    }
}

/// A record as it is kept. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct KeptRecord {
    /// The request.
    pub request: RequestId,
    /// When it was answered.
    pub at: Timestamp,
    /// When it is to be deleted.
    pub expires_at: Timestamp,
    /// What was asked.
    pub text: String,
    /// What the tiers made of it, as JSON text.
    pub content: String,
    /// Whether it was `answered`, given to `review`, or `failed`.
    pub verdict: String,
    /// The tier whose answer was accepted.
    pub tier: Option<TierName>,
    /// How sure that answer was.
    pub confidence: Option<f64>,
    /// The right answer, where a person gave it.
    pub gold: Option<String>,
}

impl fmt::Debug for KeptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (request, bytes) = (&self.request, self.text.len());
        write!(f, "record of request {request}, {bytes} bytes")
    }
}

/// Which records are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    /// Those of this task.
    pub task: TaskName,
    /// Answered in this time.
    pub range: TimeRange,
    /// Which of them.
    pub only: RecordsOnly,
    /// In which order.
    pub order: RecordOrder,
}

/// A part of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsOnly {
    /// All of them.
    All,
    /// Those whose right answer a person gave.
    Labelled,
    /// Those that were given to a person and have no right answer yet.
    AwaitingReview,
}

/// An order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOrder {
    /// As they were answered.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// How many records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// All of them.
    pub records: u64,
    /// Those whose right answer a person gave.
    pub labelled: u64,
    /// When the oldest was answered.
    pub oldest: Option<Timestamp>,
    /// When the next is to be deleted.
    pub next_expiry: Option<Timestamp>,
}

/// A person's right answer to a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Correction {
    /// The request.
    pub request: RequestId,
    /// The right answer.
    pub gold: String,
    /// The same in the form in which an audited answer was given to the ledger.
    pub compared: String,
}

impl fmt::Debug for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "correction of request {}", self.request)
    }
}

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgetting {
    /// What was to be deleted by this time.
    Expired(Timestamp),
    /// What a task was asked before a moment.
    Before(TaskName, Timestamp),
    /// These requests of a task.
    Requests(TaskName, Vec<RequestId>),
}

/// Books a record of a request whose decision is booked in the same transaction.
pub(crate) fn keep(
    books: &Books<'_>,
    record: &NewRecord,
    (request, task, at): (&RequestId, &TaskName, Timestamp),
) -> Result<(), Fault> {
    let expires = record.expires_at.unix_ms();
    let (text, content) = (&record.text, &record.content);
    let row = params![
        request.0,
        task.as_str(),
        at.unix_ms(),
        expires,
        text,
        content
    ];
    books.execute(KEEP, row)?;
    Ok(())
}

/// What came of a person's right answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Requests of which nothing is kept.
    pub unknown: Vec<RequestId>,
    /// How many audits that waited for a person are done by it.
    pub audits: u64,
    /// The monitors that have moved, as they stand after it.
    pub monitors: Vec<Monitored>,
}

/// Books right answers, and ends the audits that waited for them.
pub(crate) fn label(
    books: &Books<'_>,
    (task, corrections): (&TaskName, &[Correction]),
    (advance, at): (&Advance, Timestamp),
) -> Result<Labelled, Fault> {
    let mut labelled = Labelled::default();
    for Correction {
        request,
        gold,
        compared,
    } in corrections
    {
        let row = params![request.0, task.as_str(), gold, at.unix_ms()];
        let kept = books.execute(LABEL, row)? > 0;
        let moved = audits::answered_by_person(books, (task, request), compared, (advance, at))?;
        if !kept && moved.is_none() {
            labelled.unknown.push(request.clone());
        }
        if let Some(moved) = moved {
            labelled.audits += 1;
            labelled
                .monitors
                .retain(|it| it.certificate != moved.certificate);
            labelled.monitors.push(moved);
        }
    }
    Ok(labelled)
}

/// Deletes records, and the texts of audits that wait, and what was kept for clients for as long
/// as this; gives back how many there were: for
/// requests by their ids the requests of which something was kept.
pub(crate) fn forget(books: &Books<'_>, what: &Forgetting) -> Result<u64, Fault> {
    let records = match what {
        Forgetting::Expired(at) => {
            let lapsed = audits::lapse_expired(books, *at)?;
            let kept = keeping::forget_expired(books, *at)?;
            lapsed + kept + books.execute(FORGET_EXPIRED, [at.unix_ms()])? as u64
        }
        Forgetting::Before(task, at) => {
            let lapsed = audits::lapse_before(books, task, *at)?;
            lapsed + books.execute(FORGET_BEFORE, params![task.as_str(), at.unix_ms()])? as u64
        }
        Forgetting::Requests(task, requests) => {
            let mut kept = 0;
            for request in requests {
                let lapsed = audits::lapse_one(books, task, request)?;
                let deleted = books.execute(FORGET_ONE, params![task.as_str(), request.0])?;
                kept += u64::from(lapsed > 0 || deleted > 0);
            }
            kept
        }
    };
    Ok(records)
}

/// How many records a task has of a time.
pub(crate) fn counts(
    connection: &Connection,
    task: &TaskName,
    range: TimeRange,
) -> rusqlite::Result<RecordCounts> {
    let [from, until] = range.bounds();
    let moment = |ms: Option<i64>| ms.map(Timestamp::from_unix_ms);
    connection
        .prepare_cached(COUNTS)?
        .query_row(params![task.as_str(), from, until], |row| {
            Ok(RecordCounts {
                records: row.get::<_, i64>(0)?.unsigned_abs(),
                labelled: row.get::<_, i64>(1)?.unsigned_abs(),
                oldest: moment(row.get(2)?),
                next_expiry: moment(row.get(3)?),
            })
        })
}

/// Records as they stood when the iteration began. They are read as they are asked for, some
/// hundred at a time.
#[derive(Debug)]
pub struct Records {
    connection: Connection,
    path: PathBuf,
    sql: String,
    bounds: Bounds,
    page: std::vec::IntoIter<KeptRecord>,
    done: bool,
}

#[derive(Debug)]
struct Bounds {
    task: String,
    time: [i64; 2],
    /// Time and request of the last one read.
    last: Option<(i64, String)>,
}

impl Records {
    pub(crate) fn new(
        connection: Connection,
        path: &Path,
        query: &RecordQuery,
    ) -> Result<Self, Fault> {
        // One transaction for all pages, so that they show one state.
        connection.execute_batch("BEGIN")?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            sql: select(query),
            bounds: Bounds {
                task: query.task.as_str().to_owned(),
                time: query.range.bounds(),
                last: None,
            },
            page: Vec::new().into_iter(),
            done: false,
        })
    }

    fn read_page(&mut self) -> rusqlite::Result<()> {
        let Bounds { task, time, last } = &self.bounds;
        let (at, request) = last
            .as_ref()
            .map_or((None, None), |(at, id)| (Some(*at), Some(id)));
        let values: [&dyn ToSql; 6] = [task, &time[0], &time[1], &at, &request, &PAGE_ROWS];
        let page: Vec<KeptRecord> = self
            .connection
            .prepare_cached(&self.sql)?
            .query_map(params_from_iter(values), read_record)?
            .collect::<Result<_, _>>()?;
        self.done = page.len() < usize::from(PAGE_ROWS);
        if let Some(record) = page.last() {
            self.bounds.last = Some((record.at.unix_ms(), record.request.0.clone()));
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Records {
    type Item = Result<KeptRecord, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.as_slice().is_empty()
            && !self.done
            && let Err(error) = self.read_page()
        {
            self.done = true;
            return Some(Err(Fault::from(error).at(&self.path)));
        }
        self.page.next().map(Ok)
    }
}

fn select(query: &RecordQuery) -> String {
    let only = match query.only {
        RecordsOnly::All => "",
        RecordsOnly::Labelled => "AND r.gold IS NOT NULL",
        RecordsOnly::AwaitingReview => "AND r.gold IS NULL AND d.verdict = 'review'",
    };
    let (after, order) = match query.order {
        RecordOrder::OldestFirst => (">", "ASC"),
        RecordOrder::NewestFirst => ("<", "DESC"),
    };
    format!(
        "{COLUMNS} WHERE r.task = ?1 AND r.at >= ?2 AND r.at < ?3 {only}
         AND (?4 IS NULL OR (r.at, r.request) {after} (?4, ?5))
         ORDER BY r.at {order}, r.request {order} LIMIT ?6"
    )
}

const COLUMNS: &str = "
    SELECT r.request, r.at, r.expires_at, r.text, r.content, d.verdict, d.tier, d.confidence, r.gold
    FROM records r JOIN decisions d ON d.request = r.request";

/// The record of a request, if it is kept.
pub(crate) fn one(
    connection: &Connection,
    request: &RequestId,
) -> rusqlite::Result<Option<KeptRecord>> {
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE r.request = ?1"))?
        .query_row([&request.0], read_record)
        .optional()
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<KeptRecord> {
    let tier: Option<String> = row.get(6)?;
    Ok(KeptRecord {
        request: RequestId(row.get(0)?),
        at: Timestamp::from_unix_ms(row.get(1)?),
        expires_at: Timestamp::from_unix_ms(row.get(2)?),
        text: row.get(3)?,
        content: row.get(4)?,
        verdict: row.get(5)?,
        tier: tier.map(|_| name(row, 6, TierName::new)).transpose()?,
        confidence: row.get(7)?,
        gold: row.get(8)?,
    })
}
