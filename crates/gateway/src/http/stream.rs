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
use domain::{Completion, StreamEvent, TierName};
use futures_util::stream::unfold;
use wire::chat::{Form, StreamEncoder};
use wire::google::generate::Framing;

use super::chat::{Reply, accepted, head};
use super::error::HttpError;
use super::exchange::Exchange;
use super::facts::tell_tier;
use super::work::Pending;
use crate::answer::{Answered, Said};

/// The longest silence: proxies on the way close connections that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream of which nothing, or the beginning, was sent.
pub(super) struct Stream {
    pending: Pending,
    exchange: Exchange,
    reply: Reply,
    /// Who writes.
    tier: Option<TierName>,
    /// What the tier told before it showed anything: it may still fail, and another answer.
    held: Vec<StreamEvent>,
    /// Set when something was shown.
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
    pub(super) fn new(pending: Pending, exchange: Exchange, reply: Reply) -> Self {
        Self {
            pending,
            exchange,
            reply,
            tier: None,
            held: Vec::new(),
            encoder: None,
            is_being_written: true,
            has_ended: false,
        }
    }

    /// The response, once it is known how it begins: with an error, if it ends without an answer
    /// before anything was sent.
    ///
    /// # Cancel safety
    /// When dropped midway the work ends.
    pub(super) async fn respond(mut self) -> Response {
        let first = loop {
            match self.next().await {
                Next::Said(said) => {
                    if let Some(events) = self.said(said) {
                        break events;
                    }
                }
                Next::Silence => break waiting(&self.reply.form).to_owned(),
                Next::Done(done) => match self.ending(*done).await {
                    Ok(events) => break events,
                    Err(error) => return self.refuse(error),
                },
            }
        };
        self.begin(first)
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
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(content_type(&self.reply.form)),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(facts) = self.exchange.facts().filter(|_| self.has_ended) {
            facts.tell(headers);
        } else if let Some(tier) = self.tier.as_ref().filter(|_| self.encoder.is_some()) {
            // Before its first text the tier may still fail, and another answer.
            tell_tier(tier, headers);
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
                Next::Said(said) => {
                    let events = self.said(said);
                    if events.is_some() {
                        return events;
                    }
                }
                Next::Silence => return Some(waiting(&self.reply.form).to_owned()),
                Next::Done(done) => {
                    let ending = self.ending(*done).await;
                    return Some(ending.unwrap_or_else(|error| self.break_off(&error)));
                }
            }
        }
    }

    /// The last events, once the answer is kept where it is to be: as they tell it.
    async fn ending(&mut self, done: Result<Answered, HttpError>) -> Result<String, HttpError> {
        let (tier, completion) = accepted(done?, &self.exchange.id)?;
        let head = head(&self.reply.form, &self.exchange.id, tier.as_str());
        let events = self.end(tier, &completion);
        if let Some(keep) = &self.reply.keep {
            let told = self.encoder.as_ref().and_then(StreamEncoder::whole);
            let told = told.ok_or_else(HttpError::internal)?;
            keep.response(&head.id, told).await?;
        }
        Ok(events)
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

    /// What is to be sent of what was said.
    fn said(&mut self, said: Said) -> Option<String> {
        match said {
            Said::Asks(tier) => {
                self.held.clear();
                self.tier = Some(tier);
                None
            }
            Said::Event(event) if self.encoder.is_none() && !event.is_output() => {
                self.held.push(event);
                None
            }
            Said::Event(event) => {
                let mut told = std::mem::take(&mut self.held);
                told.push(event);
                let events: String = told.iter().map(|event| self.event(event)).collect();
                (!events.is_empty()).then_some(events)
            }
        }
    }

    fn event(&mut self, event: &StreamEvent) -> String {
        let Some(tier) = &self.tier else {
            unreachable!("who writes is told before what is written")
        };
        let encoder = self.encoder.get_or_insert_with(|| {
            let head = head(&self.reply.form, &self.exchange.id, tier.as_str());
            self.reply.form.stream(head)
        });
        let mut events = String::new();
        encoder.event(event, &mut events);
        events
    }

    fn end(&mut self, tier: TierName, completion: &Completion) -> String {
        self.has_ended = true;
        let mut told = self.reply.form.events(completion);
        if self.encoder.is_some() {
            // What was shown while it was written is not shown again.
            told.drain(..told.len() - 1);
        } else {
            self.tier = Some(tier);
        }
        told.iter().map(|event| self.event(event)).collect()
    }

    fn break_off(&mut self, error: &HttpError) -> String {
        self.has_ended = true;
        // No end mark follows, so that nobody takes the answer for whole.
        let encoder = self.encoder.get_or_insert_with(|| {
            let head = head(&self.reply.form, &self.exchange.id, "");
            self.reply.form.stream(head)
        });
        let (told, status) = error.told();
        let mut events = String::new();
        encoder.error(told, status, &mut events);
        events
    }
}

