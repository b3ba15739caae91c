//! Audits: accepted answers that are asked again, to see whether a certificate still holds.
//!
//! An audit is chosen with the decision, in its transaction, with the probability that it was
//! chosen with. Until its end it holds the text; then the text is deleted and the finding stays.
//! It is claimed by a run that asks its tier, and free again when that run is dead.

mod reading;

use std::fmt;

use domain::{TaskName, TierName};
use rusqlite::{OptionalExtension as _, Row, params};

pub use self::reading::{AuditLine, AuditTally};
pub(crate) use self::reading::{awaiting_person, findings, line, tally};

use crate::decisions::{self, UnpaidAttempt};
use crate::error::{Fault, LedgerError};
use crate::ids::{RequestId, RunId, Timestamp};
use crate::monitors::{self, Advance, Finding, Monitored, Observed};
use crate::report::name;
use crate::resolutions::{self, Resolution};
use crate::runs;
use crate::writer::Books;

const CHOOSE: &str = "
    INSERT INTO audits
        (request, ask, certificate, task, tier, answer, confidence, threshold, probability,
         probability_min, auditor, chosen_at, expires_at, text)
    VALUES (?1, 'audit-' || ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT (request) DO NOTHING";
const CLAIMED_BY: &str = "
    SELECT DISTINCT run FROM audits WHERE state = 'pending' AND run IS NOT NULL AND run <> ?1";
const FREE: &str = "UPDATE audits SET run = NULL WHERE state = 'pending' AND run = ?1";
const DUE: &str = "
    SELECT request, ask, task, auditor, text, tries FROM audits
    WHERE state = 'pending' AND auditor IS NOT NULL AND run IS NULL AND not_before <= ?1
      AND task = ?2
    ORDER BY not_before, chosen_at, request LIMIT ?3";
const CLAIM: &str = "UPDATE audits SET run = ?2 WHERE request = ?1";
const PENDING: &str = "
    SELECT certificate, task, answer, probability, probability_min, auditor FROM audits
    WHERE request = ?1 AND state = 'pending'";
const END: &str = "
    UPDATE audits SET state = 'done', run = NULL, text = NULL, reference = ?2, wrong = ?3, done_at = ?4
    WHERE request = ?1";
const PUT_OFF: &str = "
    UPDATE audits SET run = NULL, tries = tries + 1, not_before = ?2 WHERE request = ?1";
const HAND_OVER: &str = "
    UPDATE audits SET run = NULL, tries = tries + 1, auditor = NULL WHERE request = ?1";
const TASK_OF: &str = "SELECT task, ask FROM audits WHERE request = ?1";
const LAPSE: &str = "
    UPDATE audits SET state = 'lapsed', run = NULL, text = NULL WHERE state = 'pending' AND ";

/// An audit that is chosen together with its decision. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct NewAudit {
    /// The certificate that let the answer be accepted; it has a monitor.
    pub certificate: String,
    /// The tier that gave it.
    pub tier: TierName,
    /// The answer, in a form in which two are equal where they say the same.
    pub answer: String,
    /// How sure it was.
    pub confidence: f64,
    /// From which confidence it is accepted.
    pub threshold: f64,
    /// The probability with which it was chosen, above 0 and at most 1.
    pub probability: f64,
    /// The lowest with which any answer could be chosen.
    pub probability_min: f64,
    /// The tier that is asked; `None` for a person.
    pub auditor: Option<TierName>,
    /// What was asked.
    pub text: String,
    /// When the text is to be deleted, whether the audit is done or not.
    pub expires_at: Timestamp,
}

impl fmt::Debug for NewAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit of {} bytes by {:?}",
            self.text.len(),
            self.auditor
        )
    }
}

/// An audit that this run has claimed. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct DueAudit {
    /// The request whose answer is audited.
    pub request: RequestId,
    /// The request under which its attempts are to be booked.
    pub ask: RequestId,
    /// The task.
    pub task: TaskName,
    /// The tier to ask.
    pub auditor: TierName,
    /// What to ask it.
    pub text: String,
    /// How often that was tried in vain.
    pub tries: u32,
}

