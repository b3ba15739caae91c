//! The one thread that writes.
//!
//! Making a transaction durable takes the disk a moment, however small it is. So the thread takes
//! all commands that arrived meanwhile into the next transaction, and answers each when that is
//! on disk. It doesn't wait for more to come: while it writes, they come by themselves.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Params, Row};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Fault, LedgerError};
use crate::ids::{AttemptId, RunId, Timestamp};
use crate::resolutions::{self, Booked, End};
use crate::runs::{self, Run};

/// Commands that may wait for the thread; beyond, callers wait to hand theirs in.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Commands in one transaction: enough to spread the cost of a sync thin, few enough to keep
/// the first from waiting for the last.
const BATCH_MAX: usize = 128;

/// What the thread is sent.
pub(crate) enum Message {
    /// Do this in the next transaction.
    Work(Box<dyn Work>),
    /// There are dropped holds to book.
    Look,
    /// End when all that was sent before is done.
    Close(oneshot::Sender<Result<(), LedgerError>>),
}

/// A command that can be applied again when the transaction around it came to nothing.
pub(crate) trait Work: Send {
    /// Books it. What it gives back is kept for the answer.
    fn apply(&mut self, books: &Books<'_>) -> Result<(), Fault>;
    /// Answers the caller: the transaction is durable, or this is what went wrong.
    fn answer(self: Box<Self>, outcome: Result<(), LedgerError>);
}

/// The database inside a transaction, and whose session it is.
pub(crate) struct Books<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) path: &'c Path,
    pub(crate) run: RunId,
}

impl Books<'_> {
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.connection.prepare_cached(sql)?.query_row(params, read)
    }

    pub(crate) fn query_all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.connection
            .prepare_cached(sql)?
            .query_map(params, read)?
            .collect()
    }
}

/// Holds whose owner went away, until the thread books their ends. They are never more than the
/// holds that were given.
#[derive(Clone, Debug)]
pub(crate) struct DroppedHolds {
    list: Arc<Mutex<Vec<(AttemptId, End, Timestamp)>>>,
    queue: mpsc::WeakSender<Message>,
}

impl DroppedHolds {
    pub(crate) fn new(queue: &mpsc::Sender<Message>) -> Self {
        Self {
            list: Arc::default(),
            queue: queue.downgrade(),
        }
    }

    /// Notes one, without waiting.
    pub(crate) fn push(&self, attempt: AttemptId, end: End, at: Timestamp) {
        self.append(&mut vec![(attempt, end, at)]);
        if let Some(queue) = self.queue.upgrade() {
            // Where the queue is full the thread is at work, and looks before each transaction.
            let _looks_anyway = queue.try_send(Message::Look);
        }
    }

    fn append(&self, more: &mut Vec<(AttemptId, End, Timestamp)>) {
        self.lock().append(more);
    }

    fn take(&self) -> Vec<(AttemptId, End, Timestamp)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(AttemptId, End, Timestamp)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) path: Arc<Path>,
    pub(crate) run: Run,
    pub(crate) queue: mpsc::Receiver<Message>,
    pub(crate) dropped: DroppedHolds,
}

