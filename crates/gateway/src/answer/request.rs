//! What is to be answered, and where its answer belongs.

use std::fmt;
use std::sync::Arc;

use domain::Prompt;
use ledger::{JobId, JobItem, RequestId};
use wire::chat::{Extra, RequestedGeneration};

use super::Answered;
use crate::batch::result::ResultLine;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;

/// What is to be answered.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// On whose behalf.
    pub(crate) tenant: Tenant,
    pub(crate) prompt: Prompt,
    /// What the client asks of the writing; what it leaves open the task says.
    pub(crate) generation: RequestedGeneration,
    /// Fields that only a tier of the same protocol understands.
    pub(crate) extra: Option<Extra>,
    /// The document of a batch run that this is.
    pub(crate) item: Option<Item>,
}

/// A document's place in a batch run.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) job: JobId,
    pub(crate) ordinal: u64,
    pub(crate) document: String,
    pub(crate) gold: Option<String>,
    /// How its result is written.
    pub(crate) result: ItemResult,
}

/// How the result of a document is written.
#[derive(Clone)]
pub(crate) enum ItemResult {
    /// As a line of a batch run's output.
    Line,
    /// As its client understands it.
    By(Arc<dyn Fn(&Answered) -> String + Send + Sync>),
}

impl fmt::Debug for ItemResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "Line",
            Self::By(_) => "By",
        })
    }
}

impl Item {
    /// The item as its job keeps it, with its result.
    pub(super) fn of_job(&self, task: &ReadyTask, answered: &Answered) -> JobItem {
        JobItem {
            job: self.job,
            ordinal: self.ordinal,
            document: self.document.clone(),
            result: match &self.result {
                ItemResult::Line => ResultLine::of(task, self, answered).encode(),
                ItemResult::By(write) => write(answered),
            },
            status: answered.end.item_status(),
        }
    }
}