impl fmt::Debug for DueAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit of request {} by {}", self.request, self.auditor)
    }
}

/// What came of asking the auditor.
#[derive(Debug)]
pub struct AuditEnd {
    /// The request whose answer is audited.
    pub request: RequestId,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The ends of the audit's paid attempts.
    pub resolutions: Vec<Resolution>,
    /// Its attempts at tiers that bill nothing.
    pub unpaid: Vec<UnpaidAttempt>,
    /// The time now.
    pub at: Timestamp,
}

/// What came of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// The auditor answers this, in the form of [`NewAudit::answer`].
    Answered(String),
    /// It didn't answer; it is to be asked again from this time on.
    PutOff(Timestamp),
    /// It doesn't answer; a person shall.
    HandedOver,
}

/// Books the choice of a request whose decision is booked in the same transaction.
pub(crate) fn choose(
    books: &Books<'_>,
    audit: &NewAudit,
    (request, task, at): (&RequestId, &TaskName, Timestamp),
) -> Result<(), Fault> {
    books.execute(
        CHOOSE,
        params![
            request.0,
            audit.certificate,
            task.as_str(),
            audit.tier.as_str(),
            audit.answer,
            audit.confidence,
            audit.threshold,
            audit.probability,
            audit.probability_min,
            audit.auditor.as_ref().map(TierName::as_str),
            at.unix_ms(),
            audit.expires_at.unix_ms(),
            audit.text,
        ],
    )?;
    Ok(())
}

/// Claims audits of these tasks that a tier is to be asked for.
pub(crate) fn claim(
    books: &Books<'_>,
    tasks: &[TaskName],
    at: Timestamp,
    most: u32,
) -> Result<Vec<DueAudit>, Fault> {
    for run in books.query_all(CLAIMED_BY, [books.run.0], |row| Ok(RunId(row.get(0)?)))? {
        if runs::living_pid(books, run)?.is_none() {
            books.execute(FREE, [run.0])?;
        }
    }
    let mut claimed = Vec::new();
    for task in tasks {
        let most = most.saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
        let due = params![at.unix_ms(), task.as_str(), most];
        claimed.extend(books.query_all(DUE, due, read_due)?);
    }
    for audit in &claimed {
        books.execute(CLAIM, params![audit.request.0, books.run.0])?;
    }
    Ok(claimed)
}

/// Lets go of what this run has claimed.
pub(crate) fn let_go(books: &Books<'_>) -> Result<(), Fault> {
    books.execute(FREE, [books.run.0])?;
    Ok(())
}

/// Books what came of asking an auditor; the monitor as it then stands, where that has moved it.
/// Where another process was faster, the money alone is booked.
pub(crate) fn end(
    books: &Books<'_>,
    end: &AuditEnd,
    advance: &Advance,
) -> Result<Option<Monitored>, Fault> {
    let request = &end.request;
    let names = books.query_row(TASK_OF, [&request.0], |row| {
        Ok((name(row, 0, TaskName::new)?, RequestId(row.get(1)?)))
    });
    let (task, ask) = names.optional()?.ok_or_else(|| unknown(request))?;
    for resolution in &end.resolutions {
        resolutions::book(books, resolution.attempt(), resolution.end(), end.at)?;
    }
    for unpaid in &end.unpaid {
        decisions::book_unpaid(books, (&ask, &task, end.at), unpaid)?;
    }
    match &end.outcome {
        AuditOutcome::Answered(reference) => {
            return answered(books, request, reference, (advance, end.at));
        }
        AuditOutcome::PutOff(until) => {
            books.execute(PUT_OFF, params![request.0, until.unix_ms()])?;
        }
        AuditOutcome::HandedOver => {
            books.execute(HAND_OVER, [&request.0])?;
        }
    }
    Ok(None)
}

