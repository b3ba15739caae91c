//! The ledger's promises, each kept through its public interface on a real file.
//!
//! Only `place` knows what kind of store is under test; another store runs the same tests with
//! another `place`. `opening`, `crash` and `full_disk` also touch the file itself.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod audits;
mod budgets;
mod crash;
mod decisions;
mod dropped;
mod full_disk;
mod jobs;
mod keeping;
mod model;
mod opening;
mod place;
mod records;
mod reports;
mod resolutions;
mod runs;
