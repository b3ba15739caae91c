//! Embeddings: `models/MODEL:embedContent` and `:batchEmbedContents`, and Vertex' `:predict`.

use domain::{PromptTokens, Protocol};
use serde_json::{Map, Value};

use super::path::Target;
use super::renamed;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::embedding::{
    EmbeddingRequest, EmbeddingText, Embeddings, Encoding, NO_SUCH_FIELD, TEXTS_MAX,
};
use crate::fault::{Fault, FaultKind};
use crate::json::{Fields, list};
use crate::map;
use crate::object::{Object, Rule};
use crate::openai::embeddings::numbers;

const BODY: Rule = Rule {
    says: "send a JSON object with a content, or with requests that each have one",
    example: r#"{"content": {"parts": [{"text": "Hello"}]}}"#,
};
const REQUESTS: Rule = Rule {
    says: "the requests are 1 to 2,048, each with a content",
    example: r#"[{"content": {"parts": [{"text": "Hello"}]}}]"#,
};
const CONTENT: Rule = Rule {
    says: "a content has parts, each of them a text",
    example: r#"{"parts": [{"text": "Hello"}]}"#,
};
const DIMENSIONS: Rule = Rule {
    says: "outputDimensionality is a whole number of at least 1",
    example: "256",
};
const TASK: Rule = Rule {
    says: "the taskType is a word",
    example: r#""RETRIEVAL_QUERY""#,
};

/// The request that a body of `embedContent` holds.
///
/// # Errors
/// The first fault of the body.
pub fn parse_request(target: &Target, body: &[u8]) -> Result<EmbeddingRequest, Fault> {
    let object = Object::from_body(body, BODY)?.map_fields(renamed);
    let one = read_one(object)?;
    Ok(one.of_model(&target.model))
}

/// The request that a body of `batchEmbedContents` holds.
///
/// # Errors
/// The first fault of the body, or if its requests differ in more than their texts.
pub fn parse_batch_request(target: &Target, body: &[u8]) -> Result<EmbeddingRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?.map_fields(renamed);
    let mut all: Option<One> = None;
    let requests = object.take_list("requests", REQUESTS)?;
    if requests.len() > TEXTS_MAX {
        let found = format!("there are {}", requests.len());
        return Err(Fault::new(
            FaultKind::Invalid,
            "requests",
            found,
            REQUESTS.says,
        ));
    }
    for (index, value) in requests.into_iter().enumerate() {
        let path = format!("requests[{index}]");
        let object = Object::from_value(path.clone(), value, BODY)?;
        let one = read_one(object.map_fields(renamed))?;
        match &mut all {
            None => all = Some(one),
            Some(all) if (&all.task, all.dimensions) == (&one.task, one.dimensions) => {
                all.texts.extend(one.texts);
            }
            Some(_) => {
                let found = "it has another taskType or outputDimensionality than the first";
                let rule = "send texts of one kind in one request";
                return Err(Fault::new(FaultKind::Unsupported, path, found, rule));
            }
        }
    }
    match all {
        Some(all) => Ok(all.of_model(&target.model)),
        None => unreachable!("there is at least one request"),
    }
}

struct One {
    texts: Vec<EmbeddingText>,
    dimensions: Option<u32>,
    task: Option<String>,
}

impl One {
    fn of_model(self, model: &str) -> EmbeddingRequest {
        EmbeddingRequest {
            model: model.to_owned(),
            texts: self.texts,
            dimensions: self.dimensions,
            task: self.task,
            encoding: Encoding::Numbers,
        }
    }
}

fn read_one(mut object: Object) -> Result<One, Fault> {
    let content = object.take_required("content", CONTENT)?;
    let path = object.path_of("content");
    let mut content = Object::from_value(path, content, CONTENT)?;
    let parts = content.take_list("parts", CONTENT)?.into_iter();
    let path = content.path_of("parts");
    let texts = parts.enumerate().map(|(index, part)| {
        let mut part = Object::from_value(format!("{path}[{index}]"), part, CONTENT)?;
        part.take_text("text", CONTENT)
    });
    let texts: Vec<String> = texts.collect::<Result<_, Fault>>()?;
    let text = texts.join("\n");
    let dimensions = object.take_count("outputDimensionality", 1, DIMENSIONS)?;
    let task = object.take_any_text("taskType", TASK)?;
    // It stands in the address too.
    object.take("model");
    object.refuse_rest(NO_SUCH_FIELD)?;
    Ok(One {
        texts: vec![EmbeddingText::Plain(text)],
        dimensions: dimensions.and_then(|count| u32::try_from(count).ok()),
        task,
    })
}

/// The body of a request to AI Studio as JSON: one of `batchEmbedContents`, whatever the number of
/// texts. Those of which only tokens are known are left out; [`EmbeddingRequest::loss`] says that
/// before.
#[must_use]
pub fn encode_request(model: &str, request: &EmbeddingRequest) -> String {
    let name = format!("models/{model}");
    let requests = plain(request).map(|text| {
        let part = Fields::new().with("text", text);
        let content = Fields::new().with("parts", vec![part.into()]);
        Fields::new()
            .with("model", name.clone())
            .with("content", content)
            .with_some("taskType", request.task.as_ref())
            .with_some("outputDimensionality", request.dimensions)
    });
    Fields::new().with("requests", list(requests)).encode()
}

/// The body of a request to Vertex as JSON, whose method is `predict`.
#[must_use]
pub fn encode_predict_request(request: &EmbeddingRequest) -> String {
    let instances = plain(request).map(|text| {
        Fields::new()
            .with("content", text)
            .with_some("task_type", request.task.as_ref())
    });
    let parameters = Fields::new().with_some("outputDimensionality", request.dimensions);
    Fields::new()
        .with("instances", list(instances))
        .with("parameters", parameters)
        .encode()
}

fn plain(request: &EmbeddingRequest) -> impl Iterator<Item = &String> {
    request.texts.iter().filter_map(|text| match text {
        EmbeddingText::Plain(text) => Some(text),
        EmbeddingText::Tokens(_) => None,
    })
}

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
