//! Runs: which process works on the books, and whether it still lives.
//!
//! Each open ledger is a run. It holds an operating-system lock on a file of its own beside the
//! database for as long as it lives; the system lets go of it when the process ends, however it
//! ends. So a dead run is known for certain, also where process ids are used again or belong to
//! another container.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use domain::Picodollars;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use uuid::Uuid;

use crate::error::{Fault, LedgerError};
use crate::ids::{AttemptId, RunId, Timestamp};
use crate::resolutions::{self, End};
use crate::total::Total;
use crate::writer::Books;

const BEGIN: &str = "INSERT INTO runs (token, pid) VALUES (?1, ?2)";
const END_OWN: &str = "
    UPDATE runs SET ended = 1
    WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM open_holds WHERE run = ?1)";
const END_DEAD: &str = "UPDATE runs SET ended = 1 WHERE id = ?1";
const OTHERS: &str = "SELECT id, token, pid FROM runs WHERE ended = 0 AND id <> ?1";
const ONE: &str = "SELECT token, pid FROM runs WHERE id = ?1 AND ended = 0";
const ORPHANS: &str = "
    SELECT o.attempt, a.worst_case FROM open_holds o JOIN attempts a ON a.id = o.attempt
    WHERE o.run = ?1";

/// What dead runs left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Attempts that were under way when their process died.
    pub attempts: u64,
    /// Their worst cases together, now kept.
    pub kept: Total,
}

/// This ledger's own run; it lives as long as the lock.
pub(crate) struct Run {
    id: RunId,
    lock: File,
    lock_path: PathBuf,
}

impl Run {
    /// Locks first and enters itself then, so that a run in the books is alive or dead, and
    /// never about to live.
    pub(crate) fn begin(connection: &mut Connection, path: &Path) -> Result<Self, Fault> {
        let token = Uuid::now_v7().to_string();
        let lock_path = lock_path(path, &token);
        let lock = File::create_new(&lock_path)?;
        lock.try_lock().map_err(|error| LedgerError::Unfit {
            path: path.to_owned(),
            reason: format!("its file system can't lock files ({error}); put it on a local disk"),
        })?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(BEGIN, params![token, std::process::id()])?;
        let id = RunId(transaction.last_insert_rowid());
        transaction.commit()?;
        Ok(Self {
            id,
            lock,
            lock_path,
        })
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// Lets go of the lock of a run that has ended.
    pub(crate) fn remove_lock(self) -> Result<(), Fault> {
        std::fs::remove_file(&self.lock_path)?;
        drop(self.lock);
        Ok(())
    }
}

/// Ends this run in the books. It gives back `false` where holds are still in somebody's hands:
/// then the run stays, is found dead later, and its holds are adopted.
pub(crate) fn end(books: &Books<'_>) -> Result<bool, Fault> {
    Ok(books.execute(END_OWN, [books.run.0])? == 1)
}

/// The processes of other runs that live.
pub(crate) fn other_pids(books: &Books<'_>) -> Result<Vec<u32>, Fault> {
    let mut pids = Vec::new();
    for (_, token, pid) in others(books)? {
        if is_alive(books.path, &token)? {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The process of a run, if that lives.
pub(crate) fn living_pid(books: &Books<'_>, run: RunId) -> Result<Option<u32>, Fault> {
    if run == books.run {
        return Ok(Some(std::process::id()));
    }
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?));
    match books.query_row(ONE, [run.0], read).optional()? {
        Some((token, pid)) if is_alive(books.path, &token)? => Ok(Some(pid)),
        _ => Ok(None),
    }
}

/// Keeps the holds of all dead runs at their worst cases.
pub(crate) fn adopt_orphans(books: &Books<'_>, at: Timestamp) -> Result<Adopted, Fault> {
    let mut adopted = Adopted::default();
    for (run, token, _) in others(books)? {
        if is_alive(books.path, &token)? {
            continue;
        }
        let orphans = books.query_all(ORPHANS, [run.0], |row| {
            let worst_case = Picodollars::new(row.get(1)?);
            Ok((AttemptId::from_bytes(row.get(0)?), worst_case))
        })?;
        for (attempt, worst_case) in orphans {
            resolutions::book(books, attempt, End::Keep, at)?;
            adopted.attempts += 1;
            adopted.kept += Total::from(worst_case);
        }
        books.execute(END_DEAD, [run.0])?;
        remove_if_there(&lock_path(books.path, &token))?;
    }
    Ok(adopted)
}

fn others(books: &Books<'_>) -> Result<Vec<(RunId, String, u32)>, Fault> {
    let read = |row: &rusqlite::Row<'_>| Ok((RunId(row.get(0)?), row.get(1)?, row.get(2)?));
    Ok(books.query_all(OTHERS, [books.run.0], read)?)
}

/// Whether a run's lock is held. Asked only inside a writing transaction: the question takes the
/// lock for an instant, and must not be mistaken for life by another process that asks.
fn is_alive(path: &Path, token: &str) -> Result<bool, Fault> {
    let lock = match File::open(lock_path(path, token)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn remove_if_there(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn lock_path(path: &Path, token: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-run-");
    name.push(token);
    PathBuf::from(name)
}
