//! OpenAI's completions of a text: by the engine, by a vendor, and with a gap to be filled.

use std::path::Path;

use serde_json::{Value, json};

use super::{and, document, with};
use crate::server::{Server, attempts};
use crate::vendor::{Manner, Vendor};
use crate::workplace::{MATTERS, Workplace};

fn says(model: &str, prompt: &str) -> Value {
    json!({"model": model, "prompt": prompt, "max_tokens": 12})
}

fn text(body: &Value) -> &str {
    body["choices"][0]["text"].as_str().unwrap()
}

const PUBLIC: &str = "[server]\ndirect_sensitivity = \"public\"\n";

#[test]
fn the_engine_goes_on_with_a_text_whole_and_streamed() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let request = says("tier:llama", "The bank of Nordic Timber AB was");
    let response = server.post("/v1/completions", &request, "");
    assert_eq!(response.status, 200, "{}", response.text());
    let whole = response.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["id"], format!("cmpl-{}", response.id().0));
    assert!(!text(&whole).is_empty(), "{whole}");
    assert_eq!(response.header("x-tiergate-tier"), Some("llama"));
    assert_eq!(attempts(&place, &response.id()).len(), 1);
    // Nothing stands before the text: no turn, no template.
    let chat = json!({"model": "tier:llama", "max_tokens": 12, "messages": [
        {"role": "user", "content": "The bank of Nordic Timber AB was"}]});
    let in_turns = server.chat(&chat).json()["usage"]["prompt_tokens"].as_u64();
    assert!(
        whole["usage"]["prompt_tokens"].as_u64() < in_turns,
        "{whole}"
    );
    let stream = and(request, "stream", true);
    let stream = and(stream, "stream_options", json!({"include_usage": true}));
    let chunks = server.post("/v1/completions", &stream, "").chunks();
    let written = chunks
        .iter()
        .filter_map(|it| it["choices"][0]["text"].as_str());
    assert_eq!(written.collect::<String>(), text(&whole));
    let total = |body: &Value| body["usage"]["total_tokens"].as_u64();
    assert_eq!(total(chunks.last().unwrap()), total(&whole));
    server.stop();
}

#[test]
fn a_task_with_labels_labels_the_text() {
    let place = Workplace::new();
    let server = Server::start(&place, &with(&["llama"], "", ""));
    let request = says("task:classify", &document(0).0);
    let response = server.post("/v1/completions", &request, "");
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(MATTERS.contains(&text(&response.json())));
    let gap = server.post("/v1/completions", &and(request, "suffix", "."), "");
    assert_eq!(gap.status, 400);
    assert_eq!(gap.json()["error"]["param"], "suffix", "{}", gap.text());
    server.stop();
}

#[test]
fn a_gap_is_filled_by_the_models_own_tokens_or_refused_by_name() {
    let place = Workplace::new();
    place.write("gaps.gguf", with_gap_tokens());
    let gaps = "[tiers.gaps]\nkind = \"local\"\nmodel = \"gaps.gguf\"\n";
    let server = Server::start(&place, &with(&["llama"], gaps, ""));
    let asks = |tier: &str, prompt: &str, suffix: Option<&str>| {
        let request = says(tier, prompt);
        let request = match suffix {
            Some(suffix) => and(request, "suffix", suffix),
            None => request,
        };
        server.post("/v1/completions", &request, "")
    };
    let refused = asks("tier:llama", "The bank", Some("on Monday."));
    assert_eq!(refused.status, 400);
    let message = refused.json()["error"]["message"].to_string();
    assert!(
        message.contains("suffix: starter has no fill-in-the-middle"),
        "{message}"
    );
    let read = |response: crate::server::Response| {
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let (before, behind) = ("The bank", "on Monday.");
    let filled = read(asks("tier:gaps", before, Some(behind)));
    let alone = |text| read(asks("tier:llama", text, None));
    // Each text begins with the beginning-of-text token, and a gap has that once.
    let begin = alone("a") - 1;
    assert_eq!(filled, alone(before) + alone(behind) - begin + 3);
    server.stop();
}

/// The starter model, said to have tokens for gaps.
fn with_gap_tokens() -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let file = std::fs::read(models.join("tiergate-starter.gguf")).unwrap();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut said = Vec::new();
    for (token, name) in (1_u32..).zip(["fim_pre", "fim_suf", "fim_mid"]) {
        text(&mut said, &format!("tokenizer.ggml.{name}_token_id"));
        said.extend(4_u32.to_le_bytes());
        said.extend(token.to_le_bytes());
    }
    // A text of such a length that what follows stays where it must be: at a multiple of 32.
    text(&mut said, "general.comment");
    said.extend(8_u32.to_le_bytes());
    let missing = (said.len() + 8).next_multiple_of(32) - said.len() - 8;
    text(&mut said, &" ".repeat(missing));
    let values = u64::from_le_bytes(file[16..24].try_into().unwrap()) + 4;
    [&file[..16], &values.to_le_bytes(), &said, &file[24..]].concat()
}

#[test]
fn a_vendor_is_asked_on_its_own_surface_and_paid_to_the_picodollar() {
    let place = Workplace::new();
    let vendor = Vendor::start(&place, &Manner::default());
    let config = with(&["llama"], &format!("{PUBLIC}{}", vendor.config()), "");
    let server = Server::start(&place, &config);
    let (document, matter) = document(2);
    let request = and(says("tier:frontier", &document), "suffix", "\n}");
    let response = server.post("/v1/completions", &request, "");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(text(&response.json()), matter);
    let stream = server.post("/v1/completions", &and(request, "stream", true), "");
    let chunks = stream.chunks();
    let written = chunks
        .iter()
        .filter_map(|it| it["choices"][0]["text"].as_str());
    assert_eq!(written.collect::<String>(), matter);
    server.stop();
    let told = response.header("x-tiergate-cost-usd").unwrap();
    let told = domain::Picodollars::from_usd(told).unwrap();
    assert_eq!(vendor.close(), (told.plus(told).unwrap(), 2));
}

#[test]
fn what_has_no_form_for_a_text_refuses_it_by_name() {
    let place = Workplace::new();
    let tiers = "[tiers.claude]\nkind = \"pool\"\nprotocol = \"anthropic\"\n\
                 url = \"http://127.0.0.1:9/v1\"\nmodel = \"x\"\n\
                 [tasks.talk]\nkind = \"chat\"\nprompt = \"Be brief.\"\ntiers = [\"llama\"]\n";
    let server = Server::start(&place, &with(&["llama"], tiers, ""));
    for (model, words) in [
        ("tier:claude", "no form for a text to be continued"),
        ("task:talk", "task talk has an instruction"),
    ] {
        let response = server.post("/v1/completions", &says(model, "x"), "");
        assert_eq!(
            (response.status, response.code().as_str()),
            (400, "unsupported_parameter")
        );
        let error = response.json()["error"].clone();
        assert_eq!(error["param"], "prompt", "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
    }
    let unknown = server.post("/v1/completions", &says("gpt-9", "x"), "");
    assert_eq!(unknown.code(), "model_not_found");
    server.stop();
}
