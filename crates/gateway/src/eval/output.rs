//! Reports on the standard output: tables for people, JSON for machines.

use routing::evaluation::Share;
use serde_json::Value;

use crate::terminal::say;

/// Prints a report: the JSON value alone, or the lines and tables for people.
pub(crate) fn print(report: &Report) {
    match report {
        Report::Machine(value) => say(format_args!("{value:#}")),
        Report::People(parts) => parts.iter().for_each(say),
    }
}

/// A report in the form that was asked for.
pub(crate) enum Report {
    /// One JSON value.
    Machine(Value),
    /// Lines and tables.
    People(Vec<String>),
}

/// How many records were left out, and what they lack; nothing where it is none.
pub(crate) fn left_out(records: usize, lacking: &str) -> Option<String> {
    (records > 0).then(|| format!("{records} records are left out: they lack {lacking}"))
}

/// A share for people, such as `89.2 % (88.3–90.0)`.
pub(crate) fn percent(share: Share) -> String {
    let Some(value) = share.value() else {
        return "–".to_owned();
    };
    let (low, high) = share.interval();
    format!(
        "{:.1} % ({:.1}–{:.1})",
        value * 100.0,
        low * 100.0,
        high * 100.0
    )
}
