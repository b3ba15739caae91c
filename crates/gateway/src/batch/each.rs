//! Many rows put to work at once, for runs and for the batches of clients.

use std::sync::Arc;

use domain::TaskName;
use ledger::{JobItem, LedgerError, Outcome, RequestId};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock;

/// Rows that are read before there is a place for them.
const AHEAD: usize = 32;

/// Takes each row that is read to `work`, as many at once as there are places. `rows` is called on
/// a thread that may wait, and hands each row on until it is told that no more are wanted.
///
/// When `stop` is set no further row is begun; those in work are finished.
///
/// # Errors
/// When the rows can't be read to their end, or one's work ends the whole.
///
/// # Cancel safety
/// When dropped midway the rows in work are dropped too.
pub(crate) async fn each<R, W>(
    rows: impl FnOnce(&mut dyn FnMut(R) -> bool) -> anyhow::Result<()> + Send + 'static,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
    work: impl Fn(R) -> W,
) -> anyhow::Result<()>
where
    R: Send + 'static,
    W: Future<Output = Result<(), LedgerError>> + Send + 'static,
{
    let (sender, mut read) = mpsc::channel::<R>(AHEAD);
    let mut reader = JoinSet::new();
    reader.spawn_blocking(move || rows(&mut |row| sender.blocking_send(row).is_ok()));
    let mut in_work = JoinSet::new();
    loop {
        let row = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            row = read.recv() => row,
        };
        let Some(row) = row else { break };
        let place = Arc::clone(places).acquire_owned().await?;
        while let Some(done) = in_work.try_join_next() {
            done??;
        }
        // Whoever was told to stop while it waited for a place begins nothing.
        if stop.is_cancelled() {
            break;
        }
        let work = work(row);
        in_work.spawn(async move {
            let done = work.await;
            drop(place);
            done
        });
    }
    drop(read);
    while let Some(done) = in_work.join_next().await {
        done??;
    }
    while let Some(read) = reader.join_next().await {
        read??;
    }
    Ok(())
}

/// Books the result of a row that was put to no tier.
///
/// # Errors
/// When the ledger can't be written.
///
/// # Cancel safety
/// When dropped midway it is booked or not.
pub(crate) async fn book_unanswered(
    app: &App,
    task: TaskName,
    request: RequestId,
    item: JobItem,
) -> Result<(), LedgerError> {
    let decision = ledger::Decision {
        verdict: ledger::Verdict::Failed,
        confidence: None,
        escalations: 0,
        fallbacks: 0,
        json: "{\"version\":1,\"steps\":[]}".to_owned(),
        prompt_bytes: 0,
        counterfactual: None,
    };
    let outcome = Outcome {
        request,
        at: clock::now(),
        task,
        decision,
        resolutions: Vec::new(),
        unpaid: Vec::new(),
        item: Some(item),
        record: None,
        audit: None,
        passed_on: None,
    };
    app.ledger.record(outcome).await.map(drop)
}
