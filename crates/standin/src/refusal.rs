//! Answers of failure.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use wire::chat::ErrorBody;

use crate::fault::Fault;

/// The answer that a fault of status asks for.
pub(crate) fn failure(fault: &Fault) -> Response {
    let Fault::Status {
        status,
        retry_after,
        code,
        kind,
        is_final,
    } = fault
    else {
        unreachable!("only a fault of status is answered so");
    };
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::json!({"error": {
        "message": "the stand-in was asked to fail",
        "type": kind,
        "param": null,
        "code": code,
    }});
    let mut response = json(status, body.to_string());
    let headers = response.headers_mut();
    if let Some(Ok(wait)) = retry_after.as_ref().map(|wait| wait.parse()) {
        headers.insert(RETRY_AFTER, wait);
    }
    if *is_final {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

/// An answer of failure in the protocol's form.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let kind = if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request_error"
    };
    let body = ErrorBody {
        message: message.to_owned(),
        kind,
        param: None,
        code: Some(code.to_owned()),
    };
    json(status, body.encode())
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