impl Writer {
    /// Works until the ledger is closed or its last handle is gone.
    pub(crate) fn work(mut self) {
        let mut closing = Vec::new();
        while let Some(first) = self.queue.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Work(work) => batch.push(work),
                    Message::Look => {}
                    Message::Close(reply) => {
                        self.queue.close();
                        closing.push(reply);
                    }
                }
                next = (batch.len() < BATCH_MAX)
                    .then(|| self.queue.try_recv().ok())
                    .flatten();
            }
            self.write(batch);
        }
        let ended = self.end();
        for reply in closing {
            let _caller_may_be_gone = reply.send(ended.clone());
        }
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Work>>) {
        match self.transact(&mut batch) {
            Ok(outcomes) => {
                for (work, outcome) in batch.into_iter().zip(outcomes) {
                    work.answer(outcome);
                }
            }
            // One of them may have taken the others down, by not fitting on the disk for
            // example. Each gets a transaction, and an answer, of its own.
            Err(fault) if batch.len() > 1 && !fault.is_busy() => {
                for work in batch {
                    self.write(vec![work]);
                }
            }
            Err(fault) => {
                let error = self.explain(fault);
                for work in batch {
                    work.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Applies the commands in one durable transaction and gives back what came of each. On an
    /// error nothing of it is in the books.
    fn transact(
        &mut self,
        batch: &mut [Box<dyn Work>],
    ) -> Result<Vec<Result<(), LedgerError>>, Fault> {
        let mut dropped = self.dropped.take();
        let done = self.transact_with(batch, &mut dropped);
        if done.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        // Those that are left were not booked.
        self.dropped.append(&mut dropped);
        done
    }

    fn transact_with(
        &self,
        batch: &mut [Box<dyn Work>],
        dropped: &mut Vec<(AttemptId, End, Timestamp)>,
    ) -> Result<Vec<Result<(), LedgerError>>, Fault> {
        let books = self.books();
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut unbooked = Vec::new();
        books.execute("BEGIN IMMEDIATE", [])?;
        for &(attempt, end, at) in &*dropped {
            match apart(&books, || resolutions::book(&books, attempt, end, at))? {
                Ok(booked) => report_dropped(attempt, end, booked),
                Err(Fault::Answer(error)) => {
                    tracing::debug!(attempt.id = %attempt, %error, "a dropped hold was booked before");
                }
                Err(fault) => {
                    tracing::warn!(attempt.id = %attempt, error = %fault.at(&self.path), "the end of a dropped hold waits to be booked");
                    unbooked.push((attempt, end, at));
                }
            }
        }
        for work in batch {
            let outcome = apart(&books, || work.apply(&books))?;
            outcomes.push(outcome.map_err(|fault| fault.at(&self.path)));
        }
        books.execute("COMMIT", [])?;
        *dropped = unbooked;
        Ok(outcomes)
    }

    fn books(&self) -> Books<'_> {
        Books {
            connection: &self.connection,
            path: &self.path,
            run: self.run.id(),
        }
    }

    fn explain(&self, fault: Fault) -> LedgerError {
        match fault.at(&self.path) {
            LedgerError::Locked { path, .. } => LedgerError::Locked {
                path,
                // The lock may keep even this from being read; then nobody is named.
                pids: runs::other_pids(&self.books()).unwrap_or_default(),
            },
            error => error,
        }
    }

    /// Books what is left and ends the session.
    fn end(mut self) -> Result<(), LedgerError> {
        let path = Arc::clone(&self.path);
        let end = || -> Result<(), Fault> {
            self.transact(&mut [])?;
            let ended = runs::end(&self.books())?;
            let Self {
                connection, run, ..
            } = self;
            connection.close().map_err(|(_, error)| error)?;
            if ended {
                run.remove_lock()?;
            }
            Ok(())
        };
        end().map_err(|fault| fault.at(&path))
    }
}

fn report_dropped(attempt: AttemptId, end: End, booked: Booked) {
    tracing::debug!(attempt.id = %attempt, %end, "booked the end of a dropped hold");
    if let Some(over_hold) = booked.over_hold {
        tracing::error!(
            attempt.id = %attempt,
            over_hold_picodollars = over_hold.get(),
            "an attempt cost more than its worst case; check the tier's prices"
        );
    }
}

/// Applies one command so that its failure leaves the others alone. The outer error says that
/// the database gave up the whole transaction.
fn apart<T>(
    books: &Books<'_>,
    apply: impl FnOnce() -> Result<T, Fault>,
) -> Result<Result<T, Fault>, Fault> {
    books.execute("SAVEPOINT command", [])?;
    let outcome = apply();
    if outcome.is_err() {
        if books.connection.is_autocommit() {
            return outcome.map(Ok);
        }
        books.execute("ROLLBACK TO command", [])?;
    }
    books.execute("RELEASE command", [])?;
    Ok(outcome)
}
