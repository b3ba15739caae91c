//! Why a request that is sound has no answer.

use axum::http::StatusCode;
use ledger::{LedgerError, RequestId};

use super::{HttpError, INVALID_REQUEST, LATER_S, RATE_LIMIT, Retry, SERVER, SOON_S};
use crate::tier::Fault;

impl HttpError {
    /// The server is being made ready.
    pub(in crate::http) fn not_ready(stage: &str) -> Self {
        let message = format!("the server is not ready yet, it is {stage}; try again later");
        let (status, retry) = (
            StatusCode::SERVICE_UNAVAILABLE,
            Retry::AfterSeconds(LATER_S),
        );
        Self::new(status, SERVER, "not_ready", message).retry(retry)
    }

    /// As many requests are in work as may be.
    pub(in crate::http) fn no_place() -> Self {
        let message = "the server works on as many requests as it may (server.requests_max); \
                       try again in a moment";
        let (status, retry) = (StatusCode::TOO_MANY_REQUESTS, Retry::AfterSeconds(SOON_S));
        Self::new(status, RATE_LIMIT, "rate_limit_exceeded", message).retry(retry)
    }

    /// The server stops before the request is done.
    pub(in crate::http) fn stopping() -> Self {
        let message = "the server is stopping; send the request again";
        let (status, retry) = (
            StatusCode::SERVICE_UNAVAILABLE,
            Retry::AfterSeconds(LATER_S),
        );
        Self::new(status, SERVER, "stopping", message).retry(retry)
    }

    /// A person decides.
    pub(in crate::http) fn needs_review(request: &RequestId) -> Self {
        let message = format!(
            "no tier was sure enough to answer, so a person decides; the request is {request}"
        );
        let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "needs_review");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// No tier could answer.
    pub(in crate::http) fn failed(reason: &str, fault: Fault, retryable: bool) -> Self {
        let (status, kind, code, retry) = match fault {
            Fault::Request => (
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "request_not_answerable",
                Retry::Unsaid,
            ),
            Fault::Budget => (
                StatusCode::TOO_MANY_REQUESTS,
                "insufficient_quota",
                "insufficient_quota",
                Retry::Never,
            ),
            Fault::Busy { wait_s } => (
                StatusCode::SERVICE_UNAVAILABLE,
                SERVER,
                "tier_busy",
                Retry::AfterSeconds(wait_s),
            ),
            Fault::Tier if retryable => (
                StatusCode::SERVICE_UNAVAILABLE,
                SERVER,
                "tier_unavailable",
                Retry::AfterSeconds(LATER_S),
            ),
            Fault::Tier => (StatusCode::BAD_GATEWAY, SERVER, "tier_failed", Retry::Never),
        };
        Self::new(status, kind, code, reason).retry(retry)
    }

    /// The answer couldn't be booked, and so is not given out.
    pub(in crate::http) fn not_recorded(error: &LedgerError) -> Self {
        let message = "the answer could not be recorded and is not given out; the server's log \
                       says why";
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        Self::new(status, SERVER, "not_recorded", message)
            .retry(retry)
            .because(error.to_string())
    }

    /// The client took none of its answer for too long.
    pub(in crate::http) fn reader_stalled() -> Self {
        let message = "the answer was not read for server.body_seconds and was cut off";
        let (status, code) = (StatusCode::REQUEST_TIMEOUT, "request_timeout");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// Our own fault.
    pub(in crate::http) fn internal() -> Self {
        let message = "the server broke on this request; its log says where; please report it";
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        Self::new(status, SERVER, "internal_error", message)
            .retry(retry)
            .because("the task that answers ended without an answer".to_owned())
    }
}
