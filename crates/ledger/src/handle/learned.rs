//! What is learned of answers afterwards: from persons, from audits, and what students are taught.

use domain::TaskName;

use super::Ledger;
use crate::audits::{self, AuditEnd, DueAudit};
use crate::error::LedgerError;
use crate::ids::Timestamp;
use crate::lessons::{self, Lesson};
use crate::monitors::{self, Advance, Monitored, NewMonitor};
use crate::records::{self, Correction, Labelled};
use crate::resolutions::Resolution;

impl Ledger {
    /// Books the right answers that a person gave to requests of a task, in place of earlier ones.
    /// Where an audit waits for a person, it is done by it, and its monitor advances.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when a monitor can't take an audit in; and when the books can't
    /// be written. Then none of them is booked.
    pub async fn label(
        &self,
        task: TaskName,
        corrections: Vec<Correction>,
        (advance, at): (Advance, Timestamp),
    ) -> Result<Labelled, LedgerError> {
        self.call(
            (task, corrections, advance, at),
            |books, (task, corrections, advance, at)| {
                records::label(books, (task, corrections), (advance, *at))
            },
            |_, labelled| labelled,
        )
        .await
    }

    /// Books a lesson that a task's student was given.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn book_lesson(&self, task: TaskName, lesson: Lesson) -> Result<(), LedgerError> {
        self.call(
            (task, lesson),
            |books, (task, lesson)| lessons::book(books, task, lesson),
            |_, ()| (),
        )
        .await
    }

    /// The monitor of a certificate, begun now if there is none. What waited to be audited for an
    /// earlier certificate of the task is given up.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn open_monitor(
        &self,
        new: NewMonitor,
        at: Timestamp,
    ) -> Result<Monitored, LedgerError> {
        self.call(
            (new, at),
            |books, (new, at)| {
                let standing = (new.certificate.as_str(), new.beside.as_deref());
                audits::lapse_others(books, &new.task, standing)?;
                monitors::open(books, new, *at)
            },
            |_, monitored| monitored,
        )
        .await
    }

    /// The monitor of a certificate, if there is one.
    ///
    /// # Errors
    /// When the books can't be read.
    pub async fn monitor(&self, certificate: String) -> Result<Option<Monitored>, LedgerError> {
        self.call(
            certificate,
            |books, certificate| Ok(monitors::one(books.connection, certificate)?),
            |_, monitored| monitored,
        )
        .await
    }

    /// Claims at most so many audits of these tasks for which a tier is to be asked now. They
    /// stay claimed until [`Ledger::end_audit`], or until this ledger is closed or its process
    /// dead.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn claim_audits(
        &self,
        tasks: Vec<TaskName>,
        most: u32,
        at: Timestamp,
    ) -> Result<Vec<DueAudit>, LedgerError> {
        self.call(
            (tasks, most, at),
            |books, (tasks, most, at)| audits::claim(books, tasks, *at, *most),
            |_, due| due,
        )
        .await
    }

    /// Books what came of asking an auditor: its money, and with an answer the audit's end and
    /// its monitor's next state, all of it or nothing. Gives back the monitor as it then stands,
    /// if it has moved.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`] when there is no such audit, [`LedgerError::Invalid`] when the
    /// monitor can't take it in; and when the books can't be written. The attempts' resolutions
    /// are then booked alone, as if they had been dropped.
    pub async fn end_audit(
        &self,
        end: AuditEnd,
        advance: Advance,
    ) -> Result<Option<Monitored>, LedgerError> {
        self.call(
            (end, advance),
            |books, (end, advance)| audits::end(books, end, advance),
            |(end, _), moved| {
                end.resolutions.into_iter().for_each(Resolution::booked);
                moved
            },
        )
        .await
    }
}
