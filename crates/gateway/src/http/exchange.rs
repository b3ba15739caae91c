//! One request and its response: its id, and its line in the log.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use ledger::RequestId;
use uuid::Uuid;

use super::error::Cause;
use super::facts::Facts;
use super::server::Server;
use super::vendor::Vendor;

/// The route of requests for a path that there is not; the path itself is the client's text and
/// stays out of log and metrics.
const NO_ROUTE: &str = "none";

/// What a route knows of its request, and tells about its end.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) id: RequestId,
    task: Arc<OnceLock<String>>,
    facts: Arc<OnceLock<Facts>>,
    cause: Arc<OnceLock<Cause>>,
}

impl Exchange {
    /// One that begins.
    pub(super) fn new() -> Self {
        Self {
            id: RequestId(Uuid::now_v7().to_string()),
            task: Arc::default(),
            facts: Arc::default(),
            cause: Arc::default(),
        }
    }

    /// Notes that a task works on it; the first note stands.
    pub(super) fn began(&self, task: &str) {
        let _first = self.task.set(task.to_owned());
    }

    /// Notes how it ended; the first note stands.
    pub(super) fn ended(&self, facts: Facts) {
        let _first = self.facts.set(facts);
    }

    /// How it ended, once that is noted.
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// Notes what went wrong, for the log; the first note stands.
    pub(super) fn broke(&self, cause: Option<&Cause>) {
        if let Some(cause) = cause {
            let _first = self.cause.set(cause.clone());
        }
    }
}

/// Gives each request an id, tells it in the response, and logs a line at the end: when the last
/// byte of the response is handed to the connection, or the client has gone.
pub(super) async fn layer(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Response {
    let exchange = Exchange::new();
    let route = request.extensions().get::<MatchedPath>();
    let mut line = Line {
        server,
        exchange: exchange.clone(),
        method: request.method().clone(),
        route: route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned(),
        start: Instant::now(),
        status: None,
        is_whole: false,
    };
    let vendor = Vendor::of(&request);
    request.extensions_mut().insert(vendor);
    request.extensions_mut().insert(exchange.clone());
    let response = vendor.dress(next.run(request).await, &exchange.id.0);
    line.status = Some(response.status().as_u16());
    exchange.broke(response.extensions().get::<Cause>());
    response.map(|body| Body::new(LoggedBody { body, line }))
}

/// A line of the log, written when it is dropped.
#[derive(Debug)]
struct Line {
    server: Arc<Server>,
    exchange: Exchange,
    method: Method,
    route: String,
    start: Instant,
    /// `None` when the client went away before there was one.
    status: Option<u16>,
    /// Whether the response was handed over to its end.
    is_whole: bool,
}

impl Line {
    /// Probes come every few seconds and say nothing new.
    fn is_probe(&self) -> bool {
        matches!(self.route.as_str(), "/healthz" | "/readyz" | "/metrics")
    }

    /// How it ended: nobody notes that of what was broken off or given up.
    fn outcome(&self) -> Option<&'static str> {
        let unnoted = || match self.is_whole {
            true => "failed",
            false => "cancelled",
        };
        let noted = self.exchange.facts().map(|facts| facts.outcome);
        noted.or_else(|| self.exchange.task.get().map(|_| unnoted()))
    }

    fn duration_ms(&self) -> f64 {
        let microseconds = self.start.elapsed().as_secs_f64() * 1e6;
        microseconds.round() / 1e3
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let (Ok(app), Some(status)) = (self.server.app(), self.status) {
            app.metrics.responded(&self.route, status);
        }
        if let Some(Cause(cause)) = self.exchange.cause.get() {
            tracing::error!(request.id = %self.exchange.id.0, "{cause}");
        }
        if self.is_probe() {
            return;
        }
        let facts = self.exchange.facts();
        let usage = facts.and_then(|facts| facts.usage);
        tracing::info!(
            request.id = %self.exchange.id.0,
            http.method = %self.method,
            http.route = %self.route,
            http.status = self.status,
            task.id = self.exchange.task.get(),
            outcome = self.outcome(),
            tier.id = facts.and_then(|facts| Some(facts.tier.as_ref()?.as_str())),
            confidence = facts.and_then(|facts| facts.confidence),
            escalations = facts.map(|facts| facts.escalations),
            tokens.prompt = usage.map(|usage| usage.prompt.0),
            tokens.completion = usage.map(|usage| usage.completion.0),
            cost_picodollars = facts.map(|facts| facts.cost.get()),
            reason = facts.and_then(|facts| facts.reason.as_deref()),
            duration_ms = self.duration_ms(),
            "request ended"
        );
    }
}

/// A response's body with the line that is logged when it ends.
struct LoggedBody {
    body: Body,
    line: Line,
}

impl hyper::body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.line.is_whole = matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
