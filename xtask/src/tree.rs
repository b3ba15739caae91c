//! The project's files as tidy sees them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

/// Folders without files of ours.
const SKIPPED: &[&str] = &[
    ".git",
    ".venv",
    "__pycache__",
    "node_modules",
    "target",
    "tiergate-data",
    "tiergate-demo",
];
/// Endings of the files whose text is looked at.
const TEXTS: &[&str] = &[
    "css", "html", "js", "md", "py", "rs", "sh", "toml", "yml", "yaml",
];

/// A file's text and its path from the root, with `/` between the parts.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether the path ends so.
    pub(crate) fn ends_with(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// The first line that holds this text, counted from 1; 1 when none does.
    pub(crate) fn line_of(&self, needle: &str) -> usize {
        let found = self.text.lines().position(|line| line.contains(needle));
        found.map_or(1, |index| index + 1)
    }
}

/// The project's files.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Files whose text is looked at, in the order of their paths.
    pub(crate) files: Vec<SourceFile>,
    /// Paths of all files and folders.
    paths: BTreeSet<String>,
}

impl Tree {
    /// The files under a folder.
    ///
    /// # Errors
    /// When a folder or file can't be read, or a text is no UTF-8.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// Whether a file or folder of this path is there.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    /// The file of this path, if its text is looked at.
    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Files whose paths end so.
    pub(crate) fn ending(&self, ending: &str) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(move |file| file.ends_with(ending))
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> anyhow::Result<()> {
        let place = root.join(folder);
        let entries = std::fs::read_dir(&place).with_context(|| place.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = match folder {
                "" => name.clone(),
                _ => format!("{folder}/{name}"),
            };
            let kind = entry.file_type()?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                self.paths.insert(path.clone());
                self.read_folder(root, &path)?;
            } else if kind.is_file() {
                self.read_file(root, path)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, root: &Path, path: String) -> anyhow::Result<()> {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        if TEXTS.contains(&ending) {
            let text = std::fs::read_to_string(root.join(&path));
            let text = text.with_context(|| path.clone())?;
            self.files.push(SourceFile {
                path: path.clone(),
                text,
            });
        }
        self.paths.insert(path);
        Ok(())
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of these files, without their folders.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.paths.insert((*path).to_owned());
            tree.files.push(SourceFile {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            });
        }
        tree
    }
}
