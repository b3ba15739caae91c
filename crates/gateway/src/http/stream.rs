//! An answer as a stream of events.
//!
//! Nothing is shown before it is certain whose answer it is, and the status waits for that too, so
//! that a failure is told by a status; but at most for the time between two keep-alives.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use domain::{Completion, TierName};
use futures_util::stream::unfold;
use wire::openai::chat::{StreamEncoder, StreamUsage};
use wire::sse::encode_data;

use super::chat_completions::{accepted, head};
use super::error::HttpError;
use super::exchange::Exchange;
use super::facts::tell_tier;
use super::work::Pending;
use crate::answer::{Answered, Said};

/// The longest silence: proxies on the way close connections that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment, which no reader takes for an event.
const WAITING: &str = ": waiting\n\n";

/// A stream of which nothing, or the beginning, was sent.
pub(super) struct Stream {
    pending: Pending,
    exchange: Exchange,
    usage: StreamUsage,
    /// Who writes.
    tier: Option<TierName>,
    /// Set when the first text was shown.
    encoder: Option<StreamEncoder>,
    /// Whether more may be told while it is written.
    is_being_written: bool,
    /// Whether the last event was made.
    has_ended: bool,
}

/// The next thing that happens.
enum Next {
    Said(Said),
    Done(Box<Result<Answered, HttpError>>),
    /// Nothing, for as long as may be.
    Silence,
}

impl Stream {
    /// A stream of the answer that is on its way.
    pub(super) fn new(pending: Pending, exchange: Exchange, usage: StreamUsage) -> Self {
        Self {
            pending,
            exchange,
            usage,
            tier: None,
            encoder: None,
            is_being_written: true,
            has_ended: false,
        }
    }

    /// The response, once it is known how it begins.
    ///
    /// # Errors
    /// When it ends without an answer before anything was shown.
    ///
    /// # Cancel safety
    /// When dropped midway the work ends.
    pub(super) async fn respond(mut self) -> Result<Response, HttpError> {
        let first = loop {
            match self.next().await {
                Next::Said(Said::Asks(tier)) => self.tier = Some(tier),
                Next::Said(Said::Text(text)) => break self.text(&text),
                Next::Silence => break WAITING.to_owned(),
                Next::Done(done) => {
                    match (*done).and_then(|answered| accepted(answered, &self.exchange.id)) {
                        Ok((tier, completion)) => break self.end(tier, &completion),
                        Err(error) => return Ok(self.refuse(error)),
                    }
                }
            }
        };
        Ok(self.begin(first))
    }

    fn refuse(&self, error: HttpError) -> Response {
        let mut response = error.into_response();
        if let Some(facts) = self.exchange.facts() {
            facts.tell(response.headers_mut());
        }
        response
    }

    fn begin(self, first: String) -> Response {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        match (self.exchange.facts(), &self.tier) {
            (Some(facts), _) if self.has_ended => facts.tell(headers),
            (_, Some(tier)) => tell_tier(tier, headers),
            (_, None) => {}
        }
        let rest = unfold((Some(first), self), |(first, mut stream)| async move {
            let events = match first {
                Some(first) => first,
                None => stream.events().await?,
            };
            Some((Ok::<_, Infallible>(events), (None, stream)))
        });
        *response.body_mut() = Body::from_stream(rest);
        response
    }

    /// The next events as text; `None` after the last.
    async fn events(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        loop {
            match self.next().await {
                Next::Said(Said::Asks(tier)) => self.tier = Some(tier),
                Next::Said(Said::Text(text)) => return Some(self.text(&text)),
                Next::Silence => return Some(WAITING.to_owned()),
                Next::Done(done) => {
                    let answer = (*done).and_then(|it| accepted(it, &self.exchange.id));
                    return Some(match answer {
                        Ok((tier, completion)) => self.end(tier, &completion),
                        Err(error) => self.break_off(&error),
                    });
                }
            }
        }
    }

    async fn next(&mut self) -> Next {
        let next = async {
            if self.is_being_written {
                match self.pending.said.recv().await {
                    Some(said) => return Next::Said(said),
                    None => self.is_being_written = false,
                }
            }
            Next::Done(Box::new(self.pending.done().await))
        };
        let in_time = tokio::time::timeout(KEEP_ALIVE, next).await;
        in_time.unwrap_or(Next::Silence)
    }

    fn text(&mut self, text: &str) -> String {
        match (&self.encoder, &self.tier) {
            (Some(encoder), _) => encoder.text(text),
            (None, Some(tier)) => {
                let encoder = StreamEncoder::new(head(&self.exchange.id, tier), self.usage);
                let events = encoder.start() + &encoder.text(text);
                self.encoder = Some(encoder);
                events
            }
            (None, None) => unreachable!("who writes is told before what is written"),
        }
    }

    fn end(&mut self, tier: TierName, completion: &Completion) -> String {
        self.has_ended = true;
        // What was shown while it was written is not shown again.
        let events = match &self.encoder {
            Some(_) => String::new(),
            None => {
                self.tier = Some(tier);
                self.text(&completion.text)
            }
        };
        let end = self
            .encoder
            .as_ref()
            .map(|encoder| encoder.end(completion.finish_reason, completion.usage.as_ref()));
        events + &end.unwrap_or_default()
    }

    fn break_off(&mut self, error: &HttpError) -> String {
        self.has_ended = true;
        // No end mark follows, so that nobody takes the answer for whole.
        let mut events = String::new();
        encode_data(&error.body().encode(), &mut events);
        events
    }
}
