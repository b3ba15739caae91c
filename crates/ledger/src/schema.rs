//! The tables, and opening a file that has them.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

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

/// Each step brings the schema from its index to the next version; a step that was ever released
/// is never changed.
const MIGRATIONS: &[&str] = &[FIRST, RECORDS, AUDITS, LESSONS, KEPT];

/// `attempts`, `debits`, `entries` and `decisions` are written once. `open_holds` and `balances`
/// are sums over them, kept so that a hold costs the same however long the books are;
/// [`crate::Reader::verify`] adds them up again.
///
/// What every request writes is checked with `OR`: for `IN` with three values SQLite builds a table
/// of them at each insert.
const FIRST: &str = "
    CREATE TABLE runs (
        id    INTEGER PRIMARY KEY,
        token TEXT NOT NULL UNIQUE,
        pid   INTEGER NOT NULL,
        ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1))
    ) STRICT;
    CREATE INDEX runs_not_ended ON runs (id) WHERE ended = 0;

    CREATE TABLE attempts (
        id         BLOB PRIMARY KEY CHECK (length(id) = 16),
        run        INTEGER NOT NULL REFERENCES runs,
        request    TEXT NOT NULL,
        task       TEXT NOT NULL,
        tier       TEXT NOT NULL,
        model      TEXT NOT NULL,
        worst_case INTEGER NOT NULL CHECK (worst_case >= 0),
        held_at    INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX attempts_by_request ON attempts (request);
    CREATE INDEX attempts_by_time ON attempts (held_at);

    CREATE TABLE open_holds (
        attempt BLOB PRIMARY KEY REFERENCES attempts,
        run     INTEGER NOT NULL REFERENCES runs
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE entries (
        attempt              BLOB NOT NULL REFERENCES attempts,
        kind                 TEXT NOT NULL CHECK (kind = 'settle' OR kind = 'release' OR kind = 'keep'),
        at                   INTEGER NOT NULL,
        cost                 INTEGER CHECK (cost >= 0),
        prompt_tokens        INTEGER,
        cached_prompt_tokens INTEGER,
        completion_tokens    INTEGER,
        PRIMARY KEY (attempt, kind),
        CHECK ((kind = 'settle') = (cost IS NOT NULL))
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE balances (
        id           INTEGER PRIMARY KEY,
        budget       TEXT NOT NULL,
        window_start INTEGER NOT NULL,
        settled      INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
        held         INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
        kept         INTEGER NOT NULL DEFAULT 0 CHECK (kept >= 0),
        UNIQUE (budget, window_start)
    ) STRICT;

    CREATE TABLE debits (
        attempt BLOB NOT NULL REFERENCES attempts,
        balance INTEGER NOT NULL REFERENCES balances,
        PRIMARY KEY (attempt, balance)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE decisions (
        request              TEXT PRIMARY KEY,
        run                  INTEGER NOT NULL REFERENCES runs,
        at                   INTEGER NOT NULL,
        task                 TEXT NOT NULL,
        verdict              TEXT NOT NULL CHECK (verdict = 'answered' OR verdict = 'review' OR verdict = 'failed'),
        tier                 TEXT,
        confidence           REAL,
        escalations          INTEGER NOT NULL,
        fallbacks            INTEGER NOT NULL,
        decision             TEXT NOT NULL,
        prompt_bytes         INTEGER NOT NULL,
        counterfactual       INTEGER CHECK (counterfactual >= 0),
        counterfactual_basis TEXT CHECK (counterfactual_basis IN ('measured', 'estimated')),
        CHECK ((verdict = 'answered') = (tier IS NOT NULL)),
        CHECK ((counterfactual IS NULL) = (counterfactual_basis IS NULL))
    ) STRICT;
    CREATE INDEX decisions_by_time ON decisions (at);

    CREATE TABLE jobs (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        output      TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL,
        task        TEXT NOT NULL,
        opened_at   INTEGER NOT NULL,
        finished_at INTEGER,
        run         INTEGER REFERENCES runs
    ) STRICT;

    CREATE TABLE items (
        job       INTEGER NOT NULL REFERENCES jobs,
        ordinal   INTEGER NOT NULL CHECK (ordinal >= 0),
        document  TEXT NOT NULL,
        request   TEXT NOT NULL,
        at        INTEGER NOT NULL,
        status    TEXT NOT NULL CHECK (status IN ('answered', 'review', 'failed')),
        retryable INTEGER NOT NULL CHECK (retryable IN (0, 1)),
        result    TEXT NOT NULL,
        PRIMARY KEY (job, ordinal),
        CHECK (retryable = 0 OR status = 'failed')
    ) STRICT;

    -- An attempt has at most one entry beside a keep.
    CREATE VIEW attempt_states AS
    SELECT a.id, a.request, a.task, a.tier, a.model, a.worst_case, a.held_at,
           e.cost, e.prompt_tokens, e.cached_prompt_tokens, e.completion_tokens,
           CASE WHEN e.kind = 'settle' THEN 'settled'
                WHEN e.kind = 'release' THEN 'released'
                WHEN EXISTS (SELECT 1 FROM open_holds o WHERE o.attempt = a.id) THEN 'held'
                ELSE 'unknown' END AS state
    FROM attempts a
    LEFT JOIN entries e ON e.attempt = a.id AND e.kind <> 'keep';

    CREATE TRIGGER attempts_stay BEFORE UPDATE ON attempts
    BEGIN SELECT RAISE(ABORT, 'an attempt is never changed'); END;
    CREATE TRIGGER attempts_remain BEFORE DELETE ON attempts
    BEGIN SELECT RAISE(ABORT, 'an attempt is never deleted'); END;
    CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
    CREATE TRIGGER entries_remain BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never deleted'); END;
    CREATE TRIGGER debits_stay BEFORE UPDATE ON debits
    BEGIN SELECT RAISE(ABORT, 'a debit is never changed'); END;
    CREATE TRIGGER debits_remain BEFORE DELETE ON debits
    BEGIN SELECT RAISE(ABORT, 'a debit is never deleted'); END;
    CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
    BEGIN SELECT RAISE(ABORT, 'a decision is never changed'); END;
    CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
    BEGIN SELECT RAISE(ABORT, 'a decision is never deleted'); END;
";

/// What alone is deleted again.
const RECORDS: &str = "
    CREATE TABLE records (
        request    TEXT PRIMARY KEY REFERENCES decisions,
        task       TEXT NOT NULL,
        at         INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        text       TEXT NOT NULL,
        content    TEXT NOT NULL,
        gold       TEXT,
        gold_at    INTEGER,
        CHECK ((gold IS NULL) = (gold_at IS NULL))
    ) STRICT;
    CREATE INDEX records_by_time ON records (task, at, request);
    CREATE INDEX records_by_expiry ON records (expires_at);
";

/// The attempts of an audit are booked under a request of their own, `ask`: so what watching
/// costs can be told from what answering does.
const AUDITS: &str = "
    CREATE TABLE monitors (
        certificate TEXT PRIMARY KEY,
        task        TEXT NOT NULL,
        opened_at   INTEGER NOT NULL,
        state       TEXT NOT NULL,
        revoked_at  INTEGER
    ) STRICT;

    CREATE TABLE audits (
        request         TEXT PRIMARY KEY REFERENCES decisions,
        ask             TEXT NOT NULL UNIQUE,
        certificate     TEXT NOT NULL REFERENCES monitors,
        task            TEXT NOT NULL,
        tier            TEXT NOT NULL,
        answer          TEXT NOT NULL,
        confidence      REAL NOT NULL,
        threshold       REAL NOT NULL,
        probability     REAL NOT NULL,
        probability_min REAL NOT NULL,
        auditor         TEXT,
        chosen_at       INTEGER NOT NULL,
        expires_at      INTEGER NOT NULL,
        state           TEXT NOT NULL DEFAULT 'pending'
                        CHECK (state IN ('pending', 'done', 'lapsed')),
        run             INTEGER REFERENCES runs,
        tries           INTEGER NOT NULL DEFAULT 0,
        not_before      INTEGER NOT NULL DEFAULT 0,
        text            TEXT,
        reference       TEXT,
        wrong           INTEGER CHECK (wrong IN (0, 1)),
        done_at         INTEGER,
        CHECK (0 < probability_min AND probability_min <= probability AND probability <= 1),
        CHECK ((state = 'pending') = (text IS NOT NULL)),
        CHECK ((state = 'done') = (reference IS NOT NULL)),
        CHECK ((reference IS NULL) = (wrong IS NULL) AND (wrong IS NULL) = (done_at IS NULL))
    ) STRICT;
    CREATE INDEX audits_pending ON audits (task, not_before) WHERE state = 'pending';
    CREATE INDEX audits_by_certificate ON audits (certificate, state);

    DROP VIEW attempt_states;
    CREATE VIEW attempt_states AS
    SELECT a.id, a.request, a.task, a.tier, a.model, a.worst_case, a.held_at,
           e.cost, e.prompt_tokens, e.cached_prompt_tokens, e.completion_tokens,
           CASE WHEN e.kind = 'settle' THEN 'settled'
                WHEN e.kind = 'release' THEN 'released'
                WHEN EXISTS (SELECT 1 FROM open_holds o WHERE o.attempt = a.id) THEN 'held'
                ELSE 'unknown' END AS state,
           EXISTS (SELECT 1 FROM audits u WHERE u.ask = a.request) AS is_audit
    FROM attempts a
    LEFT JOIN entries e ON e.attempt = a.id AND e.kind <> 'keep';
";

/// What students were taught.
const LESSONS: &str = "
    CREATE TABLE lessons (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        task         TEXT NOT NULL,
        at           INTEGER NOT NULL,
        labels       INTEGER NOT NULL,
        taught       INTEGER NOT NULL,
        proof        INTEGER NOT NULL,
        share_before REAL NOT NULL,
        share_after  REAL NOT NULL,
        seconds      REAL NOT NULL,
        student      TEXT,
        certificate  TEXT,
        CHECK ((student IS NULL) = (certificate IS NULL))
    ) STRICT;
";

/// What clients have asked to be kept, and how much each owner keeps.
const KEPT: &str = "
    CREATE TABLE kept (
        kind       TEXT NOT NULL CHECK (kind IN ('response', 'file', 'batch')),
        id         TEXT NOT NULL,
        owner      TEXT NOT NULL,
        at         INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        size       INTEGER NOT NULL CHECK (size >= 0),
        body       TEXT NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT;
    CREATE INDEX kept_by_owner ON kept (owner, kind, at, id);
    CREATE INDEX kept_by_expiry ON kept (expires_at);

    CREATE TABLE kept_sizes (
        owner TEXT PRIMARY KEY,
        size  INTEGER NOT NULL CHECK (size >= 0)
    ) STRICT;
    CREATE TRIGGER kept_grows AFTER INSERT ON kept BEGIN
        INSERT INTO kept_sizes (owner, size) VALUES (new.owner, new.size)
        ON CONFLICT (owner) DO UPDATE SET size = size + excluded.size;
    END;
    CREATE TRIGGER kept_changes AFTER UPDATE OF size ON kept BEGIN
        UPDATE kept_sizes SET size = size - old.size + new.size WHERE owner = new.owner;
    END;
    CREATE TRIGGER kept_shrinks AFTER DELETE ON kept BEGIN
        UPDATE kept_sizes SET size = size - old.size WHERE owner = old.owner;
    END;
";

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
