//! What clients have asked to be kept: responses to go on from, files, batches. Each belongs to
//! one owner, and nobody else ever sees it.
//!
//! Like records it is forgotten when its time is over or its owner says so, and what is deleted is
//! overwritten in the file. It is no part of the books: money and decisions stay without it.

use std::fmt;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::{Fault, LedgerError};
use crate::ids::Timestamp;
use crate::writer::Books;

const PUT: &str = "
    INSERT INTO kept (kind, id, owner, at, expires_at, size, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (kind, id) DO UPDATE SET
        expires_at = excluded.expires_at, size = excluded.size, body = excluded.body
    WHERE owner = excluded.owner";
const SIZE: &str = "SELECT size FROM kept_sizes WHERE owner = ?1";
/// Responses alone make room for others: a file was given to be kept.
const DROP_OLDEST: &str = "
    DELETE FROM kept WHERE (kind, id) = (
        SELECT kind, id FROM kept
        WHERE owner = ?1 AND kind = 'response' AND id <> ?2 ORDER BY at, id LIMIT 1)";
const DELETE: &str = "DELETE FROM kept WHERE kind = ?1 AND id = ?2 AND owner = ?3";
const FORGET_EXPIRED: &str = "DELETE FROM kept WHERE expires_at <= ?1";
const COLUMNS: &str = "SELECT id, owner, at, expires_at, size, body FROM kept";

/// What kind of thing is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeptKind {
    /// A response that a conversation can go on from. The oldest makes room for the newest.
    Response,
    /// A file; its content lies beside the books.
    File,
    /// A batch of requests.
    Batch,
}

impl KeptKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::File => "file",
            Self::Batch => "batch",
        }
    }
}

/// Something that is kept. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// What its owner calls it; no two of a kind are called the same.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// When it came to be kept.
    pub at: Timestamp,
    /// When it is to be deleted.
    pub expires_at: Timestamp,
    /// How much it counts among what its owner keeps, in bytes.
    pub size_bytes: u64,
    /// The thing itself as JSON text.
    pub body: String,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kept {} of {} bytes", self.id, self.size_bytes)
    }
}

/// A part of a list of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPage {
    /// Whose.
    pub owner: String,
    /// What stands behind this one in the list, if it names one.
    pub after: Option<String>,
    /// What stands before this one in the list, if it names one.
    pub before: Option<String>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// At most so many.
    pub most: u32,
}

/// Keeps something, in the place of what its owner has called the same. Where its owner's things
/// would have more bytes than `bytes_max`, the oldest of its responses are dropped.
pub(crate) fn put(
    books: &Books<'_>,
    (kind, kept, bytes_max): (KeptKind, &Kept, u64),
) -> Result<(), Fault> {
    let size = i64::try_from(kept.size_bytes).unwrap_or(i64::MAX);
    let row = params![
        kind.as_str(),
        kept.id,
        kept.owner,
        kept.at.unix_ms(),
        kept.expires_at.unix_ms(),
        size,
        kept.body
    ];
    if books.execute(PUT, row)? == 0 {
        let unknown = format!("{} {}", kind.as_str(), kept.id);
        return Err(Fault::Answer(LedgerError::Unknown(unknown)));
    }
    loop {
        let sum: i64 = books.query_row(SIZE, [&kept.owner], |row| row.get(0))?;
        if sum.unsigned_abs() <= bytes_max {
            return Ok(());
        }
        if books.execute(DROP_OLDEST, [&kept.owner, &kept.id])? == 0 {
            return Err(Fault::Answer(LedgerError::TooMuchKept { bytes_max }));
        }
    }
}

/// Deletes something of this owner's; whether there was any.
pub(crate) fn delete(
    books: &Books<'_>,
    (kind, id, owner): (KeptKind, &str, &str),
) -> Result<bool, Fault> {
    Ok(books.execute(DELETE, [kind.as_str(), id, owner])? > 0)
}

/// Deletes what was to be kept until this time, and gives back how much there was.
pub(crate) fn forget_expired(books: &Books<'_>, at: Timestamp) -> Result<u64, Fault> {
    Ok(books.execute(FORGET_EXPIRED, [at.unix_ms()])? as u64)
}

/// One thing of this owner's.
pub(crate) fn one(
    connection: &Connection,
    (kind, id, owner): (KeptKind, &str, &str),
) -> rusqlite::Result<Option<Kept>> {
    connection
        .prepare_cached(&format!(
            "{COLUMNS} WHERE kind = ?1 AND id = ?2 AND owner = ?3"
        ))?
        .query_row([kind.as_str(), id, owner], read)
        .optional()
}

/// Everything of a kind, whoever's it is, in the order of its times.
pub(crate) fn all(connection: &Connection, kind: KeptKind) -> rusqlite::Result<Vec<Kept>> {
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE kind = ?1 ORDER BY at, id"))?
        .query_map([kind.as_str()], read)?
        .collect()
}

/// A part of the list of what an owner keeps of a kind.
pub(crate) fn list(
    connection: &Connection,
    kind: KeptKind,
    page: &KeptPage,
) -> rusqlite::Result<Vec<Kept>> {
    let (order, behind, ahead) = match page.newest_first {
        true => ("DESC", "<", ">"),
        false => ("ASC", ">", "<"),
    };
    let place = "(SELECT at, id FROM kept WHERE kind = ?1 AND owner = ?2 AND id =";
    let sql = format!(
        "{COLUMNS} WHERE kind = ?1 AND owner = ?2
         AND (?3 IS NULL OR (at, id) {behind} {place} ?3))
         AND (?4 IS NULL OR (at, id) {ahead} {place} ?4))
         ORDER BY at {order}, id {order} LIMIT ?5"
    );
    let values = params![
        kind.as_str(),
        page.owner,
        page.after,
        page.before,
        page.most
    ];
    connection
        .prepare_cached(&sql)?
        .query_map(values, read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        id: row.get(0)?,
        owner: row.get(1)?,
        at: Timestamp::from_unix_ms(row.get(2)?),
        expires_at: Timestamp::from_unix_ms(row.get(3)?),
        size_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        body: row.get(5)?,
    })
}
