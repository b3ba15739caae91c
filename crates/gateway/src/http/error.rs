//! Everything that goes wrong, as an answer: a status, a stable code, and a message for the person
//! who asked. No other module but `vendor`, which writes them, names a status of 400 and above.

mod answering;
mod kept;
mod request;

use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use wire::chat::ErrorBody;

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

    /// The same, of this field of the request.
    fn about(mut self, param: &str) -> Self {
        self.body.param = Some(param.to_owned());
        self
    }

    /// The same, with why for the log.
    fn because(self, cause: impl Into<String>) -> Self {
        let cause = Some(Cause(cause.into()));
        Self { cause, ..self }
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
