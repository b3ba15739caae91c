//! Recorded answers of vendors, where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use domain::{Completion, Content};
use wire::anthropic::messages;
use wire::chat::{AnswerHead, VendorError};
use wire::google::generate;
use wire::openai::{chat, completions, responses};

use crate::values::{data, framed, json, put_together, told};

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

#[test]
fn anthropic_messages() {
    let Some(files) = recordings(&["anthropic/messages"]) else {
        return;
    };
    assert!(files.len() >= 60, "only {} recordings found", files.len());
    for file in files {
        let (name, text) = (name(&file), fs::read_to_string(&file).unwrap());
        let completion = if name.ends_with(".chunks.txt") {
            let reader = messages::ChunkReader::default();
            let events = match told(text.lines().map(data), reader) {
                Ok(events) => events,
                Err(error) => {
                    // A proxy began a second message within the first.
                    assert_eq!(error, wire::chat::DecodeError::Restarted, "{name}");
                    assert_eq!(name, "spliced-message-start.chunks.txt");
                    continue;
                }
            };
            let completion = put_together(events.clone());
            let mut encoder = messages::StreamEncoder::new(head(&completion));
            let mut stream = String::new();
            for event in &events {
                encoder.event(event, &mut stream);
            }
            let again = told(
                framed(stream.as_bytes(), 11),
                messages::ChunkReader::default(),
            );
            assert_eq!(put_together(again.unwrap()), completion, "{name}");
            completion
        } else {
            let completion = messages::parse_completion(text.as_bytes()).unwrap();
            let written = json(&messages::encode_completion(
                &head(&completion),
                &completion,
            ));
            let recorded = json(&text);
            for field in ["content", "stop_reason", "container", "context_management"] {
                assert_eq!(written.get(field), recorded.get(field), "{name}: {field}");
            }
            completion
        };
        let usage = completion
            .usage
            .unwrap_or_else(|| panic!("{name}: no usage"));
        assert!(
            usage.prompt.0 > 0 && usage.completion.0 > 0,
            "{name}: {usage:?}"
        );
        let refused = completion.finish_reason == domain::FinishReason::Refusal;
        assert_eq!(completion.parts.is_empty(), refused, "{name}");
    }
}

#[test]
fn google_generate_content() {
    let Some(files) = recordings(&["google/messages"]) else {
        return;
    };
    assert!(files.len() >= 14, "only {} recordings found", files.len());
    for file in files {
        let (name, text) = (name(&file), fs::read_to_string(&file).unwrap());
        if name.contains("429") {
            let error = VendorError::parse(text.as_bytes());
            assert_eq!(error.kind.as_deref(), Some("RESOURCE_EXHAUSTED"));
            continue;
        }
        let completion = if name.ends_with(".chunks.txt") {
            let reader = generate::ChunkReader::default();
            let events = told(text.lines().map(data), reader).unwrap();
            let completion = put_together(events.clone());
            let head = head(&completion);
            let mut encoder = generate::StreamEncoder::new(head, generate::Framing::Events);
            let mut stream = String::new();
            for event in &events {
                encoder.event(event, &mut stream);
            }
            let again = told(
                framed(stream.as_bytes(), 11),
                generate::ChunkReader::default(),
            );
            let again = put_together(again.unwrap());
            assert_eq!(nameless(again), nameless(completion.clone()), "{name}");
            completion
        } else {
            let completion = generate::parse_completion(text.as_bytes()).unwrap();
            let written = json(&generate::encode_completion(
                &head(&completion),
                &completion,
            ));
            let content = "/candidates/0/content";
            let recorded = json(&text);
            assert_eq!(
                written.pointer(content),
                recorded.pointer(content),
                "{name}"
            );
            completion
        };
        says_something(&name, &completion);
        for part in &completion.parts {
            if let Content::ToolCall(call) = &part.content {
                assert!(json(&call.arguments).is_object(), "{name}: {call:?}");
            }
        }
    }
}

