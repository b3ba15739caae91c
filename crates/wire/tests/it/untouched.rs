//! What vendors said that nobody here knows reaches a client of the same protocol: of every value
//! in the recorded answers of the surfaces that are served, where they are at hand.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use domain::StreamEvent;
use serde_json::Value;
use wire::chat::{AnswerHead, ChunkReader, Form, StreamUsage, Surface, parse_completion};
use wire::google::generate::Framing;
use wire::openai::responses::Echo;

use crate::values::{data, framed};

/// A surface, and what of its answers is said anew: names, times and settings of our own, and what
/// has another form in the same sense.
struct Served {
    surface: Surface,
    form: Form,
    folders: &'static [&'static str],
    anew: &'static [&'static str],
}

fn served() -> [Served; 5] {
    [
        Served {
            surface: Surface::OpenAiChat,
            form: Form::OpenAiChat(StreamUsage::Asked),
            folders: &["openai/chat", "openai-compatible/chat"],
            anew: &[
                "created",
                "id",
                "model",
                "obfuscation",
                // Reasoning is counted among what is written.
                "usage.completion_tokens",
            ],
        },
        Served {
            surface: Surface::OpenAiCompletions,
            form: Form::OpenAiCompletions(StreamUsage::Asked),
            folders: &["openai/completion"],
            anew: &["created", "id", "model"],
        },
        Served {
            surface: Surface::OpenAiResponses,
            form: Form::OpenAiResponses(Echo::default()),
            folders: &["openai/responses"],
            anew: RESPONSES_ANEW,
        },
        Served {
            surface: Surface::Anthropic,
            form: Form::Anthropic,
            folders: &["anthropic/messages"],
            anew: MESSAGES_ANEW,
        },
        Served {
            surface: Surface::Google,
            form: Form::Google(Framing::Events),
            folders: &["google/messages"],
            anew: &[
                // The arguments of a call are told when they are whole.
                "candidates.content.parts.functionCall",
                "createTime",
                "modelVersion",
                "responseId",
                "usageMetadata",
            ],
        },
    ]
}

const RESPONSES_ANEW: &[&str] = &[
    // Told at the item's end, as it was then.
    "added.item.encrypted_content",
    "background",
    "completed_at",
    "content_index",
    "created_at",
    "id",
    "instructions",
    "item_id",
    "max_output_tokens",
    "metadata",
    "model",
    "obfuscation",
    "output.encrypted_content",
    "output.fingerprint",
    "output_index",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "sequence_number",
    "status",
    "store",
    "summary_index",
    "temperature",
    "text.verbosity",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
const MESSAGES_ANEW: &[&str] = &[
    // The arguments of a call are told in deltas.
    "content_block.input",
    // Blocks of kinds that nobody here knows are told whole.
    "delta.content",
    "delta.partial_json",
    "delta.signature",
    "delta.type",
    "id",
    "index",
    "model",
    "ping",
];

/// Recordings whose deltas are not all there, so that what is told again at the end is more; and one
/// with a message of no text, which is not told.
const SHORTENED: [&str; 3] = [
    "openai-image-generation-tool.1.chunks.txt",
    "openai-phase.1.chunks.txt",
    "openai-shell-container.1.chunks.txt",
];

type Leaves = BTreeSet<(String, String)>;

/// Every value under its path, without the numbers of lists, and without what is null or empty. Values
/// of events stand under their type.
fn leaves(path: &str, value: &Value, all: &mut Leaves) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{name}"), value, all);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| leaves(path, value, all)),
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        value => {
            all.insert((path.to_owned(), value.to_string()));
        }
    }
}

fn leaves_of(text: &str, all: &mut Leaves) {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        leaves(&kind, &value, all);
    }
}

/// Whether these steps stand in a path.
fn stands_in(path: &str, steps: &str) -> bool {
    format!(".{path}.").contains(&format!(".{steps}."))
}

