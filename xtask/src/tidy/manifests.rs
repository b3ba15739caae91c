//! Which crate may see which, and what every manifest and crate root must say.

use toml::{Table, Value};

use super::Fault;
use crate::tree::{SourceFile, Tree};

/// What a crate of ours may depend on among the others.
struct Edges {
    name: &'static str,
    /// Seen by the crate itself.
    sees: &'static [&'static str],
    /// Seen by its tests besides.
    tests_see: &'static [&'static str],
}

const EVERY: &[&str] = &[
    "domain",
    "routing",
    "privacy",
    "wire",
    "llama",
    "upstream",
    "ledger",
    "documents",
    "search",
    "standin",
];

/// The design's arrows. A new one is a change of the design, and says why in its commit.
const EDGES: &[Edges] = &[
    Edges {
        name: "domain",
        sees: &[],
        tests_see: &[],
    },
    Edges {
        name: "routing",
        sees: &["domain"],
        tests_see: &[],
    },
    Edges {
        name: "privacy",
        sees: &["domain"],
        tests_see: &[],
    },
    Edges {
        name: "wire",
        sees: &["domain"],
        tests_see: &[],
    },
    // Useful on its own: it must never learn our words.
    Edges {
        name: "llama",
        sees: &[],
        tests_see: &[],
    },
    // The stand-in is the vendor in tests of what goes out.
    Edges {
        name: "upstream",
        sees: &["domain", "wire"],
        tests_see: &["standin"],
    },
    Edges {
        name: "ledger",
        sees: &["domain"],
        tests_see: &[],
    },
    Edges {
        name: "documents",
        sees: &["domain"],
        tests_see: &[],
    },
    Edges {
        name: "search",
        sees: &["domain"],
        tests_see: &[],
    },
    Edges {
        name: "standin",
        sees: &["domain", "wire"],
        tests_see: &[],
    },
    Edges {
        name: "gateway",
        sees: EVERY,
        tests_see: &[],
    },
    Edges {
        name: "xtask",
        sees: &[],
        tests_see: &[],
    },
];

/// The crate that may hold unsafe code: its kernels and the mapping of model files need it.
const MAY_BE_UNSAFE: &str = "llama";
/// What every other crate root says.
const FORBID: &str = "#![forbid(unsafe_code)]";
const RULE: &str = "crate";

/// Faults of the manifests and crate roots.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let members = tree
        .ending("/Cargo.toml")
        .filter(|file| file.path.starts_with("crates/") || file.path.starts_with("xtask/"));
    members.flat_map(|file| check_crate(tree, file)).collect()
}

fn check_crate(tree: &Tree, file: &SourceFile) -> Vec<Fault> {
    let fault = |line, message| Fault::new(file, line, RULE, message);
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![fault(1, error.message().to_owned())],
    };
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name")?.as_str());
    let Some(name) = name else {
        return vec![fault(1, "no package name; add one".to_owned())];
    };
    let mut faults = check_dependencies(file, name, &manifest);
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace")?.as_bool());
    if lints != Some(true) {
        let message = "the workspace's lints are not used; add `[lints]` with `workspace = true`";
        faults.push(fault(1, message.to_owned()));
    }
    if name != MAY_BE_UNSAFE {
        let folder = file.path.trim_end_matches("Cargo.toml");
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = tree.file(&format!("{folder}{root}"));
            faults.extend(root.and_then(check_root));
        }
    }
    faults
}

fn check_root(file: &SourceFile) -> Option<Fault> {
    let forbids = file.text.lines().any(|line| line.trim() == FORBID);
    let message = format!("`{FORBID}` is missing; add it below the crate's documentation");
    (!forbids).then(|| Fault::new(file, 1, RULE, message))
}

