//! Items: the results of a job's documents.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::{Fault, LedgerError, contradiction, count_to_sql};
use crate::ids::{JobId, RequestId, Timestamp};
use crate::jobs;
use crate::ordinals::Ordinals;
use crate::writer::Books;

const EARLIER: &str = "
    SELECT ordinal, document, result, status, retryable, request FROM items
    WHERE job = ?1 AND ordinal = ?2";
const WRITE: &str = "
    INSERT INTO items (job, ordinal, document, request, at, status, retryable, result)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (job, ordinal) DO UPDATE SET
        document = excluded.document, request = excluded.request, at = excluded.at,
        status = excluded.status, retryable = excluded.retryable, result = excluded.result";
const ORDINALS: &str = "SELECT ordinal, retryable FROM items WHERE job = ?1 ORDER BY ordinal";
const PAGE: &str = "
    SELECT ordinal, document, result, status, retryable FROM items
    WHERE job = ?1 AND ordinal > ?2 ORDER BY ordinal LIMIT ?3";
const COUNTS: &str = "
    SELECT status, retryable, COUNT(*) FROM items WHERE job = ?1 GROUP BY status, retryable";
/// Rows read at a time: a few hundred kilobytes of ordinary results.
const PAGE_ROWS: u16 = 256;

/// The result of one document of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobItem {
    /// The job, open in this process.
    pub job: JobId,
    /// The document's place in the job's input.
    pub ordinal: u64,
    /// What its owner calls it.
    pub document: String,
    /// The result as JSON text.
    pub result: String,
    /// What became of it.
    pub status: ItemStatus,
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemStatus {
    /// It has an accepted answer.
    Answered,
    /// It was given to a person.
    Review,
    /// It has no answer.
    Failed {
        /// Whether it is worth trying again; only such a result is ever replaced.
        retryable: bool,
    },
}

impl ItemStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Review => "review",
            Self::Failed { .. } => "failed",
        }
    }

    fn is_retryable(self) -> bool {
        matches!(self, Self::Failed { retryable: true })
    }

    fn from_sql(name: &str, retryable: bool) -> Self {
        match name {
            "answered" => Self::Answered,
            "review" => Self::Review,
            _ => Self::Failed { retryable },
        }
    }
}

/// A result as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem {
    /// The document's place in the job's input.
    pub ordinal: u64,
    /// What its owner calls it.
    pub document: String,
    /// The result as JSON text.
    pub result: String,
    /// What became of it.
    pub status: ItemStatus,
}

/// How many of a job's documents came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// With an accepted answer.
    pub answered: u64,
    /// Given to a person.
    pub review: u64,
    /// Failed for good.
    pub failed: u64,
    /// Failed, and worth trying again.
    pub retryable: u64,
}

/// A job's results in the order of its input, as they stood when the iteration began. They are
/// read as they are asked for, some hundred at a time.
#[derive(Debug)]
pub struct JobResults {
    connection: Connection,
    path: std::path::PathBuf,
    job: JobId,
    last: i64,
    page: std::vec::IntoIter<StoredItem>,
    done: bool,
}

impl JobResults {
    pub(crate) fn new(
        connection: Connection,
        path: &std::path::Path,
        job: JobId,
    ) -> Result<Self, Fault> {
        // One transaction for all pages, so that they show one state.
        connection.execute_batch("BEGIN")?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            job,
            last: -1,
            page: Vec::new().into_iter(),
            done: false,
        })
    }

    fn read_page(&mut self) -> rusqlite::Result<()> {
        let page: Vec<StoredItem> = self
            .connection
            .prepare_cached(PAGE)?
            .query_map(params![self.job.0, self.last, PAGE_ROWS], read_item)?
            .collect::<Result<_, _>>()?;
        self.done = page.len() < usize::from(PAGE_ROWS);
        if let Some(item) = page.last() {
            self.last = item.ordinal.cast_signed();
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for JobResults {
    type Item = Result<StoredItem, LedgerError>;

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

/// Writes an item of an open job, in the place of a retryable one at most.
pub(crate) fn write(
    books: &Books<'_>,
    item: &JobItem,
    request: &RequestId,
    at: Timestamp,
) -> Result<(), Fault> {
    jobs::check_open(books, item.job)?;
    let ordinal = count_to_sql("ordinal", item.ordinal)?;
    let read = |row: &Row<'_>| Ok((read_item(row)?, row.get::<_, String>(5)?));
    let earlier = books.query_row(EARLIER, [item.job.0, ordinal], read);
    if let Some((stored, by)) = earlier.optional()? {
        let asked = StoredItem {
            ordinal: item.ordinal,
            document: item.document.clone(),
            result: item.result.clone(),
            status: item.status,
        };
        if stored == asked && by == request.0 {
            return Ok(());
        }
        if !stored.status.is_retryable() {
            return Err(contradiction(
                format!("item {} of job {}", item.ordinal, item.job),
                format!("{} for request `{by}`", stored.status.as_str()),
                format!("{} for request `{request}`", item.status.as_str()),
            ));
        }
    }
    books.execute(
        WRITE,
        params![
            item.job.0,
            ordinal,
            item.document,
            request.0,
            at.unix_ms(),
            item.status.as_str(),
            item.status.is_retryable(),
            item.result,
        ],
    )?;
    Ok(())
}

/// The places that are done for good, and those that are worth trying again.
pub(crate) fn ordinals(books: &Books<'_>, job: JobId) -> Result<(Ordinals, Ordinals), Fault> {
    let (mut done, mut retryable) = (Ordinals::default(), Ordinals::default());
    let mut statement = books.connection.prepare_cached(ORDINALS)?;
    let mut rows = statement.query([job.0])?;
    while let Some(row) = rows.next()? {
        let ordinal = row.get::<_, i64>(0)?.unsigned_abs();
        if row.get(1)? {
            retryable.push(ordinal);
        } else {
            done.push(ordinal);
        }
    }
    Ok((done, retryable))
}

/// How many items came to what.
pub(crate) fn counts(connection: &Connection, job: JobId) -> rusqlite::Result<ItemCounts> {
    let mut counts = ItemCounts::default();
    let mut statement = connection.prepare_cached(COUNTS)?;
    let mut rows = statement.query([job.0])?;
    while let Some(row) = rows.next()? {
        let status = ItemStatus::from_sql(row.get_ref(0)?.as_str()?, row.get(1)?);
        let count = row.get::<_, i64>(2)?.unsigned_abs();
        *match status {
            ItemStatus::Answered => &mut counts.answered,
            ItemStatus::Review => &mut counts.review,
            ItemStatus::Failed { retryable: false } => &mut counts.failed,
            ItemStatus::Failed { retryable: true } => &mut counts.retryable,
        } += count;
    }
    Ok(counts)
}

fn read_item(row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    Ok(StoredItem {
        ordinal: row.get::<_, i64>(0)?.unsigned_abs(),
        document: row.get(1)?,
        result: row.get(2)?,
        status: ItemStatus::from_sql(row.get_ref(3)?.as_str()?, row.get(4)?),
    })
}
