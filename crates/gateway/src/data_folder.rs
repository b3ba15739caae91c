//! The folders under `data_dir`. Prompts and answers may lie there, and so they are for the user alone
//! under whom the program runs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Makes a folder, with those above it that are not there yet, into which nobody else may look. One
/// that is there stays as it is.
///
/// # Errors
/// When it can't be made.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether every user of this machine may look into a folder.
pub(crate) fn is_open_to_all(folder: &Path) -> bool {
    let about = fs::metadata(folder);
    about.is_ok_and(|about| about.permissions().mode() & 0o007 != 0)
}
