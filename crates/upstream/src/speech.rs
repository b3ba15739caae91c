//! How each protocol is spoken to a vendor: its addresses and its headers.

use domain::Protocol;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Uri};
use wire::chat::{Delivery, Naming};
use wire::google::embed::Manner;
use wire::google::path::{Method, Target};

/// The version of Anthropic's protocol, which each request must name.
const ANTHROPIC_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);

/// The header in which an endpoint wants its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyHeader {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`, as Azure wants it.
    ApiKey,
    /// `x-api-key: KEY`, as Anthropic wants it.
    XApiKey,
    /// `x-goog-api-key: KEY`, as AI Studio wants it.
    XGoogApiKey,
}

impl KeyHeader {
    /// Its name.
    pub(crate) fn name(self) -> HeaderName {
        match self {
            Self::Bearer => AUTHORIZATION,
            Self::ApiKey => HeaderName::from_static("api-key"),
            Self::XApiKey => HeaderName::from_static("x-api-key"),
            Self::XGoogApiKey => HeaderName::from_static("x-goog-api-key"),
        }
    }
}

/// A protocol as an address wants it spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speech {
    protocol: Protocol,
    /// Whether it is spoken at Vertex, which has ways of its own for what its publishers made.
    at_vertex: bool,
}

impl Speech {
    /// How this protocol is spoken at an address. Vertex' end with the publisher of the model,
    /// `…/publishers/google` or `…/publishers/anthropic`.
    pub(crate) fn new(protocol: Protocol, base: &Uri) -> Self {
        let path = base.path().trim_end_matches('/');
        let before = path
            .rsplit_once('/')
            .map_or("", |(before, _publisher)| before);
        Self {
            protocol,
            at_vertex: before.ends_with("/publishers"),
        }
    }

    /// The header in which the key is wanted.
    pub(crate) fn key_header(self) -> KeyHeader {
        match self.protocol {
            _ if self.at_vertex => KeyHeader::XGoogApiKey,
            Protocol::OpenAiChat | Protocol::OpenAiResponses => KeyHeader::Bearer,
            Protocol::Anthropic => KeyHeader::XApiKey,
            Protocol::Google => KeyHeader::XGoogApiKey,
        }
    }

    /// The header that each request must have, beside those of every protocol.
    pub(crate) fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self.protocol {
            Protocol::Anthropic if !self.at_vertex => Some(ANTHROPIC_VERSION),
            _ => None,
        }
    }

    /// Where the model is named.
    pub(crate) fn naming(self) -> Naming {
        match self.at_vertex {
            true => Naming::InAddress,
            false => Naming::InBody,
        }
    }

    /// What stands behind the address, from the slash on.
    pub(crate) fn path(self, model: &str, delivery: Delivery) -> String {
        match self.protocol {
            Protocol::OpenAiChat => "/chat/completions".to_owned(),
            Protocol::OpenAiResponses => "/responses".to_owned(),
            Protocol::Anthropic if self.at_vertex => match delivery {
                Delivery::Whole => format!("/models/{model}:rawPredict"),
                Delivery::Streamed => format!("/models/{model}:streamRawPredict"),
            },
            Protocol::Anthropic => "/messages".to_owned(),
            Protocol::Google => {
                let method = match delivery {
                    Delivery::Whole => Method::GenerateContent,
                    Delivery::Streamed => Method::StreamGenerateContent,
                };
                of_google(model, method)
            }
        }
    }

    /// What stands behind the address where vectors of so many texts are asked for.
    pub(crate) fn embeddings_path(self, model: &str, texts: usize) -> String {
        match self.embedding(model) {
            Some(manner) => of_google(model, manner.method(texts)),
            None => "/embeddings".to_owned(),
        }
    }

    /// How a model is asked for vectors, where that is Google's to say.
    pub(crate) fn embedding(self, model: &str) -> Option<Manner> {
        match self.protocol {
            Protocol::Google if self.at_vertex => Some(Manner::at_vertex(model)),
            Protocol::Google => Some(Manner::AiStudio),
            Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Anthropic => None,
        }
    }
}

fn of_google(model: &str, method: Method) -> String {
    let model = model.to_owned();
    format!("/{}", Target { model, method })
}
