//! Habits that the compiler doesn't know: what reviewers would otherwise say twice.

mod links;
mod manifests;
mod names;
mod phrases;
mod purity;
mod size;

use std::fmt;

use crate::tree::{SourceFile, Tree};

/// Something that breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    path: String,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    message: String,
}

impl Fault {
    fn new(file: &SourceFile, line: usize, rule: &'static str, message: String) -> Self {
        Self {
            path: file.path.clone(),
            line,
            rule,
            message,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            message,
        } = self;
        write!(f, "{path}:{line}: {rule}: {message}")
    }
}

/// What tidy found.
#[derive(Debug)]
pub(crate) struct Report {
    /// How many files it looked at.
    pub(crate) files: usize,
    /// What must change, in the order of the paths.
    pub(crate) faults: Vec<Fault>,
    /// What may stay but should be looked at.
    pub(crate) notes: Vec<String>,
}

/// Every broken rule in these files.
pub(crate) fn check(tree: &Tree) -> Report {
    let rules = [
        manifests::check,
        names::check,
        phrases::check,
        purity::check,
        links::check,
    ];
    let mut faults: Vec<Fault> = rules.iter().flat_map(|rule| rule(tree)).collect();
    let (too_long, notes) = size::check(tree);
    faults.extend(too_long);
    faults.sort();
    Report {
        files: tree.files.len(),
        faults,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_all_rules_come_together_in_the_order_of_the_files() {
        let tree = Tree::of(&[
            ("crates/wire/src/utils.rs", concat!("#[ig", "nore]\n")),
            ("README.md", "[gone](gone.md)\n"),
        ]);
        let report = check(&tree);
        let lines: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        assert_eq!(report.files, 2);
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0],
            "README.md:1: link: `gone.md` is not there; correct or remove the link"
        );
        assert!(
            lines[1].starts_with("crates/wire/src/utils.rs:1: name: "),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].starts_with("crates/wire/src/utils.rs:1: phrase: "),
            "{}",
            lines[2]
        );
    }
}
