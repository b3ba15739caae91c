//! Whose protocol a client speaks, and what is told in it whatever the path: errors and the
//! request's id.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use domain::Protocol;
use wire::chat::ErrorBody;

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The header in which Google's clients send their key.
pub(super) const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The id of the request, whatever the protocol.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same, as Anthropic's clients look for it.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// What Anthropic answers with when it has no room, and its clients understand.
const OVERLOADED: u16 = 529;

/// A vendor whose protocol is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    OpenAi,
    Anthropic,
    Google,
}

impl Vendor {
    /// The one whose client sent the request: told by the path, or by a header that no other
    /// vendor's client sends.
    pub(super) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let has = |name| request.headers().contains_key(name);
        let generates = path.starts_with("/v1/models/") && request.method() == Method::POST;
        if path.starts_with("/v1beta/") || has(X_GOOG_API_KEY) || generates {
            Self::Google
        } else if path.starts_with("/v1/messages") || has(ANTHROPIC_VERSION) {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// The response with the request's id; one that tells of an error has it in this vendor's
    /// form.
    pub(super) fn dress(self, mut response: Response, id: &str) -> Response {
        if let Some(error) = response.extensions_mut().remove::<Box<ErrorBody>>() {
            *response.status_mut() = self.status(response.status());
            let status = response.status().as_u16();
            let body = error.encode_as(self.protocol(), status, id);
            *response.body_mut() = body.into();
        }
        if let Ok(id) = HeaderValue::from_str(id) {
            if self == Self::Anthropic {
                response.headers_mut().insert(REQUEST_ID, id.clone());
            }
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::OpenAi => Protocol::OpenAiChat,
            Self::Anthropic => Protocol::Anthropic,
            Self::Google => Protocol::Google,
        }
    }

    /// The status by which this vendor tells what another tells by this one.
    fn status(self, status: StatusCode) -> StatusCode {
        match (self, status) {
            (Self::Anthropic, StatusCode::SERVICE_UNAVAILABLE) => {
                StatusCode::from_u16(OVERLOADED).unwrap_or(status)
            }
            _ => status,
        }
    }
}
