//! The memory that a worker may take.

use std::path::{Path, PathBuf};

use crate::engine::protocol::{Source, Start};
use crate::engine::sandbox::Keeps;

/// Memory beside the model's files, for the program, its buffers and threads.
const BESIDE_BYTES: u64 = 1 << 30;
/// Least memory for keys and values, where the config says nothing of it.
const KV_BYTES_MIN: u64 = 1 << 30;

/// The memory that a worker may take, from the size of its files alone: they were not looked at.
pub(in crate::engine) struct Memory {
    pub(in crate::engine) keeps: Keeps,
    /// Of it, for the model.
    pub(super) model_bytes: u64,
    /// Of it, for keys and values.
    pub(super) kv_bytes: u64,
}

/// The machine has less memory than the config gives to keys and values.
#[derive(Debug, thiserror::Error)]
#[error(
    "kv_bytes = {kv_bytes} does not fit: the machine has {left_bytes} bytes left, of which the \
     model's files take {files_bytes}; set it to {} or less, or leave it out",
    left_bytes.saturating_sub(*files_bytes)
)]
pub(super) struct TooLarge {
    kv_bytes: u64,
    files_bytes: u64,
    left_bytes: u64,
}

impl Memory {
    pub(in crate::engine) fn of(start: &Start) -> Self {
        let files = match &start.source {
            Source::Starter => Vec::new(),
            Source::File(path) => files(path),
        };
        let files_bytes = size(&files);
        let kv_bytes = start.kv_bytes.unwrap_or(files_bytes.max(KV_BYTES_MIN));
        // Weights lie in memory as they do in the file, within a sixth; the files' headers are
        // read into memory too, and the vocabulary in them becomes maps.
        let model_bytes = files_bytes + files_bytes / 6 + BESIDE_BYTES;
        let memory_bytes = model_bytes
            .saturating_add(kv_bytes)
            .saturating_add(BESIDE_BYTES);
        Self {
            keeps: Keeps {
                files,
                memory_bytes,
            },
            model_bytes: model_bytes.min(left()),
            kv_bytes,
        }
    }

    /// Whether what the config gives to keys and values is there. What the engine takes by itself
    /// it takes page by page, as far as requests need them.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self, start: &Start) -> Result<(), TooLarge> {
        let files_bytes = size(&self.keeps.files);
        match start.kv_bytes {
            Some(kv_bytes) if files_bytes.saturating_add(kv_bytes) > left() => Err(TooLarge {
                kv_bytes,
                files_bytes,
                left_bytes: left(),
            }),
            _ => Ok(()),
        }
    }
}

fn left() -> u64 {
    llama::available_memory_bytes().unwrap_or(u64::MAX)
}

fn size(files: &[PathBuf]) -> u64 {
    let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |about| about.len());
    files.iter().map(size).sum()
}

/// The files of a model of which `path` is the only one or the first.
fn files(path: &Path) -> Vec<PathBuf> {
    let split = || {
        let name = path.file_name()?.to_str()?;
        let (stem, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let count: u32 = count.parse().ok().filter(|count| *count <= 99_999)?;
        let stem = stem.strip_suffix("-00001")?;
        let file = |number| path.with_file_name(format!("{stem}-{number:05}-of-{count:05}.gguf"));
        Some((1..=count).map(file).collect())
    };
    split().unwrap_or_else(|| vec![path.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_models_files_are_all_of_them() {
        let of = |name: &str| files(Path::new(name));
        assert_eq!(of("/m/a.gguf"), [Path::new("/m/a.gguf")]);
        assert_eq!(
            of("/m/a-00001-of-00002.gguf"),
            [
                Path::new("/m/a-00001-of-00002.gguf"),
                Path::new("/m/a-00002-of-00002.gguf")
            ]
        );
        assert_eq!(of("/m/a-00002-of-00002.gguf").len(), 1);
    }
}
