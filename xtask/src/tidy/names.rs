//! Modules are named for what they hold.

use super::Fault;
use crate::tree::{SourceFile, Tree};

/// Names that say nothing, so that anything is put there.
const DRAWERS: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "core", "manager",
];

/// Faults in the names of files, folders and modules.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let code = tree
        .files
        .iter()
        .filter(|file| file.ends_with(".rs") || file.ends_with(".py"));
    code.flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let parts = file
        .path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    for part in parts.filter(|part| is_refused(part)) {
        faults.push(fault(file, 1, part));
    }
    if !file.ends_with(".rs") {
        return faults;
    }
    for (index, line) in file.text.lines().enumerate() {
        // A module with a body has no file of its own whose name could be looked at.
        let Some(name) = inline_module(line) else {
            continue;
        };
        if is_refused(name) {
            faults.push(fault(file, index + 1, name));
        }
    }
    faults
}

fn fault(file: &SourceFile, line: usize, name: &str) -> Fault {
    let message = format!("`{name}` says nothing of what is in it; name it for its subject");
    Fault::new(file, line, "name", message)
}

fn inline_module(line: &str) -> Option<&str> {
    let (before, rest) = line.trim().split_once("mod ")?;
    let visible = before.is_empty() || before.starts_with("pub");
    visible.then(|| rest.strip_suffix('{').map(str::trim))?
}

fn is_refused(name: &str) -> bool {
    let version = name.rsplit_once("_v").is_some_and(|(_, version)| {
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
    });
    DRAWERS.contains(&name) || version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn drawers_are_refused_as_files_folders_and_modules() {
        assert_eq!(faults("crates/wire/src/utils.rs", ""), 1);
        assert_eq!(faults("crates/wire/src/core/mod.rs", ""), 1);
        assert_eq!(faults("training/helpers.py", ""), 1);
        assert_eq!(faults("crates/wire/src/sse_v2.rs", ""), 1);
        assert_eq!(
            faults("crates/wire/src/lib.rs", "pub(crate) mod misc {\n}\n"),
            1
        );
    }

    #[test]
    fn names_that_say_something_pass() {
        assert_eq!(
            faults(
                "crates/wire/src/sse.rs",
                "mod manager_of_none;\nmod tests {\n"
            ),
            0
        );
        assert_eq!(faults("crates/wire/src/score.rs", "// a mod utils {\n"), 0);
        assert_eq!(faults("crates/wire/src/ipv4.rs", ""), 0);
        assert_eq!(faults("docs/core/page.md", ""), 0);
    }
}
