//! A request in work: a task that answers it, and the client that waits for the answer.

use std::sync::Arc;

use ledger::LedgerError;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::chat::Delivery;

use super::admission::Place;
use super::error::HttpError;
use super::exchange::Exchange;
use super::facts::Facts;
use super::server::Server;
use crate::answer::{Answered, Listener, Live, Request, Texts, answer, embed};
use crate::app::App;
use crate::ready::ReadyTask;

/// What is to be answered, and for whom.
pub(super) struct Work {
    pub(super) app: Arc<App>,
    pub(super) task: Arc<ReadyTask>,
    pub(super) wanted: Wanted,
    pub(super) exchange: Exchange,
}

/// What a client wants.
pub(super) enum Wanted {
    /// An answer to a prompt.
    Answer(Box<Request>),
    /// Vectors of texts.
    Vectors(Texts),
}

/// An answer on its way. Dropping it, as happens when the client hangs up, ends the work.
pub(super) struct Pending {
    /// What is told while it is written; ends when the answer is whole. Nothing comes unless it
    /// is streamed.
    pub(super) said: Listener,
    done: oneshot::Receiver<Result<Answered, HttpError>>,
    _gone: DropGuard,
}

impl Pending {
    /// An answer that comes over these channels.
    pub(super) fn new(
        said: Listener,
        done: oneshot::Receiver<Result<Answered, HttpError>>,
        gone: DropGuard,
    ) -> Self {
        Self {
            said,
            done,
            _gone: gone,
        }
    }

    /// The end.
    ///
    /// # Errors
    /// When it couldn't be recorded, or was cut off.
    ///
    /// # Cancel safety
    /// When dropped it can be called again; once it has come it must not be.
    pub(super) async fn done(&mut self) -> Result<Answered, HttpError> {
        (&mut self.done)
            .await
            .unwrap_or_else(|_broken| Err(HttpError::internal()))
    }
}

impl Work {
    /// Begins to work. It ends with its answer, when nobody waits for it any more, or when the
    /// server is cut off.
    pub(super) fn start(self, server: &Server, delivery: Delivery, place: Place) -> Pending {
        let (live, said) = Live::new();
        let live = (delivery == Delivery::Streamed).then_some(live);
        let (reply, done) = oneshot::channel();
        let gone = server.cut.child_token();
        let guard = gone.clone().drop_guard();
        let patience = server.body_timeout;
        self.exchange.began(self.task.task.name.as_str());
        server.work.spawn(async move {
            let result = tokio::select! {
                biased;
                () = gone.cancelled() => Err(HttpError::stopping()),
                () = stalled(live.as_ref(), patience) => Err(HttpError::reader_stalled()),
                answered = self.answered(live.as_ref()) => {
                    answered.map_err(|error| HttpError::not_recorded(&error))
                }
            };
            self.note(&result, &gone);
            // The reader of a stream waits for the last sender to go before it takes the end.
            drop(live);
            let _gone = reply.send(result);
            drop(place);
        });
        Pending::new(said, done, guard)
    }

    async fn answered(&self, live: Option<&Live>) -> Result<Answered, LedgerError> {
        match &self.wanted {
            Wanted::Answer(request) => answer(&self.app, &self.task, request, live).await,
            Wanted::Vectors(texts) => embed(&self.app, &self.task, texts).await,
        }
    }

    fn note(&self, result: &Result<Answered, HttpError>, gone: &CancellationToken) {
        match result {
            Ok(answered) => self.exchange.ended(Facts::of(answered)),
            Err(error) => {
                self.exchange.broke(error.cause());
                let outcome = if gone.is_cancelled() {
                    "cancelled"
                } else {
                    "failed"
                };
                let task = self.task.task.name.as_str();
                self.app.metrics.request_ended(task, outcome);
            }
        }
    }
}

async fn stalled(live: Option<&Live>, patience: std::time::Duration) {
    match live {
        Some(live) => live.stalled(patience).await,
        None => std::future::pending().await,
    }
}
