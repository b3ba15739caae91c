//! The run itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use ledger::{ItemCounts, JobId, JobItem, JobSpec, LedgerError, OpenedJob, RequestId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::chat::RequestedGeneration;

use super::each::{book_unanswered, each};
use super::input::{Input, Row, Survey};
use super::output;
use super::progress::Progress;
use super::result::ResultLine;
use super::summary::Summary;
use crate::answer::{self, Item, ItemResult, Request};
use crate::app::App;
use crate::clock;
use crate::learn::stored::hex;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) task: Arc<ReadyTask>,
    /// Hash of everything that shapes the task's answers.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) input: Input,
    pub(crate) output: PathBuf,
    /// Documents in work at once.
    pub(crate) concurrency: usize,
    /// Whether a finished run, or a file that is no result, may be replaced.
    pub(crate) again: bool,
    /// What the progress bar is headed with.
    pub(crate) title: String,
}

/// Puts every document to the task and writes the output.
///
/// When `stop` is set, no further document is begun, those in work are finished, and the run can
/// be taken up again by the same call; the summary says so.
///
/// # Errors
/// When the input can't be read to its end, the output belongs to another run, or the ledger or
/// the output can't be written. What was answered until then is kept.
pub(crate) async fn run(
    app: &Arc<App>,
    batch: Batch,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let Batch {
        task,
        fingerprint,
        input,
        output,
        concurrency,
        again,
        title,
    } = batch;
    let start = Instant::now();
    let input = Arc::new(input);
    let reading = Arc::clone(&input);
    let survey = tokio::task::spawn_blocking(move || reading.survey()).await??;
    let output = output::resolved(&output)?;
    let name = output.display().to_string();
    if input.reads(&output) {
        bail!(
            "{name} is a file of the input, which the results would replace; name another output"
        );
    }
    let spec = JobSpec {
        fingerprint: job_fingerprint(&fingerprint, &survey),
        task: task.task.name.clone(),
        output: name.clone(),
        at: clock::now(),
    };
    let opened = open_job(app, spec, again, &output).await?;
    let already = opened.done.len();
    let progress = Progress::start(title, &task, survey.rows, already);
    // More than the engine's queue takes would be refused.
    let concurrency = concurrency.min(task.queue_max(app));
    let job = opened.job;
    let desk = Desk {
        app: Arc::clone(app),
        task: Arc::clone(&task),
        job,
        progress: progress.clone(),
    };
    let places = Arc::new(Semaphore::new(concurrency));
    let rows = move |take: &mut dyn FnMut(Row) -> bool| {
        let read = input.for_each(|row| opened.done.contains(row.ordinal) || take(row));
        read.context("the input changed or broke while it was being worked on")
    };
    let work = |row| {
        let desk = desk.clone();
        async move { desk.document(row).await }
    };
    let worked = each(rows, &places, stop, work).await;
    progress.finish();
    let reader = app.ledger.reader()?;
    let stopped = stop.is_cancelled();
    if let Err(error) = worked {
        app.ledger.leave_job(job).await?;
        return Err(error);
    }
    if stopped {
        app.ledger.leave_job(job).await?;
    } else {
        let counts = app.ledger.finish_job(job, clock::now()).await?;
        check_counts(&counts, survey.rows)?;
        output::write(&reader, job, &output)?;
    }
    let mut summary = Summary::read(&reader, job, &task)?;
    summary.rows = survey.rows;
    summary.already = already;
    summary.took(start.elapsed().as_secs_f64());
    summary.output = (!stopped).then_some(output);
    Ok(summary)
}

/// A run that ended without a result for each row would be our bug, and not to be passed over.
fn check_counts(counts: &ItemCounts, rows: u64) -> anyhow::Result<()> {
    let ItemCounts {
        answered,
        review,
        failed,
        retryable,
    } = counts;
    let results = answered + review + failed + retryable;
    if results != rows {
        bail!("{results} results for {rows} rows; the run is not whole: please report this");
    }
    Ok(())
}

async fn open_job(
    app: &App,
    spec: JobSpec,
    again: bool,
    output: &std::path::Path,
) -> anyhow::Result<OpenedJob> {
    let name = spec.output.clone();
    if again {
        app.ledger.discard_job(&name).await?;
    }
    match app.ledger.open_job(spec).await {
        Ok(opened) => {
            let fresh = opened.done.is_empty() && opened.retryable.is_empty();
            if fresh && !again && output.exists() {
                app.ledger.leave_job(opened.job).await?;
                app.ledger.discard_job(&name).await?;
                bail!(
                    "{name} is there already and is no result of this data folder; name another output, or replace it with --again"
                );
            }
            Ok(opened)
        }
        Err(LedgerError::JobDiffers { .. }) => bail!(
            "{name} belongs to a run of another input, or of the task as it was before a change; name another output, or do it anew with --again"
        ),
        Err(error) => Err(error.into()),
    }
}

fn job_fingerprint(task: &[u8; 32], survey: &Survey) -> String {
    format!("{}-{}", hex(task), hex(&survey.fingerprint))
}

/// What a document's way to its stored result takes.
#[derive(Clone)]
struct Desk {
    app: Arc<App>,
    task: Arc<ReadyTask>,
    job: JobId,
    progress: Progress,
}

impl Desk {
    /// One row's way to its stored result.
    async fn document(&self, row: Row) -> Result<(), LedgerError> {
        let id = RequestId(Uuid::now_v7().to_string());
        let item = Item {
            job: self.job,
            ordinal: row.ordinal,
            document: row.id,
            gold: row.gold,
            result: ItemResult::Line,
        };
        match row.text {
            Err(reason) => self.unreadable(id, &item, &reason).await,
            Ok(text) => {
                let request = Request {
                    id,
                    tenant: Tenant::program(),
                    prompt: self.task.task.prompt_for(&text),
                    generation: RequestedGeneration::default(),
                    extra: None,
                    item: Some(item),
                };
                let answered = answer::answer(&self.app, &self.task, &request, None).await?;
                self.progress.answered(&answered);
                Ok(())
            }
        }
    }

    /// Stores the failed result of a row that holds no document.
    async fn unreadable(
        &self,
        request: RequestId,
        item: &Item,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let stored = JobItem {
            job: item.job,
            ordinal: item.ordinal,
            document: item.document.clone(),
            result: ResultLine::unreadable(&self.task, item, reason).encode(),
            status: ledger::ItemStatus::Failed { retryable: false },
        };
        book_unanswered(&self.app, self.task.task.name.clone(), request, stored).await?;
        self.progress.unreadable();
        Ok(())
    }
}
