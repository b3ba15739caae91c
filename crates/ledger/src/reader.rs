//! Reading the books beside the writer.

use std::path::{Path, PathBuf};

use domain::{TaskName, TierName};
use rusqlite::Connection;

use crate::audits::{self, AuditLine, AuditTally};
use crate::budgets::{self, Balance};
use crate::error::{Fault, LedgerError};
use crate::ids::{JobId, RequestId};
use crate::items::{self, ItemCounts, JobResults};
use crate::keeping::{self, Kept, KeptKind, KeptPage};
use crate::lessons::{self, Lesson};
use crate::monitors::{self, Finding, Monitored};
use crate::records::{self, KeptRecord, RecordCounts, RecordQuery, Records};
use crate::report::{self, AttemptLine, SpendLine, TaskDecisions, TimeRange};
use crate::schema;
use crate::verify;

/// A read-only view of a ledger's file. Its methods block, and don't keep the writer waiting;
/// each shows what was durable when it began.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// A reader of this file, whether or not a process has it open for writing.
    ///
    /// # Errors
    /// [`LedgerError::Unfit`] when the file is no ledger, or one of an earlier or later schema;
    /// [`LedgerError::Storage`] when it isn't there or can't be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self {
            connection: schema::open_for_reading(path)?,
            path: path.to_owned(),
        })
    }

    /// What was spent, for each day (UTC), task and tier in which attempts were held.
    ///
    /// # Errors
    /// When the file can't be read; so for all methods.
    pub fn spend(&self, range: TimeRange) -> Result<Vec<SpendLine>, LedgerError> {
        self.read(|connection| report::spend(connection, range))
    }

    /// What was decided, for each task.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn decisions(&self, range: TimeRange) -> Result<Vec<TaskDecisions>, LedgerError> {
        self.read(|connection| report::decisions(connection, range))
    }

    /// All balances, by budget and window.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn balances(&self) -> Result<Vec<Balance>, LedgerError> {
        self.read(budgets::balances)
    }

    /// The attempts of a request in the order of their holds; none for a request that isn't
    /// there.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn attempts_of(&self, request: &RequestId) -> Result<Vec<AttemptLine>, LedgerError> {
        self.read(|connection| report::attempts_of(connection, request))
    }

    /// How many of a job's documents came to what.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn item_counts(&self, job: JobId) -> Result<ItemCounts, LedgerError> {
        self.read(|connection| items::counts(connection, job))
    }

    /// A job's results in the order of its input, over a connection of its own.
    ///
    /// # Errors
    /// When the file can't be opened again.
    pub fn job_results(&self, job: JobId) -> Result<JobResults, LedgerError> {
        let connection = schema::open_for_reading(&self.path)?;
        JobResults::new(connection, &self.path, job).map_err(|fault| fault.at(&self.path))
    }

    /// How many records a task keeps of a time.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn record_counts(
        &self,
        task: &TaskName,
        range: TimeRange,
    ) -> Result<RecordCounts, LedgerError> {
        self.read(|connection| records::counts(connection, task, range))
    }

    /// The records that are meant, over a connection of their own.
    ///
    /// # Errors
    /// When the file can't be opened again.
    pub fn records(&self, query: &RecordQuery) -> Result<Records, LedgerError> {
        let connection = schema::open_for_reading(&self.path)?;
        Records::new(connection, &self.path, query).map_err(|fault| fault.at(&self.path))
    }

    /// The record of a request, if it is kept.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn record(&self, request: &RequestId) -> Result<Option<KeptRecord>, LedgerError> {
        self.read(|connection| records::one(connection, request))
    }

    /// What an owner keeps under a name, if there is anything.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn kept(&self, kind: KeptKind, id: &str, owner: &str) -> Result<Option<Kept>, LedgerError> {
        self.read(|connection| keeping::one(connection, (kind, id, owner)))
    }

    /// A part of the list of what an owner keeps, by the time of its coming.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn kept_page(&self, kind: KeptKind, page: &KeptPage) -> Result<Vec<Kept>, LedgerError> {
        self.read(|connection| keeping::list(connection, kind, page))
    }

    /// All that is kept of a kind, whoever's it is, in the order of its coming.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn all_kept(&self, kind: KeptKind) -> Result<Vec<Kept>, LedgerError> {
        self.read(|connection| keeping::all(connection, kind))
    }

    /// The monitor of a certificate, if there is one.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn monitor(&self, certificate: &str) -> Result<Option<Monitored>, LedgerError> {
        self.read(|connection| monitors::one(connection, certificate))
    }

    /// All monitors, in the order in which they began.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn monitors(&self) -> Result<Vec<Monitored>, LedgerError> {
        self.read(monitors::all)
    }

    /// How many audits of a certificate came to what, and what they cost.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn audit_tally(&self, certificate: &str) -> Result<AuditTally, LedgerError> {
        self.read(|connection| audits::tally(connection, certificate))
    }

    /// What the audits of a certificate have shown, in the order of their ends.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn findings(&self, certificate: &str) -> Result<Vec<Finding>, LedgerError> {
        self.read(|connection| audits::findings(connection, certificate))
    }

    /// The audit of a request, if it was chosen for one.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn audit(&self, request: &RequestId) -> Result<Option<AuditLine>, LedgerError> {
        self.read(|connection| audits::line(connection, request))
    }

    /// The requests of a task whose audits wait for a person, the longest first.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn audits_awaiting_person(&self, task: &TaskName) -> Result<Vec<RequestId>, LedgerError> {
        self.read(|connection| audits::awaiting_person(connection, task))
    }

    /// The lessons that a task's student was given, in their order.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn lessons(&self, task: &TaskName) -> Result<Vec<Lesson>, LedgerError> {
        self.read(|connection| lessons::all(connection, task))
    }

    /// How many kept records of a task have a right answer: a person's, an audit's, or that of
    /// the tier whose answers count as right.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn labels_known(&self, task: &TaskName, reference: &TierName) -> Result<u64, LedgerError> {
        self.read(|connection| lessons::labels_known(connection, task, reference))
    }

    /// Adds everything up again and gives back what doesn't agree: nothing, where the books are
    /// sound.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn verify(&self) -> Result<Vec<String>, LedgerError> {
        self.read(verify::verify)
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let consistent = || {
            let transaction = self.connection.unchecked_transaction()?;
            let result = query(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        consistent().map_err(|error: rusqlite::Error| Fault::from(error).at(&self.path))
    }
}
