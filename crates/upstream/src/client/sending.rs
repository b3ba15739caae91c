//! One HTTP request: made, sent and answered, or why not.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::time::{Instant, timeout_at};
use wire::chat::{DecodeError, Delivery, OutwardRequest, Surface, encode_request};

use super::{Attempt, Client};
use crate::classify::classify;
use crate::egress::ConnectTimedOut;
use crate::error::{Breakage, Output, Unreached, UpstreamError, VendorAnswer};
use crate::reading::{Body, breakage};

/// The header by which an attempt is named to the vendor; OpenAI keeps it with its own records.
const ATTEMPT_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// The header by which a client of Anthropic's asks for what is not there for everybody yet.
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

impl Client {
    /// Reads a whole answer of at most so many bytes.
    pub(crate) async fn read<T>(
        &self,
        body: Body,
        bytes_max: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, UpstreamError> {
        let answer = body.read_answer(bytes_max).await;
        let answer = answer.map_err(|cause| self.broken(cause))?;
        parse(&answer).map_err(|error| self.broken(breakage(error)))
    }

    /// Sends a request; gives the body of an answer of success. The answer must begin by the
    /// limit, which is told as it says, and end by the deadline.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        (until, late): (Instant, Breakage),
        deadline: Instant,
    ) -> Result<Body, UpstreamError> {
        let id = request.headers().get(ATTEMPT_ID).cloned();
        let connection = capture_connection(&mut request);
        let tokens = self.shared.tokens.as_ref();
        if let Some(tokens) = tokens {
            let header = tokens.header(until).await?;
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let response = match timeout_at(until, self.shared.http.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.not_answered(&error, &connection)),
            Err(_elapsed) => return Err(self.not_answered_in_time(late, &connection)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response, deadline);
        if status.is_success() {
            return Ok(body);
        }
        if let (Some(tokens), StatusCode::UNAUTHORIZED) = (tokens, status) {
            tokens.forget();
        }
        let told = body.read_failure().await;
        tracing::debug!(
            upstream.host = self.endpoint().host,
            upstream.model = self.endpoint().model,
            attempt.id = ?id,
            status = status.as_u16(),
            answer = ?told,
            "a vendor answered with a failure"
        );
        let answer = VendorAnswer {
            status: status.as_u16(),
            kind: told.kind,
            code: told.code,
        };
        let host = &self.endpoint().host;
        let waits = (&headers, told.retry_after);
        Err(classify(host, answer, waits, SystemTime::now()))
    }

    /// The request of an attempt.
    pub(super) fn request(
        &self,
        attempt: &Attempt<'_>,
        delivery: Delivery,
    ) -> Request<Full<Bytes>> {
        let endpoint = self.endpoint();
        let body = OutwardRequest {
            model: &endpoint.model,
            prompt: attempt.prompt,
            generation: attempt.generation,
            dialect: endpoint.dialect,
            delivery,
            extra: attempt.extra,
        };
        let uri = match (self.surface(attempt), delivery) {
            (Surface::OpenAiCompletions, _) => &endpoint.texts_uri,
            (_, Delivery::Whole) => &endpoint.uri,
            (_, Delivery::Streamed) => &endpoint.stream_uri,
        };
        let body = encode_request(endpoint.protocol, &body);
        let mut request = self.post(uri, attempt.id, body);
        let beta = attempt
            .extra
            .and_then(|extra| extra.beta(endpoint.protocol));
        if let Some(Ok(beta)) = beta.map(HeaderValue::from_str) {
            request.headers_mut().insert(ANTHROPIC_BETA, beta);
        }
        request
    }

    /// A request with this body, for the attempt of this name.
    pub(crate) fn post(&self, uri: &Uri, id: &str, body: String) -> Request<Full<Bytes>> {
        let body = Bytes::from(body);
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.endpoint().headers.clone();
        if let Ok(id) = HeaderValue::from_str(id)
            && !id.is_empty()
        {
            request.headers_mut().insert(ATTEMPT_ID, id);
        }
        if let Some(account) = &self.endpoint().aws_account {
            account.sign(&mut request, &body);
        }
        request
    }

    fn body(&self, response: Response<Incoming>, deadline: Instant) -> Body {
        Body {
            incoming: response.into_body(),
            idle: self.endpoint().limits.idle,
            deadline,
        }
    }

    /// Why sending failed. Only where it is certain that the vendor got nothing does the error
    /// say so: there was no connection, or the request came back from a connection unsent.
    fn not_answered(&self, error: &legacy::Error, connection: &CaptureConnection) -> UpstreamError {
        let http = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        let unsent = http.is_some_and(hyper::Error::is_canceled);
        if error.is_connect() || unsent || connection.connection_metadata().is_none() {
            return self.unreachable(unreached(error, self.endpoint().limits.connect));
        }
        self.broken(match http {
            Some(http) if http.is_parse() => Breakage::Unreadable(http.to_string()),
            _ => Breakage::Cut,
        })
    }

    fn not_answered_in_time(
        &self,
        late: Breakage,
        connection: &CaptureConnection,
    ) -> UpstreamError {
        if connection.connection_metadata().is_some() {
            return self.broken(late);
        }
        self.unreachable(match late {
            Breakage::FirstToken(limit) => Unreached::Connect(limit),
            _ => Unreached::Total,
        })
    }

    fn unreachable(&self, cause: Unreached) -> UpstreamError {
        let host = self.endpoint().host.clone();
        UpstreamError::Unreachable { host, cause }
    }

    pub(crate) fn broken(&self, cause: Breakage) -> UpstreamError {
        UpstreamError::Broken {
            host: self.endpoint().host.clone(),
            cause,
            output: Output::None,
        }
    }
}

/// Why there was no connection within `limit`.
pub(crate) fn unreached(error: &legacy::Error, limit: Duration) -> Unreached {
    if causes(error).any(|cause| cause.is::<ConnectTimedOut>()) {
        return Unreached::Connect(limit);
    }
    let root = causes(error).last();
    Unreached::Failed(root.map_or_else(|| error.to_string(), ToString::to_string))
}

/// An error and what caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| <dyn Error>::source(*error))
}
