//! What can go wrong, split by what the caller can do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::budgets::Refusal;

/// Why something is not in the books.
///
/// Unless a variant says otherwise, nothing of the command that failed was booked, and all that
/// was booked before it still stands.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A budget has no room for the attempt.
    #[error("{0}")]
    OverBudget(Box<Refusal>),
    /// The same thing is booked already, otherwise.
    #[error("{subject} is booked as {booked} and can't be booked again as {asked}")]
    Contradiction {
        /// What it is about.
        subject: String,
        /// What the books say.
        booked: String,
        /// What was asked for.
        asked: String,
    },
    /// The thing was never booked here.
    #[error("{0} is not in these books; use the id that was given when it was booked")]
    Unknown(String),
    /// A value that can't be booked.
    #[error("{0}")]
    Invalid(String),
    /// A live process works on the job.
    #[error(
        "process {pid} is working on the job that writes `{output}`; wait for it or end it, or write to another file"
    )]
    JobRunning {
        /// The job's output.
        output: String,
        /// The id of that process.
        pid: u32,
    },
    /// The output belongs to a job of another task, other tiers or other inputs.
    #[error(
        "`{output}` belongs to an earlier job whose task, tiers or inputs were others; write to another file, or discard the earlier job"
    )]
    JobDiffers {
        /// The job's output.
        output: String,
    },
    /// An owner's things would have more bytes than they may.
    #[error("what is kept may have {bytes_max} bytes in all; delete some of it first")]
    TooMuchKept {
        /// The most that they may have.
        bytes_max: u64,
    },
    /// The file can't be used as these books.
    #[error("`{}` can't be used as a ledger: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// Other processes held the file for longer than the wait.
    #[error("`{}` is locked by {}; end it or try again", path.display(), blockers(pids))]
    Locked {
        /// The file.
        path: PathBuf,
        /// Processes that have it open for writing, as far as they are known.
        pids: Vec<u32>,
    },
    /// No space is left.
    #[error("no space is left for `{}`; free some and try again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be read or written.
    #[error("`{}` can't be read or written: {source}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The ledger was closed before the command reached it.
    #[error("the ledger is closed; nothing more can be booked by this process")]
    Closed,
}

impl LedgerError {
    /// Whether the same command may succeed later without anything else being changed in it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. } | Self::Full { .. } | Self::Storage { .. }
        )
    }
}

fn blockers(pids: &[u32]) -> String {
    if pids.is_empty() {
        return "another program".to_owned();
    }
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    format!("process {}", list.join(", "))
}

/// What a command meets inside the writer, which alone knows the file it is about.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An answer that is complete as it is.
    Answer(LedgerError),
    /// The database's own error.
    Sql(rusqlite::Error),
    /// An error with a file beside the database.
    File(std::io::Error),
}

impl Fault {
    /// The error for the caller.
    pub(crate) fn at(self, path: &Path) -> LedgerError {
        let path = path.to_owned();
        match self {
            Self::Answer(error) => error,
            Self::File(error) => LedgerError::Storage {
                path,
                source: Arc::new(error),
            },
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => LedgerError::Full { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Locked {
                    path,
                    pids: Vec::new(),
                },
                Some(ErrorCode::NotADatabase) => LedgerError::Unfit {
                    path,
                    reason: "it is no SQLite database; name another file".to_owned(),
                },
                _ => LedgerError::Storage {
                    path,
                    source: Arc::new(error),
                },
            },
        }
    }

    /// Whether another connection was in the way.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Answer(error)
    }
}

/// A contradiction between what is booked and what was asked for.
pub(crate) fn contradiction(
    subject: impl Into<String>,
    booked: impl Into<String>,
    asked: impl Into<String>,
) -> Fault {
    Fault::Answer(LedgerError::Contradiction {
        subject: subject.into(),
        booked: booked.into(),
        asked: asked.into(),
    })
}

/// A count as SQLite holds it.
pub(crate) fn count_to_sql(what: &str, count: u64) -> Result<i64, Fault> {
    i64::try_from(count).map_err(|_| {
        Fault::Answer(LedgerError::Invalid(format!(
            "{what}: {count} is beyond {}, the most that can be booked",
            i64::MAX
        )))
    })
}
