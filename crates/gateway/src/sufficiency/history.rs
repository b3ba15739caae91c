//! Earlier reports, one file each, so that a later one can say what has moved.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::TaskName;
use serde::Deserialize;

use super::findings::Report;
use crate::config::Config;
use crate::data_folder;
use crate::learn::stored::replace;

/// What is read of an earlier report.
#[derive(Debug, Deserialize)]
pub(super) struct Earlier {
    pub(super) made: String,
    pub(super) records_sha256: String,
    pub(super) lead: Lead,
}

/// How much more often the frontier was right than the tiers inside alone.
#[derive(Debug, Deserialize)]
pub(super) struct Lead {
    pub(super) share: f64,
    pub(super) interval_95: (f64, f64),
}

/// The folder of a task's reports.
pub(super) fn folder(config: &Config, task: &TaskName) -> PathBuf {
    config.data_dir.join("sufficiency").join(task.as_str())
}

/// The last report, if there is one that can be read.
///
/// # Errors
/// When the folder is there and can't be read.
pub(super) fn last(folder: &Path) -> anyhow::Result<Option<Earlier>> {
    let fault = || format!("{} can't be read", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.with_context(fault)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.with_context(fault)?.path());
    }
    // They are named by their time, so the last in the alphabet is the last in time.
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    Ok(files.iter().rev().find_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        serde_json::from_str(&text).ok()
    }))
}

/// Keeps a report.
///
/// # Errors
/// When it can't be written.
pub(super) fn keep(folder: &Path, report: &Report) -> anyhow::Result<()> {
    data_folder::make(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    let name = format!("{}.json", report.made.replace(':', "-"));
    replace(
        &folder.join(name),
        serde_json::to_string_pretty(report)?.as_bytes(),
    )
}
