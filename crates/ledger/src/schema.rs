//! Opening a file that has our tables, or is to get them.

mod tables;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use self::tables::MIGRATIONS;
use crate::error::{Fault, LedgerError};

/// Marks the file as ours in its header: "Tier".
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"Tier");
/// How long a command waits for another process before it says so. A transaction takes
/// milliseconds, so whoever blocks for this long is stuck.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Between two tries where SQLite doesn't wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// More than the number of statements in this crate, so that none is parsed twice.
const STATEMENTS_KEPT: usize = 64;

const COUNT_OF_TABLES: &str = "SELECT COUNT(*) FROM sqlite_schema";

/// A connection that writes, on a file that has the newest schema.
pub(crate) fn open_for_writing(
    path: &Path,
    pages_max: Option<u32>,
) -> Result<Connection, LedgerError> {
    let open = || -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags)?;
        // Before anything is written: a file that isn't ours stays as it is.
        consistent_version(&connection, path)?;
        make_durable(&connection, path)?;
        if let Some(pages) = pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        migrate(&mut connection, path)?;
        Ok(connection)
    };
    open().map_err(|fault| fault.at(path))
}

/// A connection that can't write, on a file that has the newest schema.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, LedgerError> {
    let open = || -> Result<Connection, Fault> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let version = consistent_version(&connection, path)?;
        if version < MIGRATIONS.len() {
            return Err(unfit(
                path,
                "it has the schema of an earlier version; start this version once to bring it up to date",
            ));
        }
        Ok(connection)
    };
    open().map_err(|fault| fault.at(path))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Otherwise a query is planned anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// The version of the schema as one moment shows it: another process may be writing it.
fn consistent_version(connection: &Connection, path: &Path) -> Result<usize, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let version = schema_version(&transaction, path)?;
    transaction.commit()?;
    Ok(version)
}

/// The version of the schema in the file: 0 for a new file.
fn schema_version(connection: &Connection, path: &Path) -> Result<usize, Fault> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        let tables: i64 = connection.query_row(COUNT_OF_TABLES, [], |row| row.get(0))?;
        if application == 0 && version == 0 && tables == 0 {
            return Ok(0);
        }
        return Err(unfit(
            path,
            "it is a database of another program; name another file",
        ));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(unfit(
            path,
            &format!(
                "its schema has version {version} and this program knows {} at most; use a newer program",
                MIGRATIONS.len()
            ),
        )),
    }
}

fn make_durable(connection: &Connection, path: &Path) -> Result<(), Fault> {
    // Where another process opens the file at the same instant, SQLite doesn't wait by itself
    // while the journal is being switched over.
    let started = std::time::Instant::now();
    let mode = loop {
        let set = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match set {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && started.elapsed() < BUSY_WAIT =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            set => break set?,
        }
    };
    if mode != "wal" {
        return Err(unfit(
            path,
            "its file system can't hold a write-ahead log; put it on a local disk",
        ));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // What `fsync` leaves to the drive's own cache on macOS; nothing elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A text that is forgotten must not stay in the file's unused pages.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    if consistent_version(connection, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let version = schema_version(&transaction, path)?;
    for (step, version) in MIGRATIONS.iter().zip(1_i32..).skip(version) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()?;
    Ok(())
}

fn unfit(path: &Path, reason: &str) -> Fault {
    Fault::Answer(LedgerError::Unfit {
        path: path.to_owned(),
        reason: reason.to_owned(),
    })
}
