//! The books: what every paid attempt may cost, did cost or may have cost, why each request was
//! answered as it was, and how far each batch job is.
//!
//! One [`Ledger`] is the only writer of its process. It owns a thread, the thread owns the
//! connection, and what arrives while one transaction is being made durable goes into the next
//! one together. A method returns when its entry is on disk, and not before.
//!
//! An attempt passes through these states, each step an entry that is never changed:
//!
//! ```text
//!            ┌─ settle ──► settled   (usage came: its exact cost)
//!   hold ──► held ─ release ► released  (certainly not billed)
//!            └─ keep ────► unknown   (usage never came: stays at its worst case)
//!                             └─ settle or release, when the vendor's bill says more
//! ```
//!
//! In every budget `settled + held + kept` is therefore an upper bound of what the vendor can
//! bill, at every instant; no hold is given that would take it past the limit. The bound is the
//! vendor's to break only by billing more than the worst case, which is booked exactly and
//! reported as `over_hold`.
//!
//! No time in the books is read from a clock here: all come in as [`Timestamp`]s.

#![forbid(unsafe_code)]

mod audits;
mod budgets;
mod decisions;
mod error;
mod handle;
mod holds;
mod ids;
mod items;
mod jobs;
mod keeping;
mod lessons;
mod monitors;
mod ordinals;
mod reader;
mod records;
mod report;
mod resolutions;
mod runs;
mod schema;
mod total;
mod verify;
mod writer;

pub use audits::{AuditEnd, AuditLine, AuditOutcome, AuditTally, DueAudit, NewAudit};
pub use budgets::{Balance, BudgetLimit, Refusal};
pub use decisions::{Basis, Counterfactual, Decision, Outcome, Recorded, UnpaidAttempt, Verdict};
pub use error::LedgerError;
pub use handle::{Ledger, OpenOptions};
pub use holds::{Hold, NewHold};
pub use ids::{AttemptId, JobId, RequestId, Timestamp};
pub use items::{ItemCounts, ItemStatus, JobItem, JobResults, StoredItem};
pub use jobs::{JobSpec, OpenedJob};
pub use keeping::{Kept, KeptKind, KeptPage};
pub use lessons::Lesson;
pub use monitors::{Advance, Advanced, Finding, Monitored, NewMonitor, Observed, PassedOn};
pub use ordinals::Ordinals;
pub use reader::Reader;
pub use records::{
    Correction, Forgetting, KeptRecord, Labelled, NewRecord, RecordCounts, RecordOrder,
    RecordQuery, Records, RecordsOnly,
};
pub use report::{
    AttemptLine, AttemptState, Compared, Purpose, SpendLine, TaskDecisions, TimeRange,
};
pub use resolutions::{Booked, End, Resolution};
pub use runs::Adopted;
pub use total::Total;
