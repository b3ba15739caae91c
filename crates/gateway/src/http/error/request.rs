//! What is wrong with a request, before anybody is asked.

use axum::http::StatusCode;

use super::{HttpError, INVALID_REQUEST, short};

impl HttpError {
    /// No route has this path.
    pub(in crate::http) fn unknown_path() -> Self {
        let message = "there is no such path; the API has /v1/chat/completions, /v1/responses, /v1/messages, \
                       /v1beta/models/MODEL:generateContent, /v1/embeddings, /v1/decisions, /v1/files, /v1/batches \
                       and /v1/models, and beside it /healthz, /readyz and /metrics";
        Self::new(
            StatusCode::NOT_FOUND,
            INVALID_REQUEST,
            "unknown_url",
            message,
        )
    }

    /// The route of this path has another method.
    pub(in crate::http) fn wrong_method() -> Self {
        let message = "this path has another method; the header Allow names it";
        let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// No key, or a wrong one.
    pub(in crate::http) fn wrong_key() -> Self {
        let message = "the API key is missing or wrong; send one of the server's keys as \
                       `Authorization: Bearer KEY`, `x-api-key: KEY` or `x-goog-api-key: KEY`";
        let (status, code) = (StatusCode::UNAUTHORIZED, "invalid_api_key");
        Self::new(status, "authentication_error", code, message)
    }

    /// A server without keys was asked under a name that is not this machine's.
    pub(in crate::http) fn foreign_host() -> Self {
        let message = "a server without keys answers under the names of its own machine alone \
                       (an IP address or localhost), so that no web page can lead a browser to \
                       it under another; use one of those, or give the server keys (server.keys)";
        let (status, code) = (StatusCode::FORBIDDEN, "host_not_allowed");
        Self::new(status, "permission_error", code, message)
    }

    /// The body is not declared to be JSON.
    pub(in crate::http) fn not_json() -> Self {
        let message = "the body must be JSON; send the header `Content-Type: application/json`";
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body is larger than allowed.
    pub(in crate::http) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!(
            "the body has more than {bytes_max} bytes; send less, or raise server.body_bytes_max"
        );
        let (status, code) = (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body didn't come in time.
    pub(in crate::http) fn body_too_slow() -> Self {
        let message = "the body did not come within server.body_seconds; send it again";
        let (status, code) = (StatusCode::REQUEST_TIMEOUT, "request_timeout");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body broke off.
    pub(in crate::http) fn body_broken() -> Self {
        let message = "the body broke off before its end; send it again";
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST,
            "body_broken",
            message,
        )
    }

    /// The body is no form with files.
    pub(in crate::http) fn no_form() -> Self {
        let message = "the body must be a form; send it as multipart/form-data with a boundary";
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The form can't be read.
    pub(in crate::http) fn broken_form(fault: &str) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_value");
        Self::new(status, INVALID_REQUEST, code, fault)
    }

    /// There is no such model; `rest` says what there is.
    pub(in crate::http) fn unknown_model(model: &str, rest: &str) -> Self {
        let message = format!("there is no model `{}`; {rest}", short(model));
        let (status, code) = (StatusCode::NOT_FOUND, "model_not_found");
        Self::new(status, INVALID_REQUEST, code, message).about("model")
    }

    /// A field of the request is wrong.
    pub(in crate::http) fn wrong_field(name: &str, rule: &str) -> Self {
        Self::wrong_query(name, rule)
    }

    /// A value of the query is wrong.
    pub(in crate::http) fn wrong_query(name: &str, rule: &str) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_value");
        Self::new(status, INVALID_REQUEST, code, rule).about(name)
    }

    /// Texts may not go to this tier.
    pub(in crate::http) fn barred(tier: &str, sensitivity: &str) -> Self {
        let message = format!(
            "requests that name a tier are taken to be {sensitivity}, and such texts may not \
             leave for tier {tier}; ask for a task, or let server.direct_sensitivity say that \
             they may"
        );
        let (status, code) = (StatusCode::FORBIDDEN, "sensitivity_not_allowed");
        Self::new(status, "permission_error", code, message).about("model")
    }
}