#[test]
fn openai_responses() {
    let Some(files) = recordings(&["openai/responses"]) else {
        return;
    };
    assert!(files.len() >= 60, "only {} recordings found", files.len());
    for file in files {
        let (name, text) = (name(&file), fs::read_to_string(&file).unwrap());
        if name == "parallel-tool-call-wrapper.1.chunks.txt" {
            // Its first event has lost its last brace.
            let cut = told(text.lines().map(data), responses::ChunkReader::default());
            let is_none = matches!(cut, Err(wire::chat::DecodeError::NotTheProtocol { .. }));
            assert!(is_none, "{cut:?}");
            continue;
        }
        if name.contains("error") {
            let failed = match name.ends_with(".json") {
                true => responses::parse_completion(text.as_bytes()).map(|_| ()),
                false => {
                    let reader = responses::ChunkReader::default();
                    told(text.lines().map(data), reader).map(|_| ())
                }
            };
            let is_told = matches!(failed, Err(wire::chat::DecodeError::Vendor(_)));
            assert!(is_told, "{name}: {failed:?}");
            continue;
        }
        let completion = match name.ends_with(".chunks.txt") {
            true => responses_stream(&name, &text),
            false => responses_answer(&name, &text),
        };
        let usage = completion.usage;
        assert!(usage.is_some(), "{name}: no usage");
        assert!(!completion.parts.is_empty(), "{name}");
    }
}

/// The completion of a recorded stream, which is told again by our own.
fn responses_stream(name: &str, text: &str) -> Completion {
    let events = text.lines().map(data);
    let events = told(events, responses::ChunkReader::default());
    let events = events.unwrap_or_else(|error| panic!("{name}: {error}"));
    let completion = put_together(events.clone());
    let echo = responses::Echo::default();
    let mut encoder = responses::StreamEncoder::new(head(&completion), echo);
    let mut stream = String::new();
    for event in &events {
        encoder.event(event, &mut stream);
    }
    let again = told(
        framed(stream.as_bytes(), 11),
        responses::ChunkReader::default(),
    );
    let again = put_together(again.unwrap());
    assert_eq!(contents(&again), contents(&completion), "{name}");
    completion
}

/// The completion of a recorded answer, whose items are written back as they were.
fn responses_answer(name: &str, text: &str) -> Completion {
    let completion = responses::parse_completion(text.as_bytes()).unwrap();
    let echo = responses::Echo::default();
    let written = responses::encode_completion(&head(&completion), &echo, &completion);
    let items = |answer: serde_json::Value| {
        let items = answer["output"].as_array().unwrap().iter();
        // The names of messages are our own.
        let others = items.filter(|item| item["type"] != "message");
        let mut others: Vec<serde_json::Value> = others.cloned().collect();
        for item in &mut others {
            // Fields say nothing where they are null.
            let fields = item.as_object_mut().unwrap();
            fields.retain(|_, value| !value.is_null());
        }
        others
    };
    assert_eq!(items(json(&written)), items(json(text)), "{name}");
    completion
}

#[test]
fn openai_completions_and_embeddings() {
    let folders = [
        "openai/completion",
        "openai/embedding",
        "google-vertex/messages",
    ];
    let Some(files) = recordings(&folders) else {
        return;
    };
    assert!(files.len() >= 4, "only {} recordings found", files.len());
    for file in files {
        let (name, text) = (name(&file), fs::read_to_string(&file).unwrap());
        if name.ends_with("embedding.json") {
            let vectors = match name.starts_with("google") {
                true => wire::google::embed::parse_embeddings(text.as_bytes()),
                false => wire::openai::embeddings::parse_embeddings(text.as_bytes()),
            };
            let vectors = vectors.unwrap();
            assert!(vectors.vectors.iter().all(|it| it.len() > 1), "{name}");
            assert!(vectors.prompt.is_some(), "{name}");
            continue;
        }
        let completion = match name.ends_with(".chunks.txt") {
            true => {
                let reader = completions::ChunkReader::default();
                put_together(told(text.lines().map(data), reader).unwrap())
            }
            false => completions::parse_completion(text.as_bytes()).unwrap(),
        };
        says_something(&name, &completion);
    }
}

fn contents(completion: &Completion) -> Vec<&Content> {
    completion.parts.iter().map(|part| &part.content).collect()
}

/// A completion without the names of its calls: where a vendor gives none they are made of the
/// answer's own name.
fn nameless(mut completion: Completion) -> Completion {
    for part in &mut completion.parts {
        if let Content::ToolCall(call) = &mut part.content {
            call.id.clear();
        }
    }
    completion
}

fn head(completion: &Completion) -> AnswerHead {
    AnswerHead {
        id: "msg_1".into(),
        created_s: 0,
        model: completion.model.clone(),
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
