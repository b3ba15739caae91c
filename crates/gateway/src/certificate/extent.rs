//! How much of an answer decides whether it is kept.

use std::path::{Path, PathBuf};

use domain::TaskName;
use routing::evidence::Evidence;

/// How much of an answer decides. What is proven of one says nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// So many tokens at its beginning: then it is shown while it is written.
    First(usize),
}

impl Extent {
    /// How sure a tier is that brought this evidence.
    pub(crate) fn confidence(self, evidence: &Evidence) -> f64 {
        match (self, evidence) {
            (Self::First(tokens), Evidence::Tokens(all)) => {
                Evidence::Tokens(all.first(tokens)).confidence()
            }
            _ => evidence.confidence(),
        }
    }

    /// The task as it is called where its certificates stand side by side; no task has the name
    /// of a streamed one.
    pub(crate) fn name(self, task: &TaskName) -> String {
        match self {
            Self::Whole => task.to_string(),
            Self::First(_) => format!("{task}/early"),
        }
    }
}

/// The file of a task's certificate.
pub(crate) fn path(folder: &Path, task: &TaskName, extent: Extent) -> PathBuf {
    let file = format!("{task}.json");
    match extent {
        Extent::Whole => folder.join(file),
        Extent::First(_) => folder.join("early").join(file),
    }
}