fn head(model: String) -> AnswerHead {
    AnswerHead {
        id: "x".into(),
        created_s: 0,
        model,
    }
}

/// What was said and what is told on of it; `None` where it is no answer.
fn told_on(served: &Served, text: &str, is_stream: bool) -> Option<(Leaves, Leaves)> {
    let (mut said, mut told) = (Leaves::new(), Leaves::new());
    if !is_stream {
        let completion = parse_completion(served.surface, text.as_bytes()).ok()?;
        let head = head(completion.model.clone());
        let written = served.form.encode_completion(&head, &completion);
        leaves_of(text, &mut said);
        leaves_of(&written, &mut told);
        return Some((said, told));
    }
    let mut reader = ChunkReader::new(served.surface);
    let mut events = VecDeque::new();
    for line in text.lines() {
        reader.read(&data(line), &mut events).ok()?;
        leaves_of(line, &mut said);
        if matches!(events.back(), Some(StreamEvent::End(_))) {
            break;
        }
    }
    reader.finish(&mut events).ok()?;
    let mut encoder = served.form.stream(head("m".into()));
    let mut stream = String::new();
    for event in &events {
        encoder.event(event, &mut stream);
    }
    for event in framed(stream.as_bytes(), 4096) {
        leaves_of(&event.data, &mut told);
    }
    Some((said, told))
}

#[test]
fn nothing_that_vendors_say_is_lost_on_the_way_to_a_client_of_their_protocol() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire");
    let mut lost = BTreeSet::new();
    for served in served() {
        for folder in served.folders {
            let Ok(files) = fs::read_dir(root.join(folder)) else {
                eprintln!("skipped: no recorded answers beside this checkout");
                return;
            };
            for file in files {
                let file = file.unwrap().path();
                let text = fs::read_to_string(&file).unwrap();
                let name = file.file_name().unwrap().to_string_lossy();
                if SHORTENED.contains(&&*name) {
                    continue;
                }
                let Some((said, told)) = told_on(&served, &text, name.ends_with(".chunks.txt"))
                else {
                    continue;
                };
                let mut missing: Vec<&str> =
                    said.difference(&told).map(|it| it.0.as_str()).collect();
                missing.dedup();
                let is_anew = |path: &&str| served.anew.iter().any(|anew| stands_in(path, anew));
                missing.retain(|path| !is_anew(path));
                lost.extend(
                    missing
                        .iter()
                        .map(|path| format!("{:?} {path} ({name})", served.surface)),
                );
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn every_recorded_stream_is_the_same_however_it_is_cut() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wire");
    let Ok(folders) = fs::read_dir(&root) else {
        eprintln!("skipped: no recorded answers beside this checkout");
        return;
    };
    let mut streams = 0;
    let folders = folders
        .map(|it| it.unwrap().path())
        .filter(|it| it.is_dir());
    let surfaces = folders.flat_map(|it| fs::read_dir(it).unwrap());
    for surface in surfaces.map(|it| it.unwrap().path()) {
        for file in fs::read_dir(&surface).unwrap() {
            let file = file.unwrap().path();
            if !file.to_string_lossy().ends_with(".chunks.txt") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for end in ["\n", "\r\n", "\r"] {
                let lines = text.lines().map(|line| format!("data: {line}{end}{end}"));
                let stream: String = lines.collect();
                let whole = framed(stream.as_bytes(), stream.len());
                assert_eq!(
                    whole.len(),
                    text.lines().filter(|it| !it.is_empty()).count()
                );
                // In pieces of one byte there is a cut behind every byte.
                for bytes in [1, 2, 3, 7] {
                    let cut = framed(stream.as_bytes(), bytes);
                    assert!(cut == whole, "{}, in pieces of {bytes}", file.display());
                }
            }
            streams += 1;
        }
    }
    assert!(streams >= 60, "only {streams} recorded streams found");
}
