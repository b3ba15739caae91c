//! The one thread that writes.
//!
//! Making a transaction durable takes the disk a moment, however small it is. So the thread takes
//! all commands that arrived meanwhile into the next transaction, and answers each when that is
//! on disk. It doesn't wait for more to come: while it writes, they come by themselves.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Params, Row};
use tokio::sync::{mpsc, oneshot};

use crate::audits;
use crate::error::{Fault, LedgerError};
use crate::ids::{AttemptId, RunId, Timestamp};
use crate::resolutions::{self, Booked, End};
use crate::runs::{self, Run};

/// Commands that may wait for the thread; beyond, callers wait to hand theirs in.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Commands in one transaction: enough to spread the cost of a sync thin, few enough to keep
/// the first from waiting for the last.
const BATCH_MAX: usize = 128;

const SHORTEN_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What the thread is sent.
pub(crate) enum Message {
    /// Do this in the next transaction.
    Work(Box<dyn Work>),
    /// There are dropped holds to book.
    Look,
    /// Empty the write-ahead log: it may hold what was deleted.
    ShortenLog(oneshot::Sender<()>),
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

/// A hold whose owner went away, and how far it had come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DroppedHold {
    pub(crate) attempt: AttemptId,
    pub(crate) end: End,
    pub(crate) at: Timestamp,
}

/// Holds whose owner went away, until the thread books their ends. They are never more than the
/// holds that were given.
#[derive(Clone, Debug)]
pub(crate) struct DroppedHolds {
    list: Arc<Mutex<Vec<DroppedHold>>>,
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
    pub(crate) fn push(&self, hold: DroppedHold) {
        self.lock().push(hold);
        if let Some(queue) = self.queue.upgrade() {
            // Where the queue is full the thread is at work, and looks before each transaction.
            let _looks_anyway = queue.try_send(Message::Look);
        }
    }

    fn put_back(&self, mut holds: Vec<DroppedHold>) {
        self.lock().append(&mut holds);
    }

