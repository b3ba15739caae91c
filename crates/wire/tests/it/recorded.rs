//! Recorded answers of vendors, where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use domain::{Completion, Content};
use wire::chat::VendorError;
use wire::openai::chat;

use crate::values::{data, put_together, told};

/// The recordings in these folders; `None`, and a word about it, where there are none.
fn recordings(folders: &[&str]) -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire");
    let mut files = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            eprintln!("skipped: no recorded answers beside this checkout");
            return None;
        };
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    Some(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn openai_chat() {
    let Some(files) = recordings(&["openai/chat", "openai-compatible/chat"]) else {
        return;
    };
    assert!(files.len() >= 8, "only {} recordings found", files.len());
    for file in files {
        let (name, text) = (name(&file), fs::read_to_string(&file).unwrap());
        if name.contains("error") {
            let error = VendorError::parse(text.as_bytes());
            let tells = error.code.is_some() && error.message.is_some();
            assert!(tells, "{name}: {error:?}");
            continue;
        }
        let completion = if name.ends_with(".chunks.txt") {
            put_together(told(text.lines().map(data), chat::ChunkReader::default()).unwrap())
        } else {
            chat::parse_completion(text.as_bytes()).unwrap()
        };
        says_something(&name, &completion);
        assert_eq!(
            completion.calls_tools(),
            name.contains("tool-call"),
            "{name}"
        );
        let thinks = |part: &domain::Part| matches!(part.content, Content::Reasoning(_));
        let thinks = completion.parts.iter().any(thinks);
        assert_eq!(thinks, name.starts_with("xai"), "{name}");
    }
}

fn says_something(name: &str, completion: &Completion) {
    let usage = completion.usage;
    let usage = usage.unwrap_or_else(|| panic!("{name}: no usage"));
    let counted = usage.prompt.0 > 0 && usage.completion.0 > 0;
    assert!(counted, "{name}: {usage:?}");
    let cached = usage.cached_prompt.0 + usage.cache_write_prompt.0;
    assert!(cached <= usage.prompt.0, "{name}: {usage:?}");
    assert!(usage.reasoning <= usage.completion, "{name}: {usage:?}");
    let says = completion.calls_tools() || !completion.text().is_empty();
    assert!(says, "{name}: {completion:?}");
}
