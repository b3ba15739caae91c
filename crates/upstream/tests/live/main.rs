//! Attempts over real sockets: against the stand-in with each of its faults, and against servers
//! written by hand for what no vendor should do.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod accounts;
mod cancel;
mod download;
mod faults;
mod raw;
mod retries;
mod tls;
mod vendor;
mod whole;
