//! How each protocol is spoken to a vendor: its addresses and its headers.

use domain::Protocol;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use wire::chat::Delivery;
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
    /// The one that the protocol's own vendor wants.
    pub(crate) fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenAiChat | Protocol::OpenAiResponses => Self::Bearer,
            Protocol::Anthropic => Self::XApiKey,
            Protocol::Google => Self::XGoogApiKey,
        }
    }

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

/// The header that each request of the protocol must have, beside those of every protocol.
pub(crate) fn header(protocol: Protocol) -> Option<(HeaderName, HeaderValue)> {
    match protocol {
        Protocol::Anthropic => Some(ANTHROPIC_VERSION),
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Google => None,
    }
}

/// What stands behind an endpoint's address, from the slash on.
pub(crate) fn path(protocol: Protocol, model: &str, delivery: Delivery) -> String {
    match protocol {
        Protocol::OpenAiChat => "/chat/completions".to_owned(),
        Protocol::OpenAiResponses => "/responses".to_owned(),
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

/// What stands behind an endpoint's address where vectors of texts are asked for.
pub(crate) fn embeddings_path(protocol: Protocol, model: &str) -> String {
    match protocol {
        Protocol::Google => of_google(model, Method::BatchEmbedContents),
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::Anthropic => {
            "/embeddings".to_owned()
        }
    }
}

fn of_google(model: &str, method: Method) -> String {
    let model = model.to_owned();
    format!("/{}", Target { model, method })
}
