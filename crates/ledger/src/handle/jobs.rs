//! Jobs: a batch run or a client's batch, open in one process at a time.

use super::Ledger;
use crate::error::LedgerError;
use crate::ids::{JobId, Timestamp};
use crate::items::{self, ItemCounts};
use crate::jobs::{self, JobSpec, OpenedJob};

impl Ledger {
    /// Opens the job that writes this output, or a new one, for this process alone.
    ///
    /// # Errors
    /// [`LedgerError::JobRunning`] when a live process (this one included) has it open,
    /// [`LedgerError::JobDiffers`] when the output belongs to a job with another fingerprint; and
    /// when the books can't be written.
    pub async fn open_job(&self, spec: JobSpec) -> Result<OpenedJob, LedgerError> {
        self.call(spec, jobs::open, |_, opened| opened).await
    }

    /// Closes a job whose items all have an answer or a failure, and counts them.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the job isn't open in this process; and when the books can't
    /// be written.
    pub async fn finish_job(&self, job: JobId, at: Timestamp) -> Result<ItemCounts, LedgerError> {
        self.call(
            (job, at),
            |books, &(job, at)| {
                jobs::finish(books, job, at)?;
                Ok(items::counts(books.connection, job)?)
            },
            |_, counts| counts,
        )
        .await
    }

    /// Closes a job that is to be resumed later, by any process.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the job isn't open in this process; and when the books can't
    /// be written.
    pub async fn leave_job(&self, job: JobId) -> Result<(), LedgerError> {
        self.call(job, |books, &job| jobs::leave(books, job), |_, ()| ())
            .await
    }

    /// Forgets the job of an output and its items, as [`Ledger::forget`] does, and says whether there
    /// was one. Its money and its decisions stay in the books.
    ///
    /// # Errors
    /// [`LedgerError::JobRunning`] when a live process has it open; and when the books can't be
    /// written.
    pub async fn discard_job(&self, output: &str) -> Result<bool, LedgerError> {
        let discarded = self
            .call(
                output.to_owned(),
                |books, output| jobs::discard(books, output),
                |_, discarded| discarded,
            )
            .await?;
        self.overwrite(u64::from(discarded)).await?;
        Ok(discarded)
    }
}
