//! The folder of fetched models: `NAME.gguf`, beside each a `NAME.json` that says where it came
//! from, and while it is fetched a `NAME.gguf.part`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

/// The name of the model that is inside the program.
pub(crate) const STARTER: &str = "starter";
/// The variable that names the folder.
const FOLDER_VARIABLE: &str = "TIERGATE_MODELS";

/// Which folder of models a command works with.
#[derive(Debug, Args)]
pub(super) struct FolderArgs {
    /// The folder of fetched models, instead of $TIERGATE_MODELS or ~/.local/share/tiergate/models.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl FolderArgs {
    pub(super) fn folder(&self) -> anyhow::Result<ModelFolder> {
        let named = self.models.clone().map(|path| ModelFolder { path });
        named
            .or_else(|| ModelFolder::of_user(&|name| std::env::var(name).ok()))
            .context(
                "there is no folder for models, because HOME is not set; name one with --models",
            )
    }
}

/// The folder of fetched models. It need not be there yet.
#[derive(Clone, Debug)]
pub(crate) struct ModelFolder {
    path: PathBuf,
}

impl ModelFolder {
    /// The folder that a user's variables name.
    pub(crate) fn of_user(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let of_home = |home: String| Path::new(&home).join(".local/share/tiergate/models");
        set(FOLDER_VARIABLE)
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(of_home))
            .map(|path| Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a model that was fetched whole.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let file = self.file(&ModelName::new(name).ok()?);
        file.is_file().then_some(file)
    }

    /// Where a model's file is, or will be.
    pub(super) fn file(&self, name: &ModelName) -> PathBuf {
        self.path.join(format!("{name}.gguf"))
    }

    /// Where a model's file grows while it is fetched.
    pub(super) fn part(&self, name: &ModelName) -> PathBuf {
        self.path.join(format!("{name}.gguf.part"))
    }

    /// Where it is written what a growing file is part of.
    pub(super) fn part_record(&self, name: &ModelName) -> PathBuf {
        self.path.join(format!("{name}.gguf.part.json"))
    }

    /// Where it is written where a model came from.
    pub(super) fn record(&self, name: &ModelName) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }

    /// The names of the models in the folder, whole or unfinished, in order.
    ///
    /// # Errors
    /// When the folder can't be read. One that is not there is empty.
    pub(super) fn names(&self) -> anyhow::Result<Vec<ModelName>> {
        let unreadable = || format!("{} can't be read", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(unreadable),
        };
        let mut names = std::collections::BTreeSet::new();
        for entry in entries {
            let file = entry.with_context(unreadable)?.file_name();
            let stem = file.to_str().and_then(|file| {
                let whole = file.strip_suffix(".gguf");
                whole.or_else(|| file.strip_suffix(".gguf.part"))
            });
            names.extend(stem.and_then(|stem| ModelName::new(stem).ok()));
        }
        Ok(names.into_iter().collect())
    }
}

/// The name of a fetched model, which is also that of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelName(String);

impl ModelName {
    /// The name, if it can be one.
    ///
    /// # Errors
    /// When it can't; the message gives the rule.
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        const LENGTH_MAX: usize = 128;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let first = name.bytes().next();
        let right = first.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && name.bytes().all(plain)
            && name.len() <= LENGTH_MAX
            && name != STARTER;
        anyhow::ensure!(
            right,
            "`{}` can't be the name of a model: letters, digits, `.`, `_` and `-` can, up to \
             {LENGTH_MAX}, a letter or digit first, and `{STARTER}` is taken",
            name.escape_debug()
        );
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a file came from, as kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The address, without what follows a `?`.
    pub(super) source: String,
    /// The size of the whole file, where it is known.
    pub(super) size_bytes: Option<u64>,
    /// The SHA-256 of the whole file, where it is known.
    pub(super) sha256: Option<String>,
    /// The server's mark of this version of the file.
    pub(super) etag: Option<String>,
}

impl Record {
    /// The record in a file; none where there is no readable one.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read(path).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the record whole or not at all.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&new, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_nothing_more() {
        for right in ["llama-3.2-1b-Q4_K_M", "a", "7b"] {
            assert!(ModelName::new(right).is_ok(), "{right}");
        }
        let long = "a".repeat(129);
        for wrong in [
            "", ".", "..", "a/b", "../a", "-a", ".a", "a b", "ä", "starter", &long,
        ] {
            assert!(ModelName::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_folder_is_the_users_unless_a_variable_names_one() {
        let folder = |variables: &[(&str, &str)]| {
            let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
            ModelFolder::of_user(&|name| found(name).map(|(_, value)| (*value).to_owned()))
                .map(|folder| folder.path)
        };
        assert_eq!(folder(&[]), None);
        let home = ("HOME", "/home/u");
        let of_home = PathBuf::from("/home/u/.local/share/tiergate/models");
        assert_eq!(folder(&[home]), Some(of_home.clone()));
        assert_eq!(folder(&[home, (FOLDER_VARIABLE, "")]), Some(of_home));
        let named = folder(&[home, (FOLDER_VARIABLE, "/m")]);
        assert_eq!(named, Some(PathBuf::from("/m")));
    }
}