fn content_type(form: &Form) -> &'static str {
    match form {
        Form::Google(Framing::Array) => "application/json",
        _ => "text/event-stream",
    }
}

/// What is sent where nothing else is for a while: every reader passes it over.
fn waiting(form: &Form) -> &'static str {
    match form {
        // Google's own clients know no comments, and an array has none.
        Form::Google(_) => "\n",
        _ => ": waiting\n\n",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use tokio::sync::oneshot;
    use tokio_util::sync::CancellationToken;

    use wire::chat::StreamUsage;

    use super::*;
    use crate::answer::Live;

    /// What is sent when this is told of an answer on its way, and the token that is set when
    /// nobody waits for it any more.
    async fn respond(
        tell: impl AsyncFnOnce(Live, oneshot::Sender<Result<Answered, HttpError>>),
    ) -> (StatusCode, String) {
        let (say, said) = Live::new();
        let (end, done) = oneshot::channel();
        let gone = CancellationToken::new();
        let pending = Pending::new(said, done, gone.clone().drop_guard());
        let form = Form::OpenAiChat(StreamUsage::NotAsked);
        let stream = Stream::new(pending, Exchange::new(), form.into());
        let read = async {
            let response = stream.respond().await;
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20)
                .await
                .unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let (read, ()) = tokio::join!(read, tell(say, end));
        assert!(
            gone.is_cancelled(),
            "nothing is left of a stream that was read"
        );
        read
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_kept_alive() {
        let (status, text) = respond(async |say, end| {
            tokio::time::sleep(KEEP_ALIVE * 2 + KEEP_ALIVE / 2).await;
            let tier = TierName::new("llama").unwrap();
            say.asks(&tier).await;
            say.say(StreamEvent::Text("Hello".to_owned())).await;
            tokio::time::sleep(KEEP_ALIVE + KEEP_ALIVE / 2).await;
            drop(say);
            end.send(Err(HttpError::stopping())).unwrap();
        })
        .await;
        assert_eq!(status, StatusCode::OK);
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 6, "{text}");
        assert_eq!(
            (events[0], events[1], events[4]),
            (": waiting", ": waiting", ": waiting")
        );
        assert!(
            events[3].contains("Hello") && events[5].contains("\"stopping\""),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_has_a_status_until_something_was_sent() {
        let at_once = async |_say, end: oneshot::Sender<_>| {
            end.send(Err(HttpError::stopping())).unwrap();
        };
        let (status, _) = respond(at_once).await;
        assert!(status.is_server_error());
        let later = async |_say, end: oneshot::Sender<_>| {
            tokio::time::sleep(KEEP_ALIVE + KEEP_ALIVE / 2).await;
            end.send(Err(HttpError::stopping())).unwrap();
        };
        let (status, text) = respond(later).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            text.starts_with(": waiting") && text.contains("\"error\""),
            "{text}"
        );
    }
}