fn check_dependencies(file: &SourceFile, name: &str, manifest: &Table) -> Vec<Fault> {
    let Some(edges) = EDGES.iter().find(|edges| edges.name == name) else {
        let message = format!(
            "`{name}` is no crate of the design; add it to the list in {}",
            file!()
        );
        return vec![Fault::new(file, 1, RULE, message)];
    };
    let mut faults = Vec::new();
    for (table, dependency, value) in dependencies(manifest) {
        let line = file.line_of(dependency);
        let package = value
            .get("package")
            .and_then(Value::as_str)
            .unwrap_or(dependency);
        let for_tests = table == "dev-dependencies";
        let allowed =
            edges.sees.contains(&package) || (for_tests && edges.tests_see.contains(&package));
        if EDGES.iter().any(|other| other.name == package) && !allowed {
            let message = format!(
                "`{name}` may not see `{package}`; move the code to where the arrows of the \
                 design allow it"
            );
            faults.push(Fault::new(file, line, RULE, message));
        }
        if value.get("workspace").and_then(Value::as_bool) != Some(true) {
            let message = format!(
                "the version of `{dependency}` stands here; put it into the root's \
                 [workspace.dependencies] and write `{dependency}.workspace = true`"
            );
            faults.push(Fault::new(file, line, RULE, message));
        }
    }
    faults
}

/// Every dependency with the kind of table that it stands in.
fn dependencies(manifest: &Table) -> Vec<(&str, &str, &Value)> {
    let mut tables: Vec<&Table> = vec![manifest];
    if let Some(Value::Table(targets)) = manifest.get("target") {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let mut found = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries = table.get(kind).and_then(Value::as_table);
            found.extend(
                entries
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (kind, name.as_str(), value)),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(name: &str, rest: &str, root: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}");
        let path = format!("crates/{name}/Cargo.toml");
        let source = format!("crates/{name}/src/lib.rs");
        let tree = Tree::of(&[(&path, &manifest), (&source, root)]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        let upstream =
            "[dependencies]\nwire.workspace = true\n[dev-dependencies]\nstandin.workspace = true\n";
        assert!(faults("upstream", upstream, FORBID).is_empty());
        assert!(faults("llama", "[dependencies]\nhalf.workspace = true\n", "").is_empty());
    }

    #[test]
    fn an_edge_against_the_design_is_refused_however_it_is_written() {
        for (name, edge) in [
            ("domain", "[dependencies]\nwire.workspace = true\n"),
            ("llama", "[dev-dependencies]\ndomain.workspace = true\n"),
            ("upstream", "[dependencies]\nstandin.workspace = true\n"),
            ("wire", "[build-dependencies]\nledger.workspace = true\n"),
            (
                "wire",
                "[target.'cfg(unix)'.dependencies]\nledger.workspace = true\n",
            ),
            (
                "wire",
                "[dependencies.other]\npackage = \"ledger\"\nworkspace = true\n",
            ),
        ] {
            let faults = faults(name, edge, FORBID);
            assert_eq!(faults.len(), 1, "{name}: {edge}");
            assert!(
                faults[0].contains(&format!("`{name}` may not see `")),
                "{}",
                faults[0]
            );
        }
        let faults = faults("domain", "[dependencies]\nwire.workspace = true\n", FORBID);
        assert!(
            faults[0].starts_with("crates/domain/Cargo.toml:6: crate: "),
            "{}",
            faults[0]
        );
    }

    #[test]
    fn a_crate_that_the_design_does_not_know_is_refused() {
        assert!(faults("gadgets", "", FORBID)[0].contains("`gadgets` is no crate of the design"));
    }

    #[test]
    fn versions_stand_in_the_root_alone() {
        let faults = faults("wire", "[dependencies]\nserde = \"1\"\n", FORBID);
        assert!(faults[0].contains("`serde.workspace = true`"));
    }

    #[test]
    fn every_crate_has_the_lints_and_all_but_the_engine_forbid_unsafe_code() {
        assert!(faults("wire", "", "//! Protocols.\n")[0].contains(FORBID));
        assert!(faults("wire", "", &format!("// {FORBID}\n"))[0].contains(FORBID));
        let tree = Tree::of(&[("crates/wire/Cargo.toml", "[package]\nname = \"wire\"\n")]);
        assert!(check(&tree)[0].message.contains("[lints]"));
    }
}
