//! A folder of its own for a test, and the program at work in it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::{Value, json};

/// A folder that is gone when the test ends.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program, to be run in the folder.
    pub(crate) fn tiergate(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiergate"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear();
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.tiergate(args).output().unwrap())
    }

    /// Every line of a file of results.
    pub(crate) fn results(&self, name: &str) -> Vec<Value> {
        self.read(name)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What `tiergate ledger` says.
    pub(crate) fn ledger(&self) -> Value {
        let ran = self.run(&["ledger", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The summary of `run --json`.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What ran, when it ended as it should.
pub(crate) fn good(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Sends the program what Ctrl-C sends.
pub(crate) fn interrupt(child: &Child) {
    // A shell has `kill` built in; the program of that name is not everywhere.
    let interrupt = format!("kill -INT {}", child.id());
    let sent = Command::new("sh").args(["-c", &interrupt]).status();
    assert!(sent.unwrap().success());
}

/// How often each value of a field stands in results.
pub(crate) fn tally(results: &[Value], field: &str) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for result in results {
        *tally
            .entry(result[field].to_string().trim_matches('"').to_owned())
            .or_default() += 1;
    }
    tally
}

/// The demo's documents: `id`, `text` and the right answers to its tasks.
pub(crate) fn documents() -> Vec<Value> {
    unpacked("documents.jsonl.gz")
}

/// The demo's labelled records, in the same form; none of them is one of its documents.
pub(crate) fn labelled() -> Vec<Value> {
    unpacked("labelled.jsonl.gz")
}

/// Documents as the lines of a file of records, with the right answer of the first task.
pub(crate) fn lines(documents: &[Value]) -> String {
    let line = |document: &Value| {
        let line = json!({
            "id": document["id"], "text": document["text"], "gold": document["classify"],
        });
        format!("{line}\n")
    };
    documents.iter().map(line).collect()
}

fn unpacked(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("demo")
        .join(name);
    let mut text = String::new();
    let packed = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first `count` documents as JSON lines with `id`, `text` and `gold`, the matter.
pub(crate) fn matters(count: usize) -> String {
    lines(&documents()[..count])
}

/// A config with the task `classify` of the demo, for these tiers in order.
pub(crate) fn config(tiers: &[&str], sections: &str, task: &str) -> String {
    format!(
        r#"
{sections}
[tasks.classify]
kind = "classify"
prompt = "Which matter is this document about?"
labels = [
    {{ name = "fraud", definition = "somebody deceives in order to get money" }},
    {{ name = "laundering", definition = "the origin or owner of money is hidden" }},
    {{ name = "sanctions", definition = "a listed party or an embargo may be involved" }},
    {{ name = "complaint", definition = "a customer is unhappy with the service" }},
    {{ name = "credit", definition = "a debt may not be repaid" }},
    {{ name = "disclosure", definition = "a company owes news to its investors" }},
    {{ name = "routine", definition = "ordinary business, none of the above" }},
]
tiers = {tiers:?}
{task}
"#
    )
}

/// The labels of that task.
pub(crate) const MATTERS: [&str; 7] = [
    "fraud",
    "laundering",
    "sanctions",
    "complaint",
    "credit",
    "disclosure",
    "routine",
];

/// The section of the embedded engine with the starter model.
pub(crate) const LLAMA: &str = "[tiers.llama]\nkind = \"local\"\nmodel = \"starter\"\n";
