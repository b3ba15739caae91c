//! Lessons: when a task's student was taught anew from what became known, and what came of it.

use domain::{TaskName, TierName};
use rusqlite::{Connection, Row, params};

use crate::error::{Fault, count_to_sql};
use crate::ids::Timestamp;
use crate::writer::Books;

const BOOK: &str = "
    INSERT INTO lessons
        (task, at, labels, taught, proof, share_before, share_after, seconds, student, certificate)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const ALL: &str = "
    SELECT at, labels, taught, proof, share_before, share_after, seconds, student, certificate
    FROM lessons WHERE task = ?1 ORDER BY id";
const KNOWN: &str = "
    SELECT COUNT(*) FROM records r
    JOIN decisions d ON d.request = r.request
    LEFT JOIN audits a ON a.request = r.request
    WHERE r.task = ?1 AND (r.gold IS NOT NULL OR a.state = 'done' OR d.tier = ?2)";

/// A lesson that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// When.
    pub at: Timestamp,
    /// How many requests' right answers were known then.
    pub labels: u64,
    /// How many of them were taught.
    pub taught: u64,
    /// How many of the others certified.
    pub proof: u64,
    /// The share of these that the present student's certificate lets be kept.
    pub share_before: f64,
    /// The share that the new one's does.
    pub share_after: f64,
    /// How long it took.
    pub seconds: f64,
    /// The student that took the present one's place, if it did.
    pub student: Option<String>,
    /// Its certificate.
    pub certificate: Option<String>,
}

pub(crate) fn book(books: &Books<'_>, task: &TaskName, lesson: &Lesson) -> Result<(), Fault> {
    books.execute(
        BOOK,
        params![
            task.as_str(),
            lesson.at.unix_ms(),
            count_to_sql("labels", lesson.labels)?,
            count_to_sql("taught", lesson.taught)?,
            count_to_sql("proof", lesson.proof)?,
            lesson.share_before,
            lesson.share_after,
            lesson.seconds,
            lesson.student,
            lesson.certificate,
        ],
    )?;
    Ok(())
}

/// A task's lessons, in their order.
pub(crate) fn all(connection: &Connection, task: &TaskName) -> rusqlite::Result<Vec<Lesson>> {
    let count = |row: &Row<'_>, index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    let read = |row: &Row<'_>| {
        Ok(Lesson {
            at: Timestamp::from_unix_ms(row.get(0)?),
            labels: count(row, 1)?,
            taught: count(row, 2)?,
            proof: count(row, 3)?,
            share_before: row.get(4)?,
            share_after: row.get(5)?,
            seconds: row.get(6)?,
            student: row.get(7)?,
            certificate: row.get(8)?,
        })
    };
    let mut statement = connection.prepare_cached(ALL)?;
    statement.query_map([task.as_str()], read)?.collect()
}

/// How many kept records of a task have a right answer: a person's, an audit's or that of the
/// tier whose answers count as right.
pub(crate) fn labels_known(
    connection: &Connection,
    task: &TaskName,
    reference: &TierName,
) -> rusqlite::Result<u64> {
    let known = params![task.as_str(), reference.as_str()];
    connection
        .prepare_cached(KNOWN)?
        .query_row(known, |row| row.get::<_, i64>(0).map(i64::unsigned_abs))
}
