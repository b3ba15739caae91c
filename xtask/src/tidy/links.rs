//! Links between the documents lead somewhere.

use super::Fault;
use crate::tree::{SourceFile, Tree};

/// Faults in the links of all Markdown files.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    tree.ending(".md")
        .flat_map(|file| check_file(tree, file))
        .collect()
}

fn check_file(tree: &Tree, file: &SourceFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut in_code = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        for target in targets(&without_code(line)) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:");
            if path.is_empty() || outside {
                continue;
            }
            if !resolve(&file.path, path).is_some_and(|path| tree.has(&path)) {
                let message = format!("`{path}` is not there; correct or remove the link");
                faults.push(Fault::new(file, index + 1, "link", message));
            }
        }
    }
    faults
}

/// The line without what stands between backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// What the links of a line lead to: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let clean = |target: &str| {
        let target = target.split_whitespace().next().unwrap_or_default();
        target.trim_matches(['<', '>']).to_owned()
    };
    let mut targets: Vec<String> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(clean)
        .collect();
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
    {
        targets.push(clean(target));
    }
    targets
}

/// The path from the root that a link in a file means; `None` when it leaves the project.
fn resolve(file: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("README.md", ""),
            ("docs/config.md", ""),
            ("docs/guide.md", text),
        ]);
        check(&tree)
            .into_iter()
            .map(|fault| fault.message)
            .collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for text in [
            "[config](config.md) and [top](../README.md#run)",
            "[site](https://example.com/none.md) [mail](mailto:a@example.com) [here](#part)",
            "`[code](none.md)`",
            "```\n[code](none.md)\n```",
            "    [code](none.md)",
            "[config]: config.md \"The config\"",
            "![picture](<../README.md>)",
        ] {
            assert!(broken(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        for text in [
            "[gone](gone.md)",
            "see [config](config.md) and [gone](gone.md#part)",
            "[gone]: gone.md",
            "![gone](gone.md)",
            "[gone](../../gone.md)",
            "```\ncode\n```\n[gone](docs/gone.md)",
        ] {
            assert_eq!(broken(text).len(), 1, "{text}");
        }
    }
}
