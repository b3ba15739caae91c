//! A batch at work: its lines are read, checked, answered and written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use domain::TaskName;
use ledger::{ItemStatus, JobId, JobItem, JobSpec, Kept, KeptKind, Ledger};
use ledger::{LedgerError, OpenedJob, RequestId, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::Running;
use super::lines::{Line, Lines};
use super::results::{Files, Missing, Results, Writer, Written};
use super::state::{Batch, LineFault, Status};
use super::understood::Understood;
use crate::answer::{self, Item, ItemResult};
use crate::app::App;
use crate::batch::each::{book_unanswered, each};
use crate::clock;
use crate::http::file_folder::FileFolder;
use crate::http::files::{About, BATCH_OUTPUT, encode};
use crate::http::server::now_s;

/// Waits before lines that failed for want of room or of a vendor are tried again.
const AGAIN_AFTER: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// What a batch works with.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) app: Arc<App>,
    pub(super) running: Arc<Running>,
    /// The places that all batches share.
    pub(super) places: Arc<Semaphore>,
    /// Set when the server stops: what is left is done after its next start.
    pub(super) stop: CancellationToken,
}

impl Bench {
    /// Works until the batch has ended, or the server stops.
    ///
    /// # Errors
    /// When the ledger or the disk refuse; what was answered until then is kept.
    pub(super) async fn work(&self) -> anyhow::Result<()> {
        let batch = self.running.batch().await;
        let folder = FileFolder::of(&self.app.config);
        let lines = Lines {
            path: folder.path(&batch.input),
            dialect: batch.dialect,
            endpoint: batch.endpoint.clone(),
        };
        if !lines.path.exists() {
            return self.fail(vec![LineFault::missing_file()]).await;
        }
        if batch.status == Status::Validating {
            let surveyed = lines.clone();
            let found = tokio::task::spawn_blocking(move || surveyed.survey()).await?;
            match found.context("the batch's lines")? {
                Ok(count) => {
                    self.change(|batch| {
                        batch.counts.lines = count;
                        if batch.status == Status::Validating {
                            batch.status = Status::InProgress;
                            batch.moments.in_progress = Some(now_s());
                        }
                    })
                    .await?;
                }
                Err(faults) => return self.fail(faults).await,
            }
        }
        let spec = JobSpec {
            fingerprint: batch.input.clone(),
            task: batches(),
            output: batch.job(),
            at: clock::now(),
        };
        let opened = self.app.ledger.open_job(spec).await?;
        let job = opened.job;
        let worked = self.lines(&lines, opened, batch.moments.deadline).await;
        match worked {
            Ok(Some(missing)) => self.finish(lines, job, (folder, missing)).await,
            // The next start goes on.
            Ok(None) => Ok(self.app.ledger.leave_job(job).await?),
            Err(error) => {
                self.app.ledger.leave_job(job).await?;
                Err(error)
            }
        }
    }

    /// Ends the batch without results.
    async fn fail(&self, faults: Vec<LineFault>) -> anyhow::Result<()> {
        self.change(|batch| {
            batch.faults = faults;
            batch.status = Status::Failed;
            batch.moments.ended = Some(now_s());
        })
        .await?;
        clear(&self.app.ledger, &self.running.batch().await).await?;
        self.change(|batch| batch.is_cleared = true).await
    }

    /// Works on all lines; gives back why some have no result, should any have none, and nothing
    /// where the server stopped.
    async fn lines(
        &self,
        lines: &Lines,
        opened: OpenedJob,
        deadline_s: u64,
    ) -> anyhow::Result<Option<Missing>> {
        let halt = self.stop.child_token();
        let left = Duration::from_secs(deadline_s.saturating_sub(now_s()));
        let passes = self.passes(lines, opened, &halt);
        tokio::pin!(passes);
        let (mut over, mut cancelled) = (false, false);
        let time = tokio::time::sleep(left);
        tokio::pin!(time);
        loop {
            tokio::select! {
                biased;
                worked = &mut passes => { worked?; break; }
                () = self.running.cancel.cancelled(), if !cancelled => cancelled = true,
                () = &mut time, if !over => over = true,
            }
            // Lines in work are finished, and no others begun.
            halt.cancel();
        }
        let is_stopped = self.stop.is_cancelled() && !cancelled && !over;
        Ok((!is_stopped).then_some(match over && !cancelled {
            true => Missing::Expired,
            false => Missing::Cancelled,
        }))
    }

