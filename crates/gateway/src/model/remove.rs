//! `tiergate model remove`: deletes a model that was fetched.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use indicatif::DecimalBytes;

use super::folder::{FolderArgs, ModelName};
use crate::terminal::{complain, say};

/// `tiergate model remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The model's name, as `tiergate model list` shows it.
    name: String,
    #[command(flatten)]
    folder: FolderArgs,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(args: &RemoveArgs) -> anyhow::Result<()> {
    let folder = args.folder.folder()?;
    let name = ModelName::new(&args.name)?;
    let (file, part) = (folder.file(&name), folder.part(&name));
    let sizes = [&file, &part].map(|path| std::fs::metadata(path).ok().map(|about| about.len()));
    anyhow::ensure!(
        sizes.iter().any(Option::is_some),
        "{} has no model {name}; `tiergate model list` shows those there are",
        folder.path().display()
    );
    let bytes = DecimalBytes(sizes.iter().flatten().sum());
    if !args.yes && !confirmed(&format!("remove {name}, {bytes}?"))? {
        say("left alone");
        return Ok(());
    }
    // The model goes last: what is left by a removal cut short can be removed again.
    for path in [
        &folder.record(&name),
        &folder.part_record(&name),
        &part,
        &file,
    ] {
        remove(path)?;
    }
    say(format_args!("removed {name}, {bytes}"));
    Ok(())
}

/// Whether the person at the terminal says yes.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    let input = io::stdin();
    anyhow::ensure!(
        input.is_terminal(),
        "nobody can be asked here whether to {question} Give --yes if so"
    );
    complain(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Deletes a file, if it is there.
fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", path.display()))
        }
        _ => Ok(()),
    }
}