    fn take(&self) -> Vec<DroppedHold> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<DroppedHold>> {
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
            let mut shorten = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Work(work) => batch.push(work),
                    Message::Look => {}
                    Message::ShortenLog(reply) => shorten.push(reply),
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
            if !shorten.is_empty() {
                self.shorten_log();
            }
            for reply in shorten {
                let _caller_may_be_gone = reply.send(());
            }
        }
        let ended = self.end();
        for reply in closing {
            let _caller_may_be_gone = reply.send(ended.clone());
        }
    }

    /// Books what was dropped and then the commands, which so find the room that it gives back.
    fn write(&mut self, mut batch: Vec<Box<dyn Work>>) {
        let dropped = self.dropped.take();
        if dropped.is_empty() && batch.is_empty() {
            return;
        }
        match self.transact(&dropped, &mut batch) {
            Ok(outcomes) => return answer(batch, outcomes),
            Err(fault) if fault.is_busy() => {
                self.dropped.put_back(dropped);
                return self.refuse(batch, fault);
            }
            Err(_) => {}
        }
        // One of them may have taken the others down, by not fitting on the disk for example. Now
        // each command gets a transaction, and an answer, of its own.
        self.shorten_log();
        if let Err(fault) = self.transact(&dropped, &mut []) {
            let error = fault.at(&self.path);
            tracing::warn!(count = dropped.len(), %error, "the ends of dropped holds wait to be booked");
            self.dropped.put_back(dropped);
        }
        for work in batch {
            let mut alone = vec![work];
            match self.transact(&[], &mut alone) {
                Ok(outcomes) => answer(alone, outcomes),
                Err(fault) => self.refuse(alone, fault),
            }
        }
    }

    /// Applies everything in one durable transaction and gives back what came of each command. On
    /// an error nothing of it is in the books.
    ///
    /// Commands that fail after they wrote something are rare, and guarding each against it costs
    /// a copy of every page it touches. So it is first tried without.
    fn transact(
        &mut self,
        dropped: &[DroppedHold],
        batch: &mut [Box<dyn Work>],
    ) -> Result<Vec<Result<(), LedgerError>>, Fault> {
        match self.transact_as(Guard::None, dropped, batch)? {
            Some(outcomes) => Ok(outcomes),
            None => {
                let outcomes = self.transact_as(Guard::Savepoints, dropped, batch)?;
                Ok(outcomes.unwrap_or_else(|| unreachable!("a savepoint undoes what failed")))
            }
        }
    }

    /// As [`Writer::transact`]; `None`, and nothing in the books, when a command that was not
    /// guarded left something behind.
    fn transact_as(
        &mut self,
        guard: Guard,
        dropped: &[DroppedHold],
        batch: &mut [Box<dyn Work>],
    ) -> Result<Option<Vec<Result<(), LedgerError>>>, Fault> {
        let done = self.transact_open(guard, dropped, batch);
        if !matches!(done, Ok(Some(_))) && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        done
    }

    fn transact_open(
        &self,
        guard: Guard,
        dropped: &[DroppedHold],
        batch: &mut [Box<dyn Work>],
    ) -> Result<Option<Vec<Result<(), LedgerError>>>, Fault> {
        let books = self.books();
        books.execute("BEGIN IMMEDIATE", [])?;
        for hold in dropped {
            match guard.apply(&books, || resolutions::book_dropped(&books, hold))? {
                Some(Ok(booked)) => report_dropped(hold, booked),
                Some(Err(Fault::Answer(error))) => {
                    tracing::debug!(attempt.id = %hold.attempt, %error, "a dropped hold was ended before");
                }
                Some(Err(fault)) => return Err(fault),
                None => return Ok(None),
            }
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        for work in batch {
            match guard.apply(&books, || work.apply(&books))? {
                Some(outcome) => outcomes.push(outcome.map_err(|fault| fault.at(&self.path))),
                None => return Ok(None),
            }
        }
        books.execute("COMMIT", [])?;
        Ok(Some(outcomes))
    }

    /// Gives the disk the space of the write-ahead log back, as far as its pages find room in the
    /// database. Where they don't, what follows says so.
    fn shorten_log(&self) {
        let shortened = self
            .connection
            .query_row(SHORTEN_LOG, [], |row| row.get::<_, i64>(0));
        tracing::debug!(?shortened, "shortened the write-ahead log");
    }

    fn refuse(&self, batch: Vec<Box<dyn Work>>, fault: Fault) {
        let error = self.explain(fault);
        for work in batch {
            work.answer(Err(error.clone()));
        }
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
            let dropped = self.dropped.take();
            self.transact(&dropped, &mut [])?;
            audits::let_go(&self.books())?;
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

fn answer(batch: Vec<Box<dyn Work>>, outcomes: Vec<Result<(), LedgerError>>) {
    for (work, outcome) in batch.into_iter().zip(outcomes) {
        work.answer(outcome);
    }
}

fn report_dropped(hold: &DroppedHold, booked: Booked) {
    tracing::debug!(attempt.id = %hold.attempt, end = %hold.end, "booked the end of a dropped hold");
    if let Some(over_hold) = booked.over_hold {
        tracing::error!(
            attempt.id = %hold.attempt,
            over_hold_picodollars = over_hold.get(),
            "an attempt cost more than its worst case; check the tier's prices"
        );
    }
}

/// How a command that fails is kept from taking its neighbours in the transaction along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Not at all: what it wrote can only be undone with the transaction.
    None,
    /// By a savepoint before it.
    Savepoints,
}

impl Guard {
    /// Applies one command, and gives back what came of it; `None` when it failed and something
    /// of it is left, so that the transaction must not be committed. The outer error says that the
    /// database gave up the whole transaction.
    fn apply<T>(
        self,
        books: &Books<'_>,
        apply: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<Option<Result<T, Fault>>, Fault> {
        if self == Self::Savepoints {
            books.execute("SAVEPOINT command", [])?;
        }
        let before = books.connection.total_changes();
        let outcome = apply();
        if outcome.is_err() && books.connection.is_autocommit() {
            return outcome.map(|done| Some(Ok(done)));
        }
        match self {
            Self::None => {
                let is_clean = outcome.is_ok() || books.connection.total_changes() == before;
                Ok(is_clean.then_some(outcome))
            }
            Self::Savepoints => {
                if outcome.is_err() {
                    books.execute("ROLLBACK TO command", [])?;
                }
                books.execute("RELEASE command", [])?;
                Ok(Some(outcome))
            }
        }
    }
}
