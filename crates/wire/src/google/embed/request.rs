//! Inward: what a client asks.

use super::super::path::Target;
use super::super::renamed;
use crate::embedding::{EmbeddingRequest, EmbeddingText, Encoding, NO_SUCH_FIELD, TEXTS_MAX};
use crate::fault::{Fault, FaultKind};
use crate::object::{Object, Rule};

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
const INSTANCES: Rule = Rule {
    says: "the instances are 1 to 2,048, each with a content that is a text",
    example: r#"[{"content": "Hello"}]"#,
};
const SETTINGS: Rule = Rule {
    says: "the settings are an object",
    example: r#"{"outputDimensionality": 256}"#,
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
    let all = read_all(&mut object, ("requests", REQUESTS), read_one)?;
    Ok(all.of_model(&target.model))
}

/// The request that a body of Vertex' `predict` holds.
///
/// # Errors
/// As [`parse_batch_request`].
pub fn parse_predict_request(target: &Target, body: &[u8]) -> Result<EmbeddingRequest, Fault> {
    let mut object = Object::from_body(body, BODY)?.map_fields(renamed);
    let all = read_all(&mut object, ("instances", INSTANCES), read_instance)?;
    let dimensions = match object.take_object("parameters", SETTINGS)? {
        Some(settings) => read_dimensions(&mut settings.map_fields(renamed))?,
        None => None,
    };
    Ok(One { dimensions, ..all }.of_model(&target.model))
}

/// What stands in a list of requests that differ in their texts alone.
fn read_all(
    object: &mut Object,
    (name, rule): (&str, Rule),
    read: impl Fn(Object) -> Result<One, Fault>,
) -> Result<One, Fault> {
    let mut all: Option<One> = None;
    let requests = object.take_list(name, rule)?;
    if requests.len() > TEXTS_MAX {
        let found = format!("there are {}", requests.len());
        return Err(Fault::new(FaultKind::Invalid, name, found, rule.says));
    }
    for (index, value) in requests.into_iter().enumerate() {
        let path = format!("{name}[{index}]");
        let object = Object::from_value(path.clone(), value, BODY)?;
        let one = read(object.map_fields(renamed))?;
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
    Ok(all.unwrap_or_else(|| unreachable!("there is at least one request")))
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
    // Vertex has the settings in a place of their own.
    let settings = object.take_object("embedContentConfig", SETTINGS)?;
    let (dimensions, task) = match settings {
        Some(settings) => {
            let mut settings = settings.map_fields(renamed);
            let read = read_settings(&mut settings)?;
            settings.refuse_rest(NO_SUCH_FIELD)?;
            read
        }
        None => read_settings(&mut object)?,
    };
    // It stands in the address too.
    object.take("model");
    object.refuse_rest(NO_SUCH_FIELD)?;
    Ok(One {
        texts: vec![EmbeddingText::Plain(text)],
        dimensions,
        task,
    })
}

fn read_settings(object: &mut Object) -> Result<(Option<u32>, Option<String>), Fault> {
    let dimensions = read_dimensions(object)?;
    Ok((dimensions, object.take_any_text("taskType", TASK)?))
}

fn read_dimensions(object: &mut Object) -> Result<Option<u32>, Fault> {
    let count = object.take_count("outputDimensionality", 1, DIMENSIONS)?;
    Ok(count.and_then(|count| u32::try_from(count).ok()))
}

fn read_instance(mut object: Object) -> Result<One, Fault> {
    let text = object.take_text("content", INSTANCES)?;
    let task = object.take_any_text("taskType", TASK)?;
    object.refuse_rest(NO_SUCH_FIELD)?;
    Ok(One {
        texts: vec![EmbeddingText::Plain(text)],
        dimensions: None,
        task,
    })
}
