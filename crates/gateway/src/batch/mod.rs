//! `tiergate run`: every document of an input put to a task, one result for each.
//!
//! The run's memory is its job in the ledger: a document's result is stored in the transaction
//! that books its money. So a run that was killed at any moment goes on where it was, and the
//! output file is made from the job at the end, whole and in the order of the input.

mod command;
pub(crate) mod each;
pub(crate) mod input;
mod output;
mod progress;
pub(crate) mod result;
mod run;
mod summary;

pub(crate) use command::command;
pub(crate) use run::{Batch, run};
pub(crate) use summary::Summary;
