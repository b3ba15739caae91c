//! Monitors: what audits have shown about a certificate so far.
//!
//! The books keep a monitor's state as text, without knowing what it means: whoever books an
//! audit brings along what makes the next state of the last one. It is applied inside the audit's
//! own transaction, so that no audit is counted twice or lost, whichever process books it.

use std::fmt;
use std::sync::Arc;

use domain::TaskName;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::{Fault, LedgerError};
use crate::ids::Timestamp;
use crate::report::name;
use crate::writer::Books;

const ONE: &str = "
    SELECT certificate, task, opened_at, state, revoked_at FROM monitors WHERE certificate = ?1";
const ALL: &str = "
    SELECT certificate, task, opened_at, state, revoked_at FROM monitors
    ORDER BY opened_at, certificate";
const OPEN: &str = "
    INSERT INTO monitors (certificate, task, opened_at, state) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (certificate) DO NOTHING";
const ADVANCE: &str = "
    UPDATE monitors SET state = ?2, revoked_at = COALESCE(revoked_at, ?3) WHERE certificate = ?1";

/// A monitor that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMonitor {
    /// The certificate that it watches.
    pub certificate: String,
    /// The certificate's task.
    pub task: TaskName,
    /// Another certificate of the task that stands beside it. What waits to be audited under any
    /// other is given up.
    pub beside: Option<String>,
    /// What is known before the first audit.
    pub state: String,
}

/// A monitor as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitored {
    /// The certificate that it watches.
    pub certificate: String,
    /// The certificate's task.
    pub task: TaskName,
    /// When it began.
    pub opened_at: Timestamp,
    /// What is known so far.
    pub state: String,
    /// When it revoked the certificate, if it did.
    pub revoked_at: Option<Timestamp>,
}

/// What an audit has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The probability with which the answer was chosen.
    pub probability: f64,
    /// The lowest with which any answer could be chosen at that time.
    pub probability_min: f64,
    /// Whether the answer was another than the auditor's.
    pub wrong: bool,
}

/// What a monitor is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// What an audit has shown.
    Audit {
        /// Its finding.
        finding: Finding,
        /// The answer that was audited.
        answer: String,
        /// The auditor's.
        reference: String,
    },
    /// A request that no threshold let be kept; whoever had the last word answered this.
    PassedOn {
        /// That answer.
        answer: String,
        /// The lowest probability with which a kept answer could be chosen to be audited.
        probability_min: f64,
    },
}

/// A request that was passed on, which its certificate's monitor shall hear of.
#[derive(Clone, Debug)]
pub struct PassedOn {
    /// The certificate by which it was passed on.
    pub certificate: String,
    /// What whoever had the last word answered.
    pub answer: String,
    /// The lowest probability with which a kept answer could be chosen to be audited.
    pub probability_min: f64,
    /// What makes the monitor's next state.
    pub advance: Advance,
}

/// The next state of a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// What is known now.
    pub state: String,
    /// Whether the certificate is revoked.
    pub revoked: bool,
}

/// Makes the next state of the last one and what was observed, or says what is wrong with it. It
/// may be called more than once for one observation, and must give the same each time.
#[derive(Clone)]
pub struct Advance(Arc<Rule>);

type Rule = dyn Fn(&str, &Observed) -> Result<Advanced, String> + Send + Sync;

impl Advance {
    /// By this rule.
    pub fn new(
        rule: impl Fn(&str, &Observed) -> Result<Advanced, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(rule))
    }
}

impl fmt::Debug for Advance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Advance")
    }
}

/// The monitor of a certificate; it begins now if there is none.
pub(crate) fn open(books: &Books<'_>, new: &NewMonitor, at: Timestamp) -> Result<Monitored, Fault> {
    let NewMonitor {
        certificate,
        task,
        state,
        beside: _,
    } = new;
    let row = params![certificate, task.as_str(), at.unix_ms(), state];
    books.execute(OPEN, row)?;
    Ok(books.query_row(ONE, [certificate], read)?)
}

/// Lets a certificate's monitor, if it has one, know of a request that was passed on.
pub(crate) fn passed_on(books: &Books<'_>, passed: &PassedOn, at: Timestamp) -> Result<(), Fault> {
    if one(books.connection, &passed.certificate)?.is_some() {
        let observed = Observed::PassedOn {
            answer: passed.answer.clone(),
            probability_min: passed.probability_min,
        };
        advance(books, &passed.certificate, (&observed, &passed.advance), at)?;
    }
    Ok(())
}

/// Takes in what was observed and gives back the monitor as it then stands.
pub(crate) fn advance(
    books: &Books<'_>,
    certificate: &str,
    (observed, Advance(rule)): (&Observed, &Advance),
    at: Timestamp,
) -> Result<Monitored, Fault> {
    let monitored = books.query_row(ONE, [certificate], read)?;
    let next = rule(&monitored.state, observed).map_err(|fault| {
        Fault::Answer(LedgerError::Invalid(format!(
            "the monitor of certificate {certificate}: {fault}"
        )))
    })?;
    let revoked_at = next.revoked.then_some(at.unix_ms());
    books.execute(ADVANCE, params![certificate, next.state, revoked_at])?;
    Ok(books.query_row(ONE, [certificate], read)?)
}

/// The monitor of a certificate, if there is one.
pub(crate) fn one(
    connection: &Connection,
    certificate: &str,
) -> rusqlite::Result<Option<Monitored>> {
    connection
        .prepare_cached(ONE)?
        .query_row([certificate], read)
        .optional()
}

/// All monitors, in the order in which they began.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Monitored>> {
    connection
        .prepare_cached(ALL)?
        .query_map([], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Monitored> {
    let revoked_at: Option<i64> = row.get(4)?;
    Ok(Monitored {
        certificate: row.get(0)?,
        task: name(row, 1, TaskName::new)?,
        opened_at: Timestamp::from_unix_ms(row.get(2)?),
        state: row.get(3)?,
        revoked_at: revoked_at.map(Timestamp::from_unix_ms),
    })
}
