//! What a model's weights are, to the last bit.
//!
//! Reading tens of gigabytes takes a while, so it is done once: the SHA-256 of a file stays good
//! as long as the file's size, time of writing and inode are those that it was read with.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use llama::ModelFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::{Config, ModelSource};
use crate::data_folder;
use crate::learn::stored::{hex, replace};
use crate::model;
use crate::tier::local::STARTER;

/// Raised when the meaning of the file changes.
const VERSION: u32 = 1;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    version: u32,
    /// By the path of a model's first file: all its files.
    models: BTreeMap<PathBuf, Vec<Part>>,
}

/// A file of a model, as it was read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    path: PathBuf,
    about: About,
    sha256: String,
}

/// What shows that a file is still the one that was read.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    inode: u64,
}

/// The SHA-256 of a model's file as hexadecimal digits; of a model that is split into several,
/// that of their SHA-256s in order.
///
/// # Errors
/// When a file can't be read or is no model, or what was found can't be kept.
pub(crate) fn sha256(config: &Config, source: &ModelSource) -> anyhow::Result<String> {
    let path = match source {
        ModelSource::Starter => return Ok(hex(&Sha256::digest(STARTER))),
        ModelSource::File(path) => path,
    };
    let first = path
        .canonicalize()
        .with_context(|| format!("{} can't be read", path.display()))?;
    let kept = config.certificates.with_file_name("weights.json");
    let mut known = read(&kept);
    let current = |part: &Part| about(&part.path).is_ok_and(|about| about == part.about);
    let parts = match known.models.get(&first) {
        Some(parts) if !parts.is_empty() && parts.iter().all(current) => parts,
        _ => {
            let parts = look_through(&first)?;
            known.models.insert(first.clone(), parts);
            let text = serde_json::to_string_pretty(&known).context("it can't be encoded")?;
            if let Some(folder) = kept.parent() {
                data_folder::make(folder)?;
            }
            replace(&kept, text.as_bytes())?;
            &known.models[&first]
        }
    };
    Ok(match &parts[..] {
        [only] => only.sha256.clone(),
        parts => {
            let all: String = parts.iter().map(|part| part.sha256.as_str()).collect();
            hex(&Sha256::digest(all))
        }
    })
}

/// What is known from before; what can't be read counts as nothing, and is found out anew.
fn read(kept: &Path) -> Known {
    let read = || -> Option<Known> {
        let known: Known = serde_json::from_str(&std::fs::read_to_string(kept).ok()?).ok()?;
        (known.version == VERSION).then_some(known)
    };
    read().unwrap_or(Known {
        version: VERSION,
        models: BTreeMap::new(),
    })
}

/// Reads all files of a model.
fn look_through(first: &Path) -> anyhow::Result<Vec<Part>> {
    let files = ModelFile::open(first)?.files;
    let mut parts = Vec::new();
    for path in files {
        tracing::info!(file = %path.display(), "reading the model's weights once, for their SHA-256");
        let before = about(&path)?;
        let sha256 = model::sha256(&path)?;
        if about(&path)? != before {
            bail!("{} changed while it was read; try again", path.display());
        }
        parts.push(Part {
            path,
            about: before,
            sha256,
        });
    }
    Ok(parts)
}

fn about(path: &Path) -> std::io::Result<About> {
    let about = std::fs::metadata(path)?;
    Ok(About {
        bytes: about.len(),
        modified_s: about.mtime(),
        modified_ns: about.mtime_nsec(),
        inode: about.ino(),
    })
}
