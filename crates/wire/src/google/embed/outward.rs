//! Outward: what a vendor is asked.

use super::super::path::Method;
use crate::embedding::{EmbeddingRequest, EmbeddingText};
use crate::json::{Fields, list};

/// How a model is asked for vectors: by which methods, and where its settings stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Manner {
    /// At AI Studio, by `batchEmbedContents`.
    AiStudio,
    /// At Vertex, by `embedContent` and `batchEmbedContents`: Gemini's.
    Vertex,
    /// At Vertex, by `embedContent` alone, a text at a time: other makers' (`…-maas`).
    VertexByOne,
    /// At Vertex, by `predict`: models from before Gemini's.
    Predict,
}

impl Manner {
    /// How Vertex is asked about a model, which Google's own library tells from its name
    /// (`google-genai` 3.4, `t_is_vertex_embed_content_model`).
    #[must_use]
    pub fn at_vertex(model: &str) -> Self {
        if model.contains("maas") {
            Self::VertexByOne
        } else if model.contains("gemini") {
            Self::Vertex
        } else {
            Self::Predict
        }
    }

    /// Most texts of one request; at least 1.
    #[must_use]
    pub fn texts_max(self) -> usize {
        match self {
            Self::AiStudio | Self::Vertex => 100,
            Self::VertexByOne => 1,
            Self::Predict => 250,
        }
    }

    /// The method by which so many texts are asked about.
    #[must_use]
    pub fn method(self, texts: usize) -> Method {
        match self {
            Self::Predict => Method::Predict,
            Self::Vertex | Self::VertexByOne if texts <= 1 => Method::EmbedContent,
            Self::AiStudio | Self::Vertex | Self::VertexByOne => Method::BatchEmbedContents,
        }
    }

    /// The body of a request by that method as JSON. Texts of which only tokens are known are left
    /// out; [`EmbeddingRequest::loss`] says that before.
    #[must_use]
    pub fn encode_request(self, model: &str, request: &EmbeddingRequest) -> String {
        let body = match self.method(request.texts.len()) {
            Method::Predict => predict(request),
            Method::EmbedContent => match plain(request).next() {
                Some(text) => at_vertex(text, request),
                None => Fields::new(),
            },
            _ => {
                let requests = plain(request).map(|text| match self {
                    Self::AiStudio => at_ai_studio((model, text), request),
                    _ => at_vertex(text, request),
                });
                Fields::new().with("requests", list(requests))
            }
        };
        body.encode()
    }
}

fn at_ai_studio<'a>((model, text): (&str, &'a str), request: &'a EmbeddingRequest) -> Fields<'a> {
    Fields::new()
        .with("model", format!("models/{model}"))
        .with("content", content(text))
        .followed_by(settings(request))
}

/// Where Vertex has the settings, which stand beside the content at AI Studio.
fn at_vertex<'a>(text: &'a str, request: &'a EmbeddingRequest) -> Fields<'a> {
    let settings = settings(request);
    let settings = (!settings.is_empty()).then_some(settings);
    Fields::new()
        .with("content", content(text))
        .with_some("embedContentConfig", settings)
}

fn content(text: &str) -> Fields<'_> {
    let part = Fields::new().with("text", text);
    Fields::new().with("parts", vec![part.into()])
}

fn settings(request: &EmbeddingRequest) -> Fields<'_> {
    Fields::new()
        .with_some("taskType", request.task.as_ref())
        .with_some("outputDimensionality", request.dimensions)
}

fn predict(request: &EmbeddingRequest) -> Fields<'_> {
    let instances = plain(request).map(|text| {
        Fields::new()
            .with("content", text)
            .with_some("task_type", request.task.as_ref())
    });
    let parameters = Fields::new().with_some("outputDimensionality", request.dimensions);
    Fields::new()
        .with("instances", list(instances))
        .with("parameters", parameters)
}

fn plain(request: &EmbeddingRequest) -> impl Iterator<Item = &str> {
    request.texts.iter().filter_map(|text| match text {
        EmbeddingText::Plain(text) => Some(text.as_str()),
        EmbeddingText::Tokens(_) => None,
    })
}
