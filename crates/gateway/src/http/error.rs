//! Everything that goes wrong, as an answer: a status, a stable code, and a message for the person
//! who asked. No other file but `vendor`, which writes them, names a status of 400 and above.

use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::{LedgerError, RequestId};
use wire::chat::ErrorBody;

use crate::tier::Fault;

/// OpenAI's clients try again after most failures unless this header forbids it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The wait that is asked for where the next moment may do, in seconds.
const SOON_S: u64 = 1;
/// The wait that is asked for where something must recover first, in seconds.
const LATER_S: u64 = 5;

const INVALID_REQUEST: &str = "invalid_request_error";
const RATE_LIMIT: &str = "rate_limit_error";
const SERVER: &str = "server_error";

/// An answer that says what went wrong.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    body: Box<ErrorBody>,
    retry: Retry,
    cause: Option<Cause>,
}

/// Why something went wrong, in words for the log and not for the client.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) String);

/// What a client is told about sending the request again.
#[derive(Debug, Clone, Copy)]
enum Retry {
    /// Nothing: the status says it.
    Unsaid,
    /// It is of no use.
    Never,
    /// It may do after so many seconds.
    AfterSeconds(u64),
}

impl HttpError {
    fn new(status: StatusCode, kind: &'static str, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Box::new(ErrorBody {
                message: message.into(),
                kind,
                param: None,
                code: Some(code.to_owned()),
            }),
            retry: Retry::Unsaid,
            cause: None,
        }
    }

    fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// No route has this path.
    pub(super) fn unknown_path() -> Self {
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
    pub(super) fn wrong_method() -> Self {
        let message = "this path has another method; the header Allow names it";
        let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// No key, or a wrong one.
    pub(super) fn wrong_key() -> Self {
        let message = "the API key is missing or wrong; send one of the server's keys as \
                       `Authorization: Bearer KEY`, `x-api-key: KEY` or `x-goog-api-key: KEY`";
        let (status, code) = (StatusCode::UNAUTHORIZED, "invalid_api_key");
        Self::new(status, "authentication_error", code, message)
    }

    /// A server without keys was asked under a name that is not this machine's.
    pub(super) fn foreign_host() -> Self {
        let message = "a server without keys answers under the names of its own machine alone \
                       (an IP address or localhost), so that no web page can lead a browser to \
                       it under another; use one of those, or give the server keys (server.keys)";
        let (status, code) = (StatusCode::FORBIDDEN, "host_not_allowed");
        Self::new(status, "permission_error", code, message)
    }

    /// The server is being made ready.
    pub(super) fn not_ready(stage: &str) -> Self {
        let message = format!("the server is not ready yet, it is {stage}; try again later");
        let (status, retry) = (
            StatusCode::SERVICE_UNAVAILABLE,
            Retry::AfterSeconds(LATER_S),
        );
        Self::new(status, SERVER, "not_ready", message).retry(retry)
    }

    /// As many requests are in work as may be.
    pub(super) fn no_place() -> Self {
        let message = "the server works on as many requests as it may (server.requests_max); \
                       try again in a moment";
        let (status, retry) = (StatusCode::TOO_MANY_REQUESTS, Retry::AfterSeconds(SOON_S));
        Self::new(status, RATE_LIMIT, "rate_limit_exceeded", message).retry(retry)
    }

    /// The body is not declared to be JSON.
    pub(super) fn not_json() -> Self {
        let message = "the body must be JSON; send the header `Content-Type: application/json`";
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body is larger than allowed.
    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!(
            "the body has more than {bytes_max} bytes; send less, or raise server.body_bytes_max"
        );
        let (status, code) = (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body didn't come in time.
    pub(super) fn body_too_slow() -> Self {
        let message = "the body did not come within server.body_seconds; send it again";
        let (status, code) = (StatusCode::REQUEST_TIMEOUT, "request_timeout");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The body broke off.
    pub(super) fn body_broken() -> Self {
        let message = "the body broke off before its end; send it again";
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST,
            "body_broken",
            message,
        )
    }

    /// There is no such model; `rest` says what there is.
    pub(super) fn unknown_model(model: &str, rest: &str) -> Self {
        let message = format!("there is no model `{}`; {rest}", short(model));
        let (status, code) = (StatusCode::NOT_FOUND, "model_not_found");
        let mut error = Self::new(status, INVALID_REQUEST, code, message);
        error.body.param = Some("model".to_owned());
        error
    }

    /// The server keeps nothing for clients.
    pub(super) fn keeps_nothing() -> Self {
        let message = "this server keeps no responses, files or batches; it does where \
                       server.keep_days says for how long";
        let (status, code) = (StatusCode::NOT_FOUND, "nothing_is_kept");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// Nothing of this name is kept for this key.
    pub(super) fn not_kept(noun: &str, id: &str) -> Self {
        let message = format!(
            "there is no {noun} `{}` of this key, or its time is over",
            short(id)
        );
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "not_found", message)
    }

    /// The response to go on from, or one before it, is not kept.
    pub(super) fn no_previous(id: &str, is_last: bool) -> Self {
        let what = match is_last {
            true => "there is no response",
            false => "the conversation goes back to a response that is no longer kept,",
        };
        let message = format!(
            "{what} `{}` of this key; send the whole conversation as input",
            short(id)
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "previous_response_not_found");
        let mut error = Self::new(status, INVALID_REQUEST, code, message);
        error.body.param = Some("previous_response_id".to_owned());
        error
    }

    /// The conversation that is gone on with has grown too long.
    pub(super) fn conversation_too_long(bytes_max: usize) -> Self {
        let message = format!(
            "the conversation so far has more than {bytes_max} bytes; begin another, or raise \
             server.body_bytes_max"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "conversation_too_long");
        let mut error = Self::new(status, INVALID_REQUEST, code, message);
        error.body.param = Some("previous_response_id".to_owned());
        error
    }

    /// Texts of this task are never kept.
    pub(super) fn never_kept(task: &str) -> Self {
        let message = format!(
            "the texts of task {task} are restricted and never kept; send store = false, or leave \
             it out"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "unsupported_parameter");
        let mut error = Self::new(status, INVALID_REQUEST, code, message);
        error.body.param = Some("store".to_owned());
        error
    }

    /// There is no room for what this key wants kept.
    pub(super) fn shelf_full(bytes_max: u64) -> Self {
        let message = format!(
            "what is kept for this key may have {bytes_max} bytes in all (server.keep_bytes_max); \
             delete some of it first"
        );
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, "storage_full");
        Self::new(status, "insufficient_quota", code, message).retry(Retry::Never)
    }

    /// The texts of a task are never kept, as a batch would.
    pub(super) fn never_in_batches(task: &str) -> Self {
        let message = format!(
            "the texts of task {task} are restricted and never kept, and a batch's results are; ask \
             one by one"
        );
        let (status, code) = (StatusCode::BAD_REQUEST, "unsupported_parameter");
        let mut error = Self::new(status, INVALID_REQUEST, code, message);
        error.body.param = Some("model".to_owned());
        error
    }

    /// The body is no form with files.
    pub(super) fn no_form() -> Self {
        let message = "the body must be a form; send it as multipart/form-data with a boundary";
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// The form can't be read.
    pub(super) fn broken_form(fault: &str) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_value");
        Self::new(status, INVALID_REQUEST, code, fault)
    }

    /// A field of the request is wrong.
    pub(super) fn wrong_field(name: &str, rule: &str) -> Self {
        Self::wrong_query(name, rule)
    }

    /// A file can't be read or written.
    pub(super) fn not_stored(cause: &str) -> Self {
        let message = "the file could not be read or written; the server's log says why";
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        let cause = Some(Cause(format!("a client's file: {cause}")));
        Self {
            cause,
            ..Self::new(status, SERVER, "not_stored", message).retry(retry)
        }
    }

    /// As many batches are in work as may be.
    pub(super) fn no_place_for_batch() -> Self {
        let message = "the server works on as many batches as it may; try again when one is done";
        let (status, retry) = (StatusCode::TOO_MANY_REQUESTS, Retry::AfterSeconds(LATER_S));
        Self::new(status, RATE_LIMIT, "rate_limit_exceeded", message).retry(retry)
    }

    /// The batch has no results yet; or it, or the file of its lines, can't be deleted yet.
    pub(super) fn batch_in_work() -> Self {
        let message = "a batch has not ended; ask again when it has, or cancel it";
        let (status, code) = (StatusCode::BAD_REQUEST, "batch_in_progress");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// A value of the query is wrong.
    pub(super) fn wrong_query(name: &str, rule: &str) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_value");
        let mut error = Self::new(status, INVALID_REQUEST, code, rule);
        error.body.param = Some(name.to_owned());
        error
    }

    /// Texts may not go to this tier.
    pub(super) fn barred(tier: &str, sensitivity: &str) -> Self {
        let message = format!(
            "requests that name a tier are taken to be {sensitivity}, and such texts may not \
             leave for tier {tier}; ask for a task, or let server.direct_sensitivity say that \
             they may"
        );
        let (status, code) = (StatusCode::FORBIDDEN, "sensitivity_not_allowed");
        let mut error = Self::new(status, "permission_error", code, message);
        error.body.param = Some("model".to_owned());
        error
    }

    /// A person decides.
    pub(super) fn needs_review(request: &RequestId) -> Self {
        let message = format!(
            "no tier was sure enough to answer, so a person decides; the request is {request}"
        );
        let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "needs_review");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// No tier could answer.
    pub(super) fn failed(reason: &str, fault: Fault, retryable: bool) -> Self {
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
    pub(super) fn not_recorded(error: &LedgerError) -> Self {
        let message = "the answer could not be recorded and is not given out; the server's log \
                       says why";
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        let cause = Some(Cause(error.to_string()));
        Self {
            cause,
            ..Self::new(status, SERVER, "not_recorded", message).retry(retry)
        }
    }

    /// The server stops before the request is done.
    pub(super) fn stopping() -> Self {
        let message = "the server is stopping; send the request again";
        let (status, retry) = (
            StatusCode::SERVICE_UNAVAILABLE,
            Retry::AfterSeconds(LATER_S),
        );
        Self::new(status, SERVER, "stopping", message).retry(retry)
    }

    /// The client took none of its answer for too long.
    pub(super) fn reader_stalled() -> Self {
        let message = "the answer was not read for server.body_seconds and was cut off";
        let (status, code) = (StatusCode::REQUEST_TIMEOUT, "request_timeout");
        Self::new(status, INVALID_REQUEST, code, message)
    }

    /// Our own fault.
    pub(super) fn internal() -> Self {
        let message = "the server broke on this request; its log says where; please report it";
        let cause = Some(Cause(
            "the task that answers ended without an answer".to_owned(),
        ));
        let (status, retry) = (StatusCode::INTERNAL_SERVER_ERROR, Retry::Never);
        Self {
            cause,
            ..Self::new(status, SERVER, "internal_error", message).retry(retry)
        }
    }

    /// What is told inside a stream, and the status that it would have had: another was sent.
    pub(super) fn told(&self) -> (&ErrorBody, u16) {
        (&self.body, self.status.as_u16())
    }

    /// Why, for the log.
    pub(super) fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }
}

/// The beginning of a name that a client gave.
fn short(name: &str) -> String {
    /// Longest name that is repeated, in characters.
    const SHOWN: usize = 80;
    name.chars().take(SHOWN).collect()
}

impl From<wire::fault::Fault> for HttpError {
    fn from(fault: wire::fault::Fault) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: Box::new(ErrorBody::from(&fault)),
            retry: Retry::Unsaid,
            cause: None,
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.status;
        // The body is written where it is known whose protocol the client speaks.
        response.extensions_mut().insert(self.body);
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        match self.retry {
            Retry::Unsaid => {}
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::AfterSeconds(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body would have to be read before the next request.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}
