//! The tables, as they came to be.

/// Each step brings the schema from its index to the next version; a step that was ever released
/// is never changed.
pub(super) const MIGRATIONS: &[&str] = &[FIRST, RECORDS, AUDITS, LESSONS, KEPT];

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
