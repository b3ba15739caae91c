//! Crates below the edge take every input as a value: no clock, file, network or random source.

use super::Fault;
use crate::tree::{SourceFile, Tree};

/// Crates that compute and nothing else.
const PURE: &[&str] = &["domain", "routing", "privacy", "wire"];
/// Ways out of pure computation.
const OUTSIDE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "tokio::",
    "async fn",
];

/// Faults in the pure crates.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    tree.ending(".rs")
        .filter(|file| is_pure(file))
        .flat_map(check_file)
        .collect()
}

fn is_pure(file: &SourceFile) -> bool {
    PURE.iter()
        .any(|name| file.path.starts_with(&format!("crates/{name}/src/")))
}

fn check_file(file: &SourceFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for outside in OUTSIDE {
            if code.contains(outside) {
                let message = format!(
                    "`{outside}` has no place in a crate without input and output; let the caller \
                     pass the value in"
                );
                faults.push(Fault::new(file, index + 1, "purity", message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_crate_neither_reads_nor_waits() {
        let text = "//! No std::fs here.\nuse std::fs;\nfn now() { Instant::now() }\n";
        let lines = |path: &str| -> Vec<usize> {
            check(&Tree::of(&[(path, text)]))
                .iter()
                .map(|fault| fault.line)
                .collect()
        };
        assert_eq!(lines("crates/routing/src/cascade.rs"), [2, 3]);
        assert!(lines("crates/ledger/src/lib.rs").is_empty());
        assert!(lines("crates/routing/tests/student.rs").is_empty());
    }
}
