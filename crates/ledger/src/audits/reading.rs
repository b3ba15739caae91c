//! What audits have come to.

use std::fmt;

use domain::{TaskName, TierName};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::ids::RequestId;
use crate::monitors::Finding;
use crate::report::name;
use crate::total::Total;

const TALLY: &str = "
    SELECT COUNT(*) FILTER (WHERE state = 'pending' AND auditor IS NOT NULL),
           COUNT(*) FILTER (WHERE state = 'pending' AND auditor IS NULL),
           COUNT(*) FILTER (WHERE state = 'done'), COALESCE(SUM(wrong), 0),
           COUNT(*) FILTER (WHERE state = 'lapsed')
    FROM audits WHERE certificate = ?1";
const COSTS: &str = "
    SELECT CASE s.state WHEN 'settled' THEN s.cost ELSE s.worst_case END
    FROM audits a JOIN attempt_states s ON s.request = a.ask
    WHERE a.certificate = ?1 AND s.state IN ('settled', 'unknown')";
const FINDINGS: &str = "
    SELECT probability, probability_min, wrong FROM audits
    WHERE certificate = ?1 AND state = 'done' ORDER BY done_at, request";
const LINE: &str = "
    SELECT request, certificate, probability, auditor, text, reference, wrong FROM audits
    WHERE request = ?1";
const WAITING: &str = "
    SELECT request FROM audits
    WHERE task = ?1 AND state = 'pending' AND auditor IS NULL ORDER BY chosen_at, request";

/// How many audits of a certificate came to what, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditTally {
    /// Those that wait for a tier.
    pub due: u64,
    /// Those that wait for a person.
    pub awaiting_person: u64,
    /// Those that are done.
    pub done: u64,
    /// Of the done, those whose answer was another than the auditor's.
    pub wrong: u64,
    /// Those that were given up because their text's time was over, or were forgotten.
    pub lapsed: u64,
    /// What their attempts cost or may have cost.
    pub cost: Total,
}

/// An audit as it stands. Its `Debug` shows no text.
#[derive(Clone, PartialEq)]
pub struct AuditLine {
    /// The request.
    pub request: RequestId,
    /// The certificate.
    pub certificate: String,
    /// The probability with which it was chosen.
    pub probability: f64,
    /// The tier that is or was asked; `None` for a person.
    pub auditor: Option<TierName>,
    /// What was asked, while it waits.
    pub text: Option<String>,
    /// What the auditor answered.
    pub reference: Option<String>,
    /// Whether the answer was another, once it is done.
    pub wrong: Option<bool>,
}

impl fmt::Debug for AuditLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit of request {} by {:?}", self.request, self.auditor)
    }
}

/// How many audits of a certificate came to what.
pub(crate) fn tally(connection: &Connection, certificate: &str) -> rusqlite::Result<AuditTally> {
    let count = |row: &Row<'_>, index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    let mut costs = connection.prepare_cached(COSTS)?;
    let costs = costs.query_map([certificate], |row| row.get::<_, i64>(0))?;
    let cost = costs.map(|cost| Ok(Total(i128::from(cost?))));
    let cost = cost.sum::<rusqlite::Result<Total>>()?;
    connection
        .prepare_cached(TALLY)?
        .query_row([certificate], |row| {
            Ok(AuditTally {
                due: count(row, 0)?,
                awaiting_person: count(row, 1)?,
                done: count(row, 2)?,
                wrong: count(row, 3)?,
                lapsed: count(row, 4)?,
                cost,
            })
        })
}

/// What the audits of a certificate have shown, in the order of their ends.
pub(crate) fn findings(
    connection: &Connection,
    certificate: &str,
) -> rusqlite::Result<Vec<Finding>> {
    let read = |row: &Row<'_>| {
        Ok(Finding {
            probability: row.get(0)?,
            probability_min: row.get(1)?,
            wrong: row.get(2)?,
        })
    };
    let mut statement = connection.prepare_cached(FINDINGS)?;
    statement.query_map([certificate], read)?.collect()
}

/// The audit of a request, if it was chosen.
pub(crate) fn line(
    connection: &Connection,
    request: &RequestId,
) -> rusqlite::Result<Option<AuditLine>> {
    let read = |row: &Row<'_>| {
        let auditor: Option<String> = row.get(3)?;
        Ok(AuditLine {
            request: RequestId(row.get(0)?),
            certificate: row.get(1)?,
            probability: row.get(2)?,
            auditor: auditor.map(|_| name(row, 3, TierName::new)).transpose()?,
            text: row.get(4)?,
            reference: row.get(5)?,
            wrong: row.get(6)?,
        })
    };
    connection
        .prepare_cached(LINE)?
        .query_row([&request.0], read)
        .optional()
}

/// The requests of a task whose audits wait for a person, the longest first.
pub(crate) fn awaiting_person(
    connection: &Connection,
    task: &TaskName,
) -> rusqlite::Result<Vec<RequestId>> {
    connection
        .prepare_cached(WAITING)?
        .query_map([task.as_str()], |row| row.get(0).map(RequestId))?
        .collect()
}
