//! Phrases that put something off or switch something off.

use super::Fault;
use crate::tree::Tree;

/// A phrase, the kind of file in which it is refused, and what to do instead. The phrases are
/// written in two parts, so that this table is not a case of itself.
const PHRASES: &[(&str, &[&str], &str)] = &[
    (
        concat!("TO", "DO"),
        &["rs", "py", "sh", "toml", "html", "js", "css"],
        "do it, or open an issue",
    ),
    (
        concat!("FIX", "ME"),
        &["rs", "py", "sh", "toml", "html", "js", "css"],
        "fix it, or open an issue",
    ),
    (
        concat!("#[ig", "nore"),
        &["rs"],
        "repair or delete the test; one that never runs proves nothing",
    ),
    (
        concat!("#[al", "low("),
        &["rs"],
        "write `#[expect(…, reason = \"…\")]`, which complains once it is needless",
    ),
    (
        concat!("#![al", "low("),
        &["rs"],
        "write `#![expect(…, reason = \"…\")]`, which complains once it is needless",
    ),
];

/// Faults in the phrases of all files.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        let ending = file.path.rsplit('.').next().unwrap_or_default();
        for (index, line) in file.text.lines().enumerate() {
            for (phrase, endings, advice) in PHRASES {
                if endings.contains(&ending) && line.contains(phrase) {
                    let message = format!("`{phrase}` stands here; {advice}");
                    faults.push(Fault::new(file, index + 1, "phrase", message));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phrase_is_refused_with_its_line() {
        for (phrase, endings, _) in PHRASES {
            let text = format!("fn a() {{}}\n    {phrase}dead_code)]\n");
            let path = format!("a.{}", endings[0]);
            let faults = check(&Tree::of(&[(&path, &text)]));
            assert_eq!(faults.len(), 1, "{phrase}");
            assert_eq!(faults[0].line, 2);
        }
    }

    #[test]
    fn expectations_with_a_reason_pass() {
        let text = "#[expect(clippy::too_many_lines, reason = \"a straight calculation\")]\n";
        assert!(check(&Tree::of(&[("a.rs", text)])).is_empty());
    }
}
