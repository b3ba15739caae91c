//! Files stay short enough to be read in one go. Functions are clippy's business.

use super::Fault;
use crate::tree::Tree;

/// Longer files are listed, so that somebody looks for the second subject.
const LINES_NOTED: usize = 400;
/// Longer files must say why.
const LINES_MAX: usize = 600;
/// How a file says why, in its module documentation.
const REASON: &str = "//! Long file:";

/// Files that are too long, and notes on those that are long.
pub(super) fn check(tree: &Tree) -> (Vec<Fault>, Vec<String>) {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    for file in tree.ending(".rs") {
        let lines = file.text.lines().count();
        let reason = file.text.lines().find_map(|line| line.strip_prefix(REASON));
        let reasoned = reason.is_some_and(|reason| !reason.trim().is_empty());
        if lines > LINES_MAX && !reasoned {
            let message = format!(
                "{lines} lines, more than {LINES_MAX}; look for the second subject, or give the \
                 reason in a line `{REASON} …` of the module's documentation"
            );
            faults.push(Fault::new(file, lines, "size", message));
        } else if lines > LINES_NOTED {
            notes.push(format!("{}: {lines} lines", file.path));
        }
    }
    (faults, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_noted_and_longer_ones_need_a_reason() {
        let outcome = |lines: usize, head: &str| {
            let text = format!("{head}\n") + &"\n".repeat(lines - 1);
            let (faults, notes) = check(&Tree::of(&[("crates/wire/src/sse.rs", &text)]));
            (faults.len(), notes.len())
        };
        assert_eq!(outcome(400, "//! Frames."), (0, 0));
        assert_eq!(outcome(401, "//! Frames."), (0, 1));
        assert_eq!(outcome(600, "//! Frames."), (0, 1));
        assert_eq!(outcome(601, "//! Frames."), (1, 0));
        assert_eq!(outcome(601, "//! Long file:"), (1, 0));
        assert_eq!(outcome(601, "//! Long file: one flat table."), (0, 1));
    }
}
