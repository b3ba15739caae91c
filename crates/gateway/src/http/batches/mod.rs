//! Batches: many requests in one, worked on beside the others and over restarts.
//!
//! A batch is a job of the ledger, as a run is: a line's result is stored in the transaction that
//! books its money, so that each line has exactly one whatever happens. [`openai`] and
//! [`anthropic`] are what clients see of it, [`lines`] reads what they gave, [`work`] answers it by
//! the way of every request, [`results`] writes what came of it, and the [`desk`] has them all.

pub(super) mod anthropic;
pub(super) mod desk;
mod lines;
pub(super) mod openai;
mod results;
mod state;
mod understood;
mod work;
