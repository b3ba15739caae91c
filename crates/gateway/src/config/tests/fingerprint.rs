//! What changes a task's fingerprint, and what must not.

use std::path::Path;

use domain::TaskName;

const TEXT: &str = r#"
[server]
requests_max = 7
[prices.p]
input = "1"
output = "2"
[tiers.student]
kind = "student"
[tiers.llama]
kind = "local"
model = "a.gguf"
threads = 1
[tiers.frontier]
kind = "frontier"
url = "https://example.com/v1"
model = "big"
key = "env:KEY"
price = "p"
total_seconds = 9
[tasks.other]
kind = "chat"
tiers = ["llama"]
[tasks.t]
kind = "flag"
prompt = "Is it?"
labels = [{ name = "yes", definition = "it is" }, { name = "no" }]
flagged = ["yes"]
tiers = ["student", "llama", "frontier"]
sensitivity = "public"
target = { max_error = 0.1 }
records = { path = "r.jsonl", rows = "..10" }
temperature = 0.5
budget = { usd = "3", per = "month" }
"#;

fn fingerprint(folder: &str, text: &str) -> [u8; 32] {
    let config = super::super::parse(&Path::new(folder).join("tiergate.toml"), text, None);
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    config.tasks[&TaskName::new("t").unwrap()].fingerprint(&config)
}

#[test]
fn it_changes_with_whatever_shapes_the_answers() {
    let mut seen = std::collections::HashSet::from([fingerprint("", TEXT)]);
    for (part, changed) in [
        ("kind = \"flag\"", "kind = \"classify\"\n#"),
        ("prompt = \"Is it?\"", "prompt = \"Is it not?\""),
        ("definition = \"it is\"", "definition = \"it seems so\""),
        (", definition = \"it is\"", ""),
        ("name = \"no\"", "name = \"never\""),
        ("flagged = [\"yes\"]", "flagged = [\"no\"]"),
        (
            "tiers = [\"student\", \"llama\", ",
            "tiers = [\"llama\", \"student\", ",
        ),
        (
            "tiers = [\"student\", \"llama\", ",
            "tiers = [\"student\", ",
        ),
        ("sensitivity = \"public\"", "sensitivity = \"internal\""),
        ("max_error = 0.1", "max_error = 0.2"),
        ("max_error = 0.1", "max_error = 0.1, confidence = 0.9"),
        ("max_error = 0.1", "max_error = 0.1, confidence = 0.95"),
        (
            "max_error = 0.1",
            "max_error = 0.1, confidence = 0.9, max_missed = { yes = 0.1 }",
        ),
        (
            "max_error = 0.1",
            "max_error = 0.1, confidence = 0.9, of = \"all\"",
        ),
        (
            "target = { max_error = 0.1 }",
            "router = true\ntarget = { max_error = 0.1, confidence = 0.9 }",
        ),
        (
            "max_error = 0.1",
            "max_error = 0.1, confidence = 0.9, of = \"label\"",
        ),
        (
            "max_error = 0.1",
            "max_error = 0.1, confidence = 0.9, max_wrong = { yes = 0.1 }",
        ),
        ("target = { max_error = 0.1 }", "threshold = 0.1"),
        ("r.jsonl", "s.jsonl"),
        ("..10", "..11"),
        ("rows = \"..10\"", "rows = \"..10\", gold = \"label\""),
        ("temperature = 0.5", "temperature = 0.6"),
        (
            "temperature = 0.5",
            "text_field = \"body\"\ntemperature = 0.5",
        ),
        (
            "temperature = 0.5",
            "max_completion_tokens = 5\ntemperature = 0.5",
        ),
        ("a.gguf", "b.gguf"),
        ("a.gguf", "starter"),
        ("https://example.com/v1", "https://example.com/v2"),
        ("model = \"big\"", "model = \"bigger\""),
    ] {
        assert_eq!(TEXT.matches(part).count(), 1, "{part} must stand once");
        let mut text = TEXT.replace(part, changed);
        if changed.contains("classify") {
            text = text.replace("flagged = [\"yes\"]\n", "");
        }
        assert!(seen.insert(fingerprint("", &text)), "{part} → {changed}");
    }
}

#[test]
fn it_stays_when_only_cost_load_or_place_change() {
    let known = fingerprint("", TEXT);
    for (part, changed) in [
        ("requests_max = 7", "requests_max = 8"),
        ("input = \"1\"", "input = \"3\""),
        ("threads = 1", "threads = 2"),
        ("env:KEY", "file:key"),
        ("total_seconds = 9", "total_seconds = 10"),
        ("usd = \"3\"", "usd = \"4\""),
        ("[tasks.other]", "[tasks.another]"),
        ("path = \"r.jsonl\"", "text = \"text\", path = \"r.jsonl\""),
    ] {
        assert_eq!(TEXT.matches(part).count(), 1, "{part} must stand once");
        assert_eq!(
            fingerprint("", &TEXT.replace(part, changed)),
            known,
            "{part} → {changed}"
        );
    }
    assert_eq!(fingerprint("elsewhere/deep", TEXT), known);
    assert_eq!(fingerprint("/absolute", TEXT), known);
}

/// Stored results carry it: a release that changes it by accident would orphan every run.
#[test]
fn its_encoding_is_settled() {
    let hex: String = fingerprint("", TEXT)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "b8fb5c70c75f5bbce03b074d6806a207b3cb6a8b6e129d90571c2990dafcddaa"
    );
}
