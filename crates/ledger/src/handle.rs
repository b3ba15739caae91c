//! The handle through which a process books.

use std::path::Path;
use std::sync::Arc;

use domain::TaskName;
use tokio::sync::{mpsc, oneshot};

use crate::audits::{self, AuditEnd, DueAudit};
use crate::decisions::{self, Outcome, Recorded};
use crate::error::{Fault, LedgerError};
use crate::holds::{self, Hold, NewHold};
use crate::ids::{JobId, Timestamp};
use crate::items::{self, ItemCounts};
use crate::jobs::{self, JobSpec, OpenedJob};
use crate::keeping::{self, Kept, KeptKind};
use crate::lessons::{self, Lesson};
use crate::monitors::{self, Advance, Monitored, NewMonitor};
use crate::reader::Reader;
use crate::records::{self, Correction, Forgetting, Labelled};
use crate::resolutions::{self, Booked, Resolution};
use crate::runs::{self, Adopted, Run};
use crate::schema;
use crate::writer::{Books, DroppedHolds, Message, QUEUE_MAX, Work, Writer};

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

    /// Opens the job that writes this output, or a new one, for this process alone.
    ///
    /// # Errors
    /// [`LedgerError::JobRunning`] when a live process (this one included) has it open,
    /// [`LedgerError::JobDiffers`] when the output belongs to a job with another fingerprint; and
    /// when the books can't be written.
    pub async fn open_job(&self, spec: JobSpec) -> Result<OpenedJob, LedgerError> {
        self.call(spec, jobs::open, |_, opened| opened).await
    }

    /// Closes a job whose items all have an answer or a failure, and counts them.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the job isn't open in this process; and when the books can't
    /// be written.
    pub async fn finish_job(&self, job: JobId, at: Timestamp) -> Result<ItemCounts, LedgerError> {
        self.call(
            (job, at),
            |books, &(job, at)| {
                jobs::finish(books, job, at)?;
                Ok(items::counts(books.connection, job)?)
            },
            |_, counts| counts,
        )
        .await
    }

    /// Closes a job that is to be resumed later, by any process.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the job isn't open in this process; and when the books can't
    /// be written.
    pub async fn leave_job(&self, job: JobId) -> Result<(), LedgerError> {
        self.call(job, |books, &job| jobs::leave(books, job), |_, ()| ())
            .await
    }

    /// Forgets the job of an output and its items, as [`Ledger::forget`] does, and says whether there
    /// was one. Its money and its decisions stay in the books.
    ///
    /// # Errors
    /// [`LedgerError::JobRunning`] when a live process has it open; and when the books can't be
    /// written.
    pub async fn discard_job(&self, output: &str) -> Result<bool, LedgerError> {
        let discarded = self
            .call(
                output.to_owned(),
                |books, output| jobs::discard(books, output),
                |_, discarded| discarded,
            )
            .await?;
        self.overwrite(u64::from(discarded)).await?;
        Ok(discarded)
    }

    /// Books the right answers that a person gave to requests of a task, in place of earlier ones.
    /// Where an audit waits for a person, it is done by it, and its monitor advances.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when a monitor can't take an audit in; and when the books can't
    /// be written. Then none of them is booked.
    pub async fn label(
        &self,
        task: TaskName,
        corrections: Vec<Correction>,
        (advance, at): (Advance, Timestamp),
    ) -> Result<Labelled, LedgerError> {
        self.call(
            (task, corrections, advance, at),
            |books, (task, corrections, advance, at)| {
                records::label(books, (task, corrections), (advance, *at))
            },
            |_, labelled| labelled,
        )
        .await
    }

    /// Books a lesson that a task's student was given.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn book_lesson(&self, task: TaskName, lesson: Lesson) -> Result<(), LedgerError> {
        self.call(
            (task, lesson),
            |books, (task, lesson)| lessons::book(books, task, lesson),
            |_, ()| (),
        )
        .await
    }

    /// The monitor of a certificate, begun now if there is none. What waited to be audited for an
    /// earlier certificate of the task is given up.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn open_monitor(
        &self,
        new: NewMonitor,
        at: Timestamp,
    ) -> Result<Monitored, LedgerError> {
        self.call(
            (new, at),
            |books, (new, at)| {
                let standing = (new.certificate.as_str(), new.beside.as_deref());
                audits::lapse_others(books, &new.task, standing)?;
                monitors::open(books, new, *at)
            },
            |_, monitored| monitored,
        )
        .await
    }

    /// The monitor of a certificate, if there is one.
    ///
    /// # Errors
    /// When the books can't be read.
    pub async fn monitor(&self, certificate: String) -> Result<Option<Monitored>, LedgerError> {
        self.call(
            certificate,
            |books, certificate| Ok(monitors::one(books.connection, certificate)?),
            |_, monitored| monitored,
        )
        .await
    }

    /// Claims at most so many audits of these tasks for which a tier is to be asked now. They
    /// stay claimed until [`Ledger::end_audit`], or until this ledger is closed or its process
    /// dead.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn claim_audits(
        &self,
        tasks: Vec<TaskName>,
        most: u32,
        at: Timestamp,
    ) -> Result<Vec<DueAudit>, LedgerError> {
        self.call(
            (tasks, most, at),
            |books, (tasks, most, at)| audits::claim(books, tasks, *at, *most),
            |_, due| due,
        )
        .await
    }

    /// Books what came of asking an auditor: its money, and with an answer the audit's end and
    /// its monitor's next state, all of it or nothing. Gives back the monitor as it then stands,
    /// if it has moved.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`] when there is no such audit, [`LedgerError::Invalid`] when the
    /// monitor can't take it in; and when the books can't be written. The attempts' resolutions
    /// are then booked alone, as if they had been dropped.
    pub async fn end_audit(
        &self,
        end: AuditEnd,
        advance: Advance,
    ) -> Result<Option<Monitored>, LedgerError> {
        self.call(
            (end, advance),
            |books, (end, advance)| audits::end(books, end, advance),
            |(end, _), moved| {
                end.resolutions.into_iter().for_each(Resolution::booked);
                moved
            },
        )
        .await
    }

    /// Deletes records for good, in the database and in the log before it, and gives back how
    /// many there were. Decisions and money stay. Where another process is reading at that
    /// moment, the log is emptied by a later call or when the last process closes the books.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn forget(&self, what: Forgetting) -> Result<u64, LedgerError> {
        let deleted = self
            .call(what, records::forget, |_, deleted| deleted)
            .await?;
        self.overwrite(deleted).await?;
        Ok(deleted)
    }

    /// Empties the log where anything was deleted: what was may stand in it.
    async fn overwrite(&self, deleted: u64) -> Result<(), LedgerError> {
        if deleted > 0 {
            let (reply, emptied) = oneshot::channel();
            self.send(Message::ShortenLog(reply)).await?;
            emptied.await.map_err(|_| LedgerError::Closed)?;
        }
        Ok(())
    }

    /// Keeps something for an owner, in the place of what the owner has called the same. Where the
    /// owner's things would have more bytes than `bytes_max`, the oldest of its responses are
    /// dropped.
    ///
    /// # Errors
    /// [`LedgerError::TooMuchKept`] when there is no room even so, [`LedgerError::Unknown`] when
    /// another owner has something of that name; and when the books can't be written. Nothing is
    /// kept or dropped then.
    pub async fn keep(
        &self,
        kind: KeptKind,
        kept: Kept,
        bytes_max: u64,
    ) -> Result<(), LedgerError> {
        self.call(
            (kind, kept, bytes_max),
            |books, (kind, kept, bytes_max)| keeping::put(books, (*kind, kept, *bytes_max)),
            |_, ()| (),
        )
        .await
    }

    /// Deletes something of an owner's for good, as [`Ledger::forget`] does, and gives back whether
    /// there was any.
    ///
    /// # Errors
    /// When the books can't be written.
    pub async fn drop_kept(
        &self,
        kind: KeptKind,
        id: String,
        owner: String,
    ) -> Result<bool, LedgerError> {
        let deleted = self
            .call(
                (kind, id, owner),
                |books, (kind, id, owner)| keeping::delete(books, (*kind, id, owner)),
                |_, deleted| deleted,
            )
            .await?;
        self.overwrite(u64::from(deleted)).await?;
        Ok(deleted)
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
        let (reply, answer) = oneshot::channel();
        let command = Command {
            input,
            applied: None,
            apply,
            finish,
            reply,
        };
        self.send(Message::Work(Box::new(command))).await?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    async fn send(&self, message: Message) -> Result<(), LedgerError> {
        let sent = self.queue.send(message).await;
        sent.map_err(|_| LedgerError::Closed)
    }
}

struct Command<I, T, U> {
    input: I,
    applied: Option<T>,
    apply: fn(&Books<'_>, &I) -> Result<T, Fault>,
    finish: fn(I, T) -> U,
    reply: oneshot::Sender<Result<U, LedgerError>>,
}

impl<I: Send, T: Send, U: Send> Work for Command<I, T, U> {
    fn apply(&mut self, books: &Books<'_>) -> Result<(), Fault> {
        self.applied = Some((self.apply)(books, &self.input)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), LedgerError>) {
        let answer = match (outcome, self.applied) {
            (Ok(()), Some(applied)) => Ok((self.finish)(self.input, applied)),
            (Err(error), _) => Err(error),
            (Ok(()), None) => unreachable!("a command that succeeded was applied"),
        };
        // Where the caller is gone, a hold in the answer is dropped here and so released.
        let _caller_may_be_gone = self.reply.send(answer);
    }
}
