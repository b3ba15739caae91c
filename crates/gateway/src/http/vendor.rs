//! Whose protocol a client speaks, and what is told in it whatever the path: errors and the
//! request's id.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use wire::chat::ErrorBody;

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
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
}

impl Vendor {
    /// The one whose client sent the request: told by the path, or by a header that no other
    /// vendor's client sends.
    pub(super) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        if path.starts_with("/v1/messages") || request.headers().contains_key(ANTHROPIC_VERSION) {
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
            let body = self.encode(&error, status, id);
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

    fn encode(self, error: &ErrorBody, status: u16, id: &str) -> String {
        match self {
            Self::OpenAi => error.encode(),
            Self::Anthropic => error.encode_anthropic(status, Some(id)),
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