/// Books a person's answer where one waits for it; whether there was such an audit, and the
/// monitor as it then stands.
pub(crate) fn answered_by_person(
    books: &Books<'_>,
    (task, request): (&TaskName, &RequestId),
    reference: &str,
    (advance, at): (&Advance, Timestamp),
) -> Result<Option<Monitored>, Fault> {
    match pending(books, request)? {
        Some(audit) if audit.task == *task && audit.auditor.is_none() => {
            answered(books, request, reference, (advance, at))
        }
        _ => Ok(None),
    }
}

fn answered(
    books: &Books<'_>,
    request: &RequestId,
    reference: &str,
    (advance, at): (&Advance, Timestamp),
) -> Result<Option<Monitored>, Fault> {
    let Some(audit) = pending(books, request)? else {
        return Ok(None);
    };
    let finding = Finding {
        wrong: audit.answer != reference,
        ..audit.finding
    };
    let end = params![request.0, reference, finding.wrong, at.unix_ms()];
    books.execute(END, end)?;
    let observed = Observed::Audit {
        finding,
        answer: audit.answer,
        reference: reference.to_owned(),
    };
    monitors::advance(books, &audit.certificate, (&observed, advance), at).map(Some)
}

/// Gives up what waits and was to be deleted by a moment.
pub(crate) fn lapse_expired(books: &Books<'_>, at: Timestamp) -> Result<u64, Fault> {
    Ok(books.execute(&format!("{LAPSE} expires_at <= ?1"), [at.unix_ms()])? as u64)
}

/// Gives up what waits and was chosen before a moment.
pub(crate) fn lapse_before(
    books: &Books<'_>,
    task: &TaskName,
    at: Timestamp,
) -> Result<u64, Fault> {
    let sql = format!("{LAPSE} task = ?1 AND chosen_at < ?2");
    Ok(books.execute(&sql, params![task.as_str(), at.unix_ms()])? as u64)
}

/// Gives up what waits of a request.
pub(crate) fn lapse_one(
    books: &Books<'_>,
    task: &TaskName,
    request: &RequestId,
) -> Result<u64, Fault> {
    let sql = format!("{LAPSE} task = ?1 AND request = ?2");
    Ok(books.execute(&sql, params![task.as_str(), request.0])? as u64)
}

/// Gives up what waits for another certificate of the task than this one and that beside it.
pub(crate) fn lapse_others(
    books: &Books<'_>,
    task: &TaskName,
    (certificate, beside): (&str, Option<&str>),
) -> Result<u64, Fault> {
    let sql = format!("{LAPSE} task = ?1 AND certificate <> ?2 AND certificate IS NOT ?3");
    Ok(books.execute(&sql, params![task.as_str(), certificate, beside])? as u64)
}

fn unknown(request: &RequestId) -> Fault {
    Fault::Answer(LedgerError::Unknown(format!(
        "an audit of request {request}"
    )))
}

struct Pending {
    certificate: String,
    task: TaskName,
    answer: String,
    /// Wrong or not is not known yet.
    finding: Finding,
    auditor: Option<String>,
}

fn pending(books: &Books<'_>, request: &RequestId) -> Result<Option<Pending>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(Pending {
            certificate: row.get(0)?,
            task: name(row, 1, TaskName::new)?,
            answer: row.get(2)?,
            finding: Finding {
                probability: row.get(3)?,
                probability_min: row.get(4)?,
                wrong: false,
            },
            auditor: row.get(5)?,
        })
    };
    Ok(books.query_row(PENDING, [&request.0], read).optional()?)
}

fn read_due(row: &Row<'_>) -> rusqlite::Result<DueAudit> {
    Ok(DueAudit {
        request: RequestId(row.get(0)?),
        ask: RequestId(row.get(1)?),
        task: name(row, 2, TaskName::new)?,
        auditor: name(row, 3, TierName::new)?,
        text: row.get(4)?,
        tries: row.get(5)?,
    })
}
