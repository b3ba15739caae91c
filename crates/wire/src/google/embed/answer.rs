//! The answer: a vendor's, and ours.

use domain::{PromptTokens, Protocol};
use serde_json::{Map, Value};

use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::embedding::Embeddings;
use crate::json::{Fields, list};
use crate::map;
use crate::openai::embeddings::numbers;

/// The embeddings that the body of an answer with status 200 holds, of any of the three methods.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_embeddings(body: &[u8]) -> Result<Embeddings, DecodeError> {
    let mut answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(Protocol::Google, "list of embeddings", &error))?;
    if answer.contains_key("error") {
        return Err(DecodeError::Vendor(VendorError::from_json(answer.into())));
    }
    let mut found = match answer.shift_remove("embedding") {
        Some(Value::Object(one)) => vec![one],
        _ => map::take_objects(&mut answer, "embeddings"),
    };
    for mut prediction in map::take_objects(&mut answer, "predictions") {
        found.push(map::take_object(&mut prediction, "embeddings"));
    }
    let counts = found
        .iter()
        .map(|it| it.get("statistics")?.get("token_count")?.as_u64());
    let counted: Option<u64> = counts.sum();
    let usage = map::take_object(&mut answer, "usageMetadata");
    let tokens = map::count(&usage, "promptTokenCount").or(counted);
    let vectors = found.iter().map(|it| numbers(it.get("values")?));
    let vectors: Option<Vec<Vec<f32>>> = vectors.collect();
    Ok(Embeddings {
        vectors: vectors
            .filter(|vectors| !vectors.is_empty())
            .ok_or(DecodeError::NoChoice)?,
        prompt: tokens.map(PromptTokens),
        model: String::new(),
    })
}

/// The answer to `embedContent` as JSON: the first vector.
#[must_use]
pub fn encode_embedding(embeddings: &Embeddings) -> String {
    let first = embeddings.vectors.first().map(|it| entry(it));
    let answer = Fields::new().with_some("embedding", first);
    answer
        .with_some("usageMetadata", usage(embeddings))
        .encode()
}

/// The answer to `batchEmbedContents` as JSON.
#[must_use]
pub fn encode_embeddings(embeddings: &Embeddings) -> String {
    let entries = embeddings.vectors.iter().map(|it| entry(it));
    let answer = Fields::new().with("embeddings", list(entries));
    answer
        .with_some("usageMetadata", usage(embeddings))
        .encode()
}

fn usage(embeddings: &Embeddings) -> Option<Fields<'static>> {
    let tokens = embeddings.prompt?.0;
    Some(Fields::new().with("promptTokenCount", tokens))
}

fn entry(vector: &[f32]) -> Fields<'static> {
    Fields::new().with("values", list(vector.iter().copied()))
}

/// The answer to Vertex' `predict` as JSON. It counts the tokens of each text; those that are known
/// of all together stand with the first.
#[must_use]
pub fn encode_predictions(embeddings: &Embeddings) -> String {
    let entries = embeddings.vectors.iter().enumerate();
    let predictions = entries.map(|(index, vector)| {
        let tokens = embeddings.prompt.map(|tokens| match index {
            0 => tokens.0,
            _ => 0,
        });
        let statistics = Fields::new().with_some("token_count", tokens);
        let embedding = entry(vector).with("statistics", statistics);
        Fields::new().with("embeddings", embedding)
    });
    Fields::new()
        .with("predictions", list(predictions))
        .encode()
}
