//! Jobs: batch runs that can be interrupted anywhere and resumed.

use domain::TaskName;
use rusqlite::{OptionalExtension as _, Row, params};

use crate::error::{Fault, LedgerError};
use crate::ids::{JobId, RunId, Timestamp};
use crate::items;
use crate::ordinals::Ordinals;
use crate::runs;
use crate::writer::Books;

const BY_OUTPUT: &str = "
    SELECT id, output, fingerprint, run, finished_at IS NOT NULL FROM jobs WHERE output = ?1";
const BY_ID: &str = "
    SELECT id, output, fingerprint, run, finished_at IS NOT NULL FROM jobs WHERE id = ?1";
const NEW: &str = "
    INSERT INTO jobs (output, fingerprint, task, opened_at, run) VALUES (?1, ?2, ?3, ?4, ?5)
    RETURNING id";
const TAKE: &str = "UPDATE jobs SET run = ?2 WHERE id = ?1";
const LEAVE: &str = "UPDATE jobs SET run = NULL WHERE id = ?1";
const FINISH: &str = "UPDATE jobs SET run = NULL, finished_at = ?2 WHERE id = ?1";
const DISCARD_ITEMS: &str = "DELETE FROM items WHERE job = ?1";
const DISCARD: &str = "DELETE FROM jobs WHERE id = ?1";

/// A batch run that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// A hash of all that its results depend on: task, tiers, inputs.
    pub fingerprint: String,
    /// The task.
    pub task: TaskName,
    /// Where the results go, as a path that is always written the same way; one job to a path.
    pub output: String,
    /// The time now.
    pub at: Timestamp,
}

/// A job that is open in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedJob {
    /// Its id.
    pub job: JobId,
    /// Places in its input whose result is final.
    pub done: Ordinals,
    /// Places whose failure is worth trying again.
    pub retryable: Ordinals,
    /// Whether it was finished before.
    pub finished: bool,
}

struct JobRow {
    job: JobId,
    output: String,
    fingerprint: String,
    run: Option<RunId>,
    finished: bool,
}

/// Opens the job of an output for this run.
pub(crate) fn open(books: &Books<'_>, spec: &JobSpec) -> Result<OpenedJob, Fault> {
    let Some(row) = books
        .query_row(BY_OUTPUT, [&spec.output], read_job)
        .optional()?
    else {
        let (task, at) = (spec.task.as_str(), spec.at.unix_ms());
        let new = params![spec.output, spec.fingerprint, task, at, books.run.0];
        return Ok(OpenedJob {
            job: JobId(books.query_row(NEW, new, |row| row.get(0))?),
            done: Ordinals::default(),
            retryable: Ordinals::default(),
            finished: false,
        });
    };
    refuse_running(books, &row)?;
    if row.fingerprint != spec.fingerprint {
        return Err(Fault::Answer(LedgerError::JobDiffers {
            output: row.output,
        }));
    }
    books.execute(TAKE, [row.job.0, books.run.0])?;
    let (done, retryable) = items::ordinals(books, row.job)?;
    Ok(OpenedJob {
        job: row.job,
        done,
        retryable,
        finished: row.finished,
    })
}

/// Refuses a job that isn't open in this run.
pub(crate) fn check_open(books: &Books<'_>, job: JobId) -> Result<(), Fault> {
    let row = books.query_row(BY_ID, [job.0], read_job).optional()?;
    let row = row.ok_or_else(|| Fault::Answer(LedgerError::Unknown(format!("job {job}"))))?;
    if row.run == Some(books.run) {
        return Ok(());
    }
    refuse_running(books, &row)?;
    Err(Fault::Answer(LedgerError::Invalid(format!(
        "job {job} is not open in this process; open it before writing to it"
    ))))
}

/// Closes a job for good.
pub(crate) fn finish(books: &Books<'_>, job: JobId, at: Timestamp) -> Result<(), Fault> {
    check_open(books, job)?;
    books.execute(FINISH, [job.0, at.unix_ms()])?;
    Ok(())
}

/// Closes a job for now.
pub(crate) fn leave(books: &Books<'_>, job: JobId) -> Result<(), Fault> {
    check_open(books, job)?;
    books.execute(LEAVE, [job.0])?;
    Ok(())
}

/// Forgets the job of an output.
pub(crate) fn discard(books: &Books<'_>, output: &str) -> Result<bool, Fault> {
    let Some(row) = books.query_row(BY_OUTPUT, [output], read_job).optional()? else {
        return Ok(false);
    };
    refuse_running(books, &row)?;
    books.execute(DISCARD_ITEMS, [row.job.0])?;
    books.execute(DISCARD, [row.job.0])?;
    Ok(true)
}

fn refuse_running(books: &Books<'_>, row: &JobRow) -> Result<(), Fault> {
    let Some(run) = row.run else {
        return Ok(());
    };
    match runs::living_pid(books, run)? {
        None => Ok(()),
        Some(pid) => Err(Fault::Answer(LedgerError::JobRunning {
            output: row.output.clone(),
            pid,
        })),
    }
}

fn read_job(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        job: JobId(row.get(0)?),
        output: row.get(1)?,
        fingerprint: row.get(2)?,
        run: row.get::<_, Option<i64>>(3)?.map(RunId),
        finished: row.get(4)?,
    })
}