    /// Works on the lines that have no result, and again on those that may have another later.
    async fn passes(
        &self,
        lines: &Lines,
        opened: OpenedJob,
        halt: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut opened = opened;
        let mut waits = AGAIN_AFTER.iter();
        loop {
            let OpenedJob { job, done, .. } = opened;
            let read = lines.clone();
            let rows = move |take: &mut dyn FnMut(Line) -> bool| {
                read.for_each(&mut |line| match line {
                    Ok(line) => done.contains(line.ordinal) || take(line),
                    // The survey has found none.
                    Err(_fault) => true,
                })
                .context("the batch's lines")
            };
            let work = |line| {
                let bench = self.clone();
                async move { bench.line(job, line).await }
            };
            each(rows, &self.places, halt, work).await?;
            let counts = self.app.ledger.reader()?.item_counts(job)?;
            if counts.retryable == 0 || halt.is_cancelled() {
                return Ok(());
            }
            let Some(wait) = waits.next() else {
                return Ok(());
            };
            tokio::select! {
                () = halt.cancelled() => return Ok(()),
                () = tokio::time::sleep(*wait) => {}
            }
            let batch = self.running.batch().await;
            self.app.ledger.leave_job(job).await?;
            let spec = JobSpec {
                fingerprint: batch.input.clone(),
                task: batches(),
                output: batch.job(),
                at: clock::now(),
            };
            opened = self.app.ledger.open_job(spec).await?;
        }
    }

    /// One line's way to its stored result: that of every request.
    async fn line(self, job: JobId, line: Line) -> Result<(), LedgerError> {
        let batch = self.running.batch().await;
        let id = RequestId(Uuid::now_v7().to_string());
        let writer = Writer {
            dialect: batch.dialect,
            custom_id: line.custom_id.clone(),
            request: id.clone(),
        };
        let understood = Understood::new(&self.app, (&batch, &line.body), &id);
        let item = Item {
            job,
            ordinal: line.ordinal,
            document: line.custom_id,
            gold: None,
            result: ItemResult::Line,
        };
        let answered = match understood {
            Ok(understood) => understood.answer(&self.app, item, writer).await?,
            Err(error) => {
                let item = JobItem {
                    job,
                    ordinal: item.ordinal,
                    document: item.document,
                    result: writer.refused(&error),
                    status: ItemStatus::Failed { retryable: false },
                };
                self.running.failed.fetch_add(1, Ordering::Relaxed);
                return book_unanswered(&self.app, batches(), id, item).await;
            }
        };
        match answered.end {
            answer::End::Accepted { .. } => &self.running.answered,
            _ => &self.running.failed,
        }
        .fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the results and ends the batch.
    async fn finish(
        &self,
        lines: Lines,
        job: JobId,
        (folder, missing): (FileFolder, Missing),
    ) -> anyhow::Result<()> {
        self.change(|batch| {
            batch.status = Status::Finalizing;
            batch.moments.finalizing = Some(now_s());
        })
        .await?;
        let ledger = &self.app.ledger;
        ledger.finish_job(job, clock::now()).await?;
        let batch = self.running.batch().await;
        // Made of the batch's name, so that a file that was written before a crash is replaced.
        let names = ["output", "errors"].map(|what| format!("file-{}_{what}", batch.id));
        let reader = ledger.reader()?;
        let results = tokio::task::spawn_blocking(move || {
            let files = Files {
                folder: &folder,
                output: &names[0],
                errors: &names[1],
                missing,
            };
            files.write((&reader, job), &lines)
        });
        let Results {
            counts,
            output,
            errors,
        } = results.await??;
        for file in output.iter().chain(&errors) {
            keep_file(ledger, (&batch, file), self.running.expiry()).await?;
        }
        self.change(|batch| {
            batch.counts = counts;
            batch.output = output.map(|file| file.id);
            batch.errors = errors.map(|file| file.id);
            batch.status = match (counts.cancelled, counts.expired) {
                (0, 0) => Status::Completed,
                (0, _) => Status::Expired,
                _ => Status::Cancelled,
            };
            batch.moments.ended = Some(now_s());
        })
        .await?;
        clear(ledger, &self.running.batch().await).await?;
        self.change(|batch| batch.is_cleared = true).await?;
        tracing::info!(
            batch.id,
            lines = counts.lines,
            answered = counts.answered,
            failed = counts.failed,
            "a batch has ended"
        );
        Ok(())
    }

    /// Changes the batch, here and in the ledger.
    async fn change(&self, change: impl FnOnce(&mut Batch)) -> anyhow::Result<()> {
        Ok(self.running.change(&self.app.ledger, change).await?)
    }
}

/// Takes the job behind a batch out of the ledger: its texts are in the files.
pub(super) async fn clear(ledger: &Ledger, batch: &Batch) -> Result<(), LedgerError> {
    ledger.discard_job(&batch.job()).await.map(drop)
}

async fn keep_file(
    ledger: &Ledger,
    (batch, file): (&Batch, &Written),
    expires_at: Timestamp,
) -> Result<(), LedgerError> {
    let about = About {
        filename: format!("{}.jsonl", file.id.trim_start_matches("file-")),
        purpose: BATCH_OUTPUT.to_owned(),
        bytes: file.bytes,
    };
    let kept = Kept {
        id: file.id.clone(),
        owner: batch.owner.clone(),
        at: clock::now(),
        expires_at,
        size_bytes: file.bytes,
        body: encode(&about),
    };
    // Results that were paid for are kept however full the shelf is.
    ledger.keep(KeptKind::File, kept, u64::MAX).await
}

/// The name under which lines are booked that no task could be found for.
fn batches() -> TaskName {
    TaskName::new("batches").unwrap_or_else(|_| unreachable!("it is a name"))
}
