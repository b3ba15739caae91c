//! What was learned, on disk: a student's file and a file of thresholds beside it.
//!
//! Both are written whole or not at all. What can't be read, or was shaped by something else,
//! counts as not there and is learned again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use domain::{Labels, TierName};
use routing::student::Student;
use routing::threshold::Fitted;
use serde::{Deserialize, Serialize};

use super::Learned;

use crate::data_folder;

/// Raised when the meaning of the file changes.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdsFile {
    version: u32,
    key: String,
    student: bool,
    tiers: BTreeMap<String, FittedJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FittedJson {
    threshold: Option<f64>,
    records: usize,
    kept: usize,
    errors: usize,
    best_error: f64,
}

/// What the folder holds, if it was shaped by exactly `key`.
pub(super) fn read(folder: &Path, key: [u8; 32], labels: &Labels) -> Option<Learned> {
    let text = std::fs::read_to_string(folder.join("thresholds.json")).ok()?;
    let file: ThresholdsFile = serde_json::from_str(&text).ok()?;
    if file.version != VERSION || file.key != hex(&key) {
        return None;
    }
    let student = if file.student {
        let bytes = std::fs::read(student_file(folder, &file.key)).ok()?;
        let student = Student::from_bytes(&bytes).ok()?;
        if student.labels() != labels {
            return None;
        }
        Some(student)
    } else {
        None
    };
    let mut fitted = BTreeMap::new();
    for (tier, json) in file.tiers {
        let FittedJson {
            threshold,
            records,
            kept,
            errors,
            best_error,
        } = json;
        let fit = Fitted {
            threshold,
            records,
            kept,
            errors,
            best_error,
        };
        fitted.insert(TierName::new(&tier).ok()?, fit);
    }
    Some(Learned {
        student,
        fitted,
        key,
    })
}

/// Writes what was learned into the folder.
pub(super) fn write(folder: &Path, learned: &Learned) -> anyhow::Result<()> {
    data_folder::make(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    let key = hex(&learned.key);
    // The student first: the thresholds' file names it, and counts only once it is there.
    if let Some(student) = &learned.student {
        replace(&student_file(folder, &key), &student.to_bytes())?;
    }
    let tiers = learned.fitted.iter().map(|(tier, fit)| {
        let Fitted {
            threshold,
            records,
            kept,
            errors,
            best_error,
        } = *fit;
        (
            tier.to_string(),
            FittedJson {
                threshold,
                records,
                kept,
                errors,
                best_error,
            },
        )
    });
    let file = ThresholdsFile {
        version: VERSION,
        student: learned.student.is_some(),
        tiers: tiers.collect(),
        key,
    };
    let text = serde_json::to_string_pretty(&file).context("thresholds can't be encoded")?;
    replace(&folder.join("thresholds.json"), text.as_bytes())
}

fn student_file(folder: &Path, key: &str) -> std::path::PathBuf {
    folder.join(format!("student-{}.bin", &key[..16]))
}

/// Writes a file so that it is there whole or not at all, whatever happens meanwhile.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let part = path.with_extension("part");
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("{} can't be written", path.display()))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
