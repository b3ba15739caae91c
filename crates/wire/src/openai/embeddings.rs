//! Embeddings: `/v1/embeddings`.

use domain::{PromptTokens, Protocol};
use serde_json::{Map, Value};

use crate::base64;
use crate::chat::{DecodeError, VendorError, not_the_protocol};
use crate::embedding::{
    EmbeddingRequest, EmbeddingText, Embeddings, Encoding, NO_SUCH_FIELD, TEXTS_MAX,
};
use crate::fault::{Fault, FaultKind};
use crate::json::{Fields, Json, list};
use crate::map;
use crate::object::{Object, Rule, invalid};

const BODY: Rule = Rule {
    says: "send a JSON object with a model and an input",
    example: r#"{"model": "tier:embed", "input": "Hello"}"#,
};
const MODEL: Rule = Rule {
    says: "the model is a name",
    example: r#""tier:embed""#,
};
const INPUT: Rule = Rule {
    says: "the input is a string, an array of numbers of tokens, or an array of 1 to 2,048 of \
           either, none of them empty",
    example: r#"["Hello", "World"]"#,
};
const DIMENSIONS: Rule = Rule {
    says: "dimensions is a whole number of at least 1",
    example: "256",
};
const ENCODING: Rule = Rule {
    says: "the encoding_format is float or base64",
    example: r#""float""#,
};

/// The request that a body holds.
///
/// # Errors
/// The first fault of the body, if it is no request.
pub fn parse_request(body: &[u8]) -> Result<EmbeddingRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?;
    let model = object.take_text("model", MODEL)?;
    let input = object.take_required("input", INPUT)?;
    let dimensions = object.take_count("dimensions", 1, DIMENSIONS)?;
    let encoding = object.take_with("encoding_format", ENCODING, |format| {
        match format.as_str() {
            Some("float") => Some(Encoding::Numbers),
            Some("base64") => Some(Encoding::Base64),
            _ => None,
        }
    })?;
    object.take("user");
    object.refuse_rest(NO_SUCH_FIELD)?;
    Ok(EmbeddingRequest {
        model,
        texts: read_input(input)?,
        dimensions: dimensions.and_then(|count| u32::try_from(count).ok()),
        task: None,
        encoding: encoding.unwrap_or_default(),
    })
}

/// One text, or as many as a list has; a list that begins with a number is one text's tokens.
fn read_input(input: Value) -> Result<Vec<EmbeddingText>, Fault> {
    let list = match input {
        Value::Array(list) if list.first().is_some_and(|it| !it.is_number()) => list,
        one => {
            let text = read_text(one);
            return Ok(vec![
                text.map_err(|it| invalid("input".to_owned(), &it, INPUT))?,
            ]);
        }
    };
    if list.len() > TEXTS_MAX {
        let found = format!("there are {} texts", list.len());
        return Err(Fault::new(FaultKind::Invalid, "input", found, INPUT.says));
    }
    let read = |(index, value)| {
        read_text(value).map_err(|it| invalid(format!("input[{index}]"), &it, INPUT))
    };
    list.into_iter().enumerate().map(read).collect()
}

/// A text, or its tokens.
///
/// # Errors
/// The value, where it is neither, or empty.
fn read_text(value: Value) -> Result<EmbeddingText, Value> {
    let token = |value: &Value| value.as_u64().and_then(|it| u32::try_from(it).ok());
    match value {
        Value::String(text) if !text.is_empty() => Ok(EmbeddingText::Plain(text)),
        Value::Array(list) if !list.is_empty() => match list.iter().map(token).collect() {
            Some(tokens) => Ok(EmbeddingText::Tokens(tokens)),
            None => Err(Value::Array(list)),
        },
        other => Err(other),
    }
}

/// The body of a request to a vendor as JSON.
#[must_use]
pub fn encode_request(model: &str, request: &EmbeddingRequest) -> String {
    Fields::new()
        .with("model", model)
        .with("input", list(request.texts.iter().map(input)))
        .with_some("dimensions", request.dimensions)
        .with("encoding_format", "float")
        .encode()
}

fn input(text: &EmbeddingText) -> Json<'_> {
    match text {
        EmbeddingText::Plain(text) => text.into(),
        EmbeddingText::Tokens(tokens) => list(tokens.iter().copied()),
    }
}

/// The embeddings that the body of an answer with status 200 holds.
///
/// # Errors
/// When the body is no such answer.
pub fn parse_embeddings(body: &[u8]) -> Result<Embeddings, DecodeError> {
    let mut answer: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| not_the_protocol(Protocol::OpenAiChat, "list of embeddings", &error))?;
    if answer.contains_key("error") {
        return Err(DecodeError::Vendor(VendorError::from_json(answer.into())));
    }
    let usage = map::take_object(&mut answer, "usage");
    let mut data = map::take_objects(&mut answer, "data");
    data.sort_by_key(|entry| map::count(entry, "index"));
    let vectors = data
        .iter()
        .map(|entry| read_vector(entry.get("embedding")?));
    let vectors: Option<Vec<Vec<f32>>> = vectors.collect();
    Ok(Embeddings {
        vectors: vectors
            .filter(|vectors| !vectors.is_empty())
            .ok_or(DecodeError::NoChoice)?,
        prompt: map::count(&usage, "prompt_tokens").map(PromptTokens),
        model: map::take_text(&mut answer, "model"),
    })
}

fn read_vector(vector: &Value) -> Option<Vec<f32>> {
    match vector {
        Value::String(text) => {
            let bytes = base64::decode(text)?;
            let (numbers, rest) = bytes.as_chunks::<4>();
            let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
            rest.is_empty().then(|| numbers.collect())
        }
        other => numbers(other),
    }
}

/// A vector written as a list of numbers.
pub(crate) fn numbers(list: &Value) -> Option<Vec<f32>> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "vectors are made of numbers of 32 bits"
    )]
    let number = |value: &Value| Some(value.as_f64()? as f32);
    list.as_array()?.iter().map(number).collect()
}

/// The answer as JSON, under this name of a model.
#[must_use]
pub fn encode_embeddings(model: &str, embeddings: &Embeddings, encoding: Encoding) -> String {
    let entries = embeddings.vectors.iter().enumerate();
    let entries = entries.map(|(index, vector)| {
        let vector: Json<'_> = match encoding {
            Encoding::Numbers => list(vector.iter().copied()),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|it| it.to_le_bytes()).collect();
                base64::encode(&bytes).into()
            }
        };
        Fields::new()
            .with("object", "embedding")
            .with("index", index as u64)
            .with("embedding", vector)
    });
    let tokens = embeddings.prompt.unwrap_or_default().0;
    let usage = Fields::new()
        .with("prompt_tokens", tokens)
        .with("total_tokens", tokens);
    Fields::new()
        .with("object", "list")
        .with("data", list(entries))
        .with("model", model)
        .with("usage", usage)
        .encode()
}
