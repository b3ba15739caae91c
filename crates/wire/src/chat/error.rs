//! What went wrong, as our clients are told it and as vendors tell it us.

use std::time::Duration;

use domain::Protocol;
use serde_json::Value;

use crate::fault::{Fault, FaultKind};
use crate::json::{Fields, Json};

/// Longest error type or code that is believed, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// An error as our clients are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// What was wrong, where, and what to do.
    pub message: String,
    /// The protocol's class of error, for example `invalid_request_error`.
    pub kind: &'static str,
    /// The path of the field at fault.
    pub param: Option<String>,
    /// A stable word to tell cases apart.
    pub code: Option<String>,
}

impl ErrorBody {
    /// The body in OpenAI's form as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let inner = Fields::new()
            .with("message", &self.message)
            .with("type", self.kind)
            .with("param", or_null(self.param.as_ref()))
            .with("code", or_null(self.code.as_ref()));
        Fields::new().with("error", inner).encode()
    }
}

impl ErrorBody {
    /// The body in Anthropic's form as JSON, for an answer of this status, with the request's id
    /// where it is known.
    #[must_use]
    pub fn encode_anthropic(&self, status: u16, request_id: Option<&str>) -> String {
        let kind = match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            408 | 504 => "timeout_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        let inner = Fields::new()
            .with("type", kind)
            .with("message", &self.message);
        Fields::new()
            .with("type", "error")
            .with("error", inner)
            .with_some("request_id", request_id)
            .encode()
    }

    /// The body in the form of a protocol as JSON, for an answer of this status.
    #[must_use]
    pub fn encode_as(&self, protocol: Protocol, status: u16, request_id: &str) -> String {
        match protocol {
            Protocol::OpenAiChat | Protocol::OpenAiResponses => self.encode(),
            Protocol::Anthropic => self.encode_anthropic(status, Some(request_id)),
            Protocol::Google => self.encode_google(status),
        }
    }

    /// The body in Google's form as JSON, for an answer of this status.
    #[must_use]
    pub fn encode_google(&self, status: u16) -> String {
        let name = match status {
            401 => "UNAUTHENTICATED",
            402 | 429 => "RESOURCE_EXHAUSTED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            408 | 504 => "DEADLINE_EXCEEDED",
            409 => "ABORTED",
            499 => "CANCELLED",
            501 => "UNIMPLEMENTED",
            503 | 529 => "UNAVAILABLE",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        };
        let inner = Fields::new()
            .with("code", u64::from(status))
            .with("message", &self.message)
            .with("status", name);
        Fields::new().with("error", inner).encode()
    }
}

fn or_null(text: Option<&String>) -> Json<'_> {
    text.map_or(Json::Null, Json::from)
}

impl From<&Fault> for ErrorBody {
    fn from(fault: &Fault) -> Self {
        let code = match fault.kind {
            FaultKind::Malformed => "invalid_json",
            FaultKind::Missing => "missing_required_parameter",
            FaultKind::Invalid => "invalid_value",
            FaultKind::Unsupported => "unsupported_parameter",
        };
        Self {
            message: fault.to_string(),
            kind: "invalid_request_error",
            param: (!fault.path.is_empty()).then(|| fault.path.clone()),
            code: Some(code.to_owned()),
        }
    }
}

/// An error as a vendor told it us.
///
/// `kind`, `code` and `param` are plain words and may be shown to our clients. The message may
/// quote the request and may not, neither to them nor in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct VendorError {
    /// The protocol's class of error.
    pub kind: Option<String>,
    /// The vendor's word for the case.
    pub code: Option<String>,
    /// The name of the field at fault.
    pub param: Option<String>,
    /// The vendor's message.
    pub message: Option<String>,
    /// The wait that is asked for before another try, where the body says so as Google's do.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Debug for VendorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VendorError")
            .field("kind", &self.kind)
            .field("code", &self.code)
            .field("param", &self.param)
            .field("message_bytes", &self.message.as_ref().map(String::len))
            .finish()
    }
}

impl VendorError {
    /// What an error body tells. A body that is of no known form tells nothing, and is no error
    /// of its own: the status has told enough.
    ///
    /// Known forms are OpenAI's, the same within an array (Google's compatible surface), a bare
    /// string under `error` (Ollama), and the fields without an envelope (older vLLM).
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).map_or_else(|_| Self::default(), Self::from_json)
    }

    /// The same from JSON that has been read.
    pub(crate) fn from_json(body: Value) -> Self {
        let body = match body {
            Value::Array(list) => list.into_iter().next().unwrap_or_default(),
            other => other,
        };
        match body.get("error") {
            Some(Value::String(message)) => Self {
                message: Some(message.clone()),
                ..Self::default()
            },
            Some(fields @ Value::Object(_)) => Self::from_fields(fields),
            _ => Self::from_fields(&body),
        }
    }

    fn from_fields(fields: &Value) -> Self {
        let message = fields.get("message").and_then(Value::as_str);
        let kind = fields.get("type").or_else(|| fields.get("status"));
        Self {
            kind: kind.and_then(word),
            code: fields.get("code").and_then(word),
            param: fields.get("param").and_then(word),
            message: message.map(ToOwned::to_owned),
            retry_after: fields.get("details").and_then(retry_info),
        }
    }
}

/// The wait that one of Google's details asks for (`google.rpc.RetryInfo`), such as `34.07s`.
fn retry_info(details: &Value) -> Option<Duration> {
    let mut details = details.as_array()?.iter();
    let delay = details.find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A type, code or path, if it is a short plain word or a number: anything else might carry text of the
/// request to where it must not go.
fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    let fits = (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_form_of_error_is_read() {
        let openai = br#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#;
        let google = br#"[{"error":{"message":"m","status":"t","code":429}}]"#;
        let vllm = br#"{"object":"error","message":"m","type":"t","code":400}"#;
        let read = |body: &[u8]| {
            let error = VendorError::parse(body);
            (error.kind, error.code, error.message)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(openai), (some("t"), some("c"), some("m")));
        assert_eq!(read(google), (some("t"), some("429"), some("m")));
        assert_eq!(read(vllm), (some("t"), some("400"), some("m")));
        assert_eq!(read(br#"{"error":"m"}"#), (None, None, some("m")));
        assert_eq!(read(b"<html>"), (None, None, None));
        assert_eq!(read(b"[]"), (None, None, None));
    }

    #[test]
    fn googles_wait_is_read() {
        let wait = |delay: &str| {
            let kind = "type.googleapis.com/google.rpc.RetryInfo";
            let body = format!(
                r#"{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
                    {{"@type":"type.googleapis.com/google.rpc.QuotaFailure"}},
                    {{"@type":"{kind}","retryDelay":"{delay}"}}]}}}}"#
            );
            VendorError::parse(body.as_bytes()).retry_after
        };
        assert_eq!(wait("34.07s"), Some(Duration::from_millis(34_070)));
        assert_eq!(wait("2s"), Some(Duration::from_secs(2)));
        for wrong in ["", "s", "-1s", "soon", "1e300s", "5"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_code_that_is_no_word_is_not_believed() {
        let body = br#"{"error":{"message":"m","type":"Mr Smith owes","code":"x\ny"}}"#;
        let error = VendorError::parse(body);
        assert_eq!((error.kind, error.code), (None, None));
        assert!(!format!("{:?}", VendorError::parse(br#"{"error":"Mr Smith"}"#)).contains("Smith"));
    }
}
