//! The log: lines on standard error, as many as `TIERGATE_LOG` asks for.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// The environment variable that says what is logged: a level such as `debug`, or levels by
/// module.
const VARIABLE: &str = "TIERGATE_LOG";

/// Starts the log, at this level unless the variable says otherwise.
///
/// # Errors
/// When the variable's value is no filter.
pub(crate) fn init(level: &str) -> anyhow::Result<()> {
    let asked = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::builder().parse(asked.as_deref().unwrap_or(level));
    let filter = filter.with_context(|| {
        format!("{VARIABLE} is no filter; write a level (error, warn, info, debug or trace)")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}
