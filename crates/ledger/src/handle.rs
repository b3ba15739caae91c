//! The handle through which a process books.

mod command;
mod jobs;
mod kept;
mod learned;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use self::command::Command;
use crate::decisions::{self, Outcome, Recorded};
use crate::error::{Fault, LedgerError};
use crate::holds::{self, Hold, NewHold};
use crate::ids::Timestamp;
use crate::reader::Reader;
use crate::resolutions::{self, Booked, Resolution};
use crate::runs::{self, Adopted, Run};
use crate::schema;
use crate::writer::{Books, DroppedHolds, Message, QUEUE_MAX, Writer};

/// How to open a ledger, where the ordinary way won't do.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// The most database pages (4,096 bytes each) that this handle lets the file grow to;
    /// `None` leaves it to the disk. Beyond it, commands fail with [`LedgerError::Full`].
    pub pages_max: Option<u32>,
}

impl OpenOptions {
    /// [`Ledger::open`] with these options.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(self, path: &Path) -> Result<Ledger, LedgerError> {
        let at = |fault: Fault| fault.at(path);
        let mut connection = schema::open_for_writing(path, self.pages_max)?;
        let run = Run::begin(&mut connection, path).map_err(at)?;
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let dropped = DroppedHolds::new(&sender);
        let ledger = Ledger {
            path: Arc::from(path),
            queue: sender,
            dropped: dropped.clone(),
        };
        let writer = Writer {
            connection,
            path: Arc::clone(&ledger.path),
            run,
            queue,
            dropped,
        };
        // The thread is ended, and waited for, by `close`.
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.work())
            .map_err(|error| at(error.into()))?;
        Ok(ledger)
    }
}

/// A process's way into the books. Clones share the one thread that writes.
///
/// # Cancel safety
/// A future of any method may be dropped midway. What was handed in by then is booked or not, and
/// never half. A hold is released when nobody received it, and holds inside an [`Outcome`] or a
/// [`Resolution`] are booked as the resolution says.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: Arc<Path>,
    queue: mpsc::Sender<Message>,
    dropped: DroppedHolds,
}

impl Ledger {
    /// The ledger in this file, which is created or brought up to date where needed. It blocks,
    /// at most for some seconds where another process is doing the same.
    ///
    /// Several processes may have one file open. Each should call [`Ledger::adopt_orphans`] once.
    ///
    /// # Errors
    /// [`LedgerError::Unfit`] when the file is no ledger or a newer one, [`LedgerError::Locked`]
    /// when another process doesn't let go of it, [`LedgerError::Full`] and
    /// [`LedgerError::Storage`] when it can't be read or written.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        OpenOptions::default().open(path)
    }

    /// Books all that was handed in before, and ends. Other clones then get
    /// [`LedgerError::Closed`].
    ///
    /// # Errors
    /// When the last entries can't be written; what was acknowledged stands all the same.
    pub async fn close(&self) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Close(reply)).await?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Keeps the holds of runs that died at their worst cases, in state unknown: their attempts
    /// may have been billed. Holds of living processes are left alone.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn adopt_orphans(&self, at: Timestamp) -> Result<Adopted, LedgerError> {
        self.call(
            at,
            |books, &at| runs::adopt_orphans(books, at),
            |_, adopted| adopted,
        )
        .await
    }

    /// Holds the worst case of an attempt in all its budgets, durably, before it is sent.
    ///
    /// # Errors
    /// [`LedgerError::OverBudget`] when a budget has no room, [`LedgerError::Contradiction`] when
    /// the attempt was booked before, [`LedgerError::Invalid`] when the worst case is negative or
    /// a budget named twice; and when the books can't be written. Nothing is held then, and
    /// nothing must be sent.
    pub async fn hold(&self, new: NewHold) -> Result<Hold, LedgerError> {
        new.check()?;
        self.call(
            (new, self.dropped.clone()),
            |books, (new, _)| holds::take(books, new),
            |(new, dropped), ()| Hold::new(new.attempt, new.at, dropped),
        )
        .await
    }

    /// Books how an attempt ended. The same again changes nothing. An attempt that was kept may
    /// be settled or released later; settled and released are final.
    ///
    /// # Errors
    /// [`LedgerError::Contradiction`] when it ended otherwise in the books,
    /// [`LedgerError::Unknown`] when it never had a hold, [`LedgerError::Invalid`] when the cost
    /// is negative; and when the books can't be written.
    pub async fn resolve(
        &self,
        resolution: Resolution,
        at: Timestamp,
    ) -> Result<Booked, LedgerError> {
        self.call(
            (resolution, at),
            |books, (resolution, at)| {
                resolutions::book(books, resolution.attempt(), resolution.end(), *at)
            },
            |(resolution, _), booked| {
                resolution.booked();
                booked
            },
        )
        .await
    }

    /// Books what came of a request, all of it or nothing: the ends of its attempts, its
    /// decision and, in a batch run, its job's item. The same again changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::Contradiction`] when the request, an attempt or the item is booked
    /// otherwise, [`LedgerError::JobRunning`] when another process has taken the job over,
    /// [`LedgerError::Unknown`] for an attempt or job that isn't there, [`LedgerError::Invalid`]
    /// for a value that can't be booked; and when the books can't be written. The attempts'
    /// resolutions are then booked alone, as if they had been dropped.
    pub async fn record(&self, outcome: Outcome) -> Result<Recorded, LedgerError> {
        self.call(outcome, decisions::record, |outcome, recorded| {
            outcome.resolutions.into_iter().for_each(Resolution::booked);
            recorded
        })
        .await
    }

    /// A reader of the same file, with a connection of its own.
    ///
    /// # Errors
    /// When the file can't be opened again.
    pub fn reader(&self) -> Result<Reader, LedgerError> {
        Reader::open(&self.path)
    }

    /// Has the thread apply a command, and gives back what `finish` makes of its input and its
    /// result once they are durable. The input must be able to be applied twice.
    async fn call<I, T, U>(
        &self,
        input: I,
        apply: fn(&Books<'_>, &I) -> Result<T, Fault>,
        finish: fn(I, T) -> U,
    ) -> Result<U, LedgerError>
    where
        I: Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
    {
        let (command, answer) = Command::new(input, apply, finish);
        self.send(Message::Work(Box::new(command))).await?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    async fn send(&self, message: Message) -> Result<(), LedgerError> {
        let sent = self.queue.send(message).await;
        sent.map_err(|_| LedgerError::Closed)
    }
}
