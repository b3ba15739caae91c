//! The program as its users meet it: the real binary, a real ledger, a real small Llama. Only the
//! paid vendor is stood in for.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod audits;
mod by_label;
mod calibrate;
mod demo;
mod disk;
mod eval;
mod free_text;
mod input;
mod killed;
mod mirror;
mod missed;
mod model;
mod odd_records;
mod pull;
mod recorder;
mod records;
mod run;
mod serve;
mod server;
mod skipped;
mod spend;
mod students;
mod sufficiency;
mod vendor;
mod void;
mod weighed;
mod workplace;
