//! Answers of failure.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Protocol;
use wire::chat::ErrorBody;

use crate::fault::Fault;

/// Refuses in the form of a protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refuser(Protocol);

impl Refuser {
    pub(crate) fn of(protocol: Protocol) -> Self {
        Self(protocol)
    }

    pub(crate) fn of_openai() -> Self {
        Self(Protocol::OpenAiChat)
    }

    pub(crate) fn of_google() -> Self {
        Self(Protocol::Google)
    }

    pub(crate) fn protocol(self) -> Protocol {
        self.0
    }

    /// The answer that a fault of status asks for.
    pub(crate) fn failure(self, fault: &Fault) -> Response {
        let Fault::Status {
            status,
            retry_after,
            code,
            kind,
            headers,
            is_final,
        } = fault
        else {
            unreachable!("only a fault of status is answered so");
        };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = "the stand-in was asked to fail";
        let body = match self.0 {
            Protocol::OpenAiChat | Protocol::OpenAiResponses => serde_json::json!({"error": {
                "message": message,
                "type": kind,
                "param": null,
                "code": code,
            }})
            .to_string(),
            Protocol::Anthropic if kind.is_some() => serde_json::json!({
                "type": "error",
                "error": {"type": kind, "message": message},
            })
            .to_string(),
            protocol => body("server_error", code.as_deref(), message).encode_as(
                protocol,
                status.as_u16(),
                "req_standin",
            ),
        };
        let mut response = json(status, body);
        let own = response.headers_mut();
        if let Some(Ok(wait)) = retry_after.as_ref().map(|wait| wait.parse()) {
            own.insert(RETRY_AFTER, wait);
        }
        if *is_final {
            own.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                own.insert(name, value);
            }
        }
        response
    }

    /// An answer of failure in the protocol's form.
    pub(crate) fn error(self, status: StatusCode, code: &str, message: &str) -> Response {
        let kind = if status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        let body = body(kind, Some(code), message);
        json(
            status,
            body.encode_as(self.0, status.as_u16(), "req_standin"),
        )
    }
}

fn body(kind: &'static str, code: Option<&str>, message: &str) -> ErrorBody {
    ErrorBody {
        message: message.to_owned(),
        kind,
        param: None,
        code: code.map(str::to_owned),
    }
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
