//! All batches in work.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::{Kept, KeptKind, Ledger, LedgerError, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::state::{Batch, Dialect, Status};
use super::work::{Bench, clear};
use crate::app::App;
use crate::clock;
use crate::config::Keeping;
use crate::http::error::HttpError;
use crate::http::file_folder::FileFolder;
use crate::http::keep::{Asked, Page, Shelf};
use crate::http::server::{Server, now_s};

/// Most batches in work.
const RUNNING_MAX: usize = 256;
/// How often contents are removed whose entries are gone.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// The batches in work, and the places that they share.
#[derive(Debug)]
pub(in crate::http) struct Desk {
    running: Mutex<HashMap<String, Arc<Running>>>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A batch in work.
#[derive(Debug)]
pub(super) struct Running {
    batch: tokio::sync::Mutex<Batch>,
    /// The file of its lines.
    input: String,
    keeping: Keeping,
    /// Set when its client wants no more of it.
    pub(super) cancel: CancellationToken,
    /// Lines that were answered since it was begun or gone on with.
    pub(super) answered: AtomicU64,
    /// The same of lines that failed.
    pub(super) failed: AtomicU64,
}

impl Running {
    /// The batch as it is.
    pub(super) async fn batch(&self) -> Batch {
        self.batch.lock().await.clone()
    }

    /// When it is to be deleted, were it to end now.
    pub(super) fn expiry(&self) -> Timestamp {
        self.keeping.expiry(clock::now())
    }

    /// Changes it, here and in the ledger.
    ///
    /// # Errors
    /// When the ledger can't be written.
    ///
    /// # Cancel safety
    /// When dropped midway it has changed in the ledger or not, and then will by the next change.
    pub(super) async fn change(
        &self,
        ledger: &Ledger,
        change: impl FnOnce(&mut Batch),
    ) -> Result<(), LedgerError> {
        // One change after another, so that the ledger never has an older one in the end.
        let mut batch = self.batch.lock().await;
        change(&mut batch);
        keep(ledger, batch.kept(self.expiry())).await
    }
}

/// Keeps a batch however full the shelf is: its lines were counted already.
async fn keep(ledger: &Ledger, kept: Kept) -> Result<(), LedgerError> {
    ledger.keep(KeptKind::Batch, kept, u64::MAX).await
}

impl Desk {
    /// A desk at which so many lines are in work at once.
    pub(in crate::http) fn new(places: usize) -> Self {
        Self {
            running: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
            stop: CancellationToken::new(),
        }
    }

    /// Begins no further line; what is left is done after the next start.
    pub(in crate::http) fn stop(&self) {
        self.stop.cancel();
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new batch, which is kept first.
    ///
    /// # Errors
    /// When too many are in work, or the ledger can't be written.
    pub(super) async fn begin(
        &self,
        (server, app): (&Server, &Arc<App>),
        batch: &Batch,
        keeping: Keeping,
    ) -> Result<(), HttpError> {
        if self.running().len() >= RUNNING_MAX {
            return Err(HttpError::no_place_for_batch());
        }
        let kept = keep(&app.ledger, batch.kept(keeping.expiry(clock::now()))).await;
        kept.map_err(|error| HttpError::not_recorded(&error))?;
        self.start((server, app), batch.clone(), keeping);
        Ok(())
    }

    fn start(&self, (server, app): (&Server, &Arc<App>), batch: Batch, keeping: Keeping) {
        let id = batch.id.clone();
        let running = Arc::new(Running {
            cancel: CancellationToken::new(),
            answered: AtomicU64::new(batch.counts.answered),
            failed: AtomicU64::new(batch.counts.failed),
            input: batch.input.clone(),
            batch: tokio::sync::Mutex::new(batch),
            keeping,
        });
        self.running().insert(id.clone(), Arc::clone(&running));
        let bench = Bench {
            app: Arc::clone(app),
            running,
            places: Arc::clone(&self.places),
            stop: self.stop.clone(),
        };
        let (cut, desk) = (server.cut.clone(), Arc::clone(&server.batches));
        server.work.spawn(async move {
            let was_cancelled = bench.running.batch().await.status == Status::Cancelling;
            if was_cancelled {
                bench.running.cancel.cancel();
            }
            let worked = cut.run_until_cancelled(bench.work()).await;
            if let Some(Err(error)) = worked {
                tracing::error!(batch.id = id, "a batch can't be worked on: {error:#}");
            }
            desk.running().remove(&id);
        });
    }

    /// Whether a batch in work has its lines in this file.
    pub(in crate::http) fn uses(&self, file: &str) -> bool {
        self.running().values().any(|it| it.input == file)
    }

    /// A batch as it is now: one in work counts what was done meanwhile.
    ///
    /// # Errors
    /// When what is kept is no batch.
    async fn view(&self, kept: &Kept) -> Result<Batch, HttpError> {
        let running = self.running().get(&kept.id).cloned();
        let Some(running) = running else {
            return Batch::read(kept);
        };
        let mut batch = running.batch().await;
        if !batch.status.has_ended() {
            batch.counts.answered = running.answered.load(Ordering::Relaxed);
            batch.counts.failed = running.failed.load(Ordering::Relaxed);
        }
        Ok(batch)
    }

    /// The batch of this name and protocol.
    ///
    /// # Errors
    /// 404 when the key has none.
    pub(super) async fn find(
        &self,
        (shelf, id): (&Shelf, &str),
        dialect: Dialect,
    ) -> Result<Batch, HttpError> {
        let kept = shelf.get(KeptKind::Batch, id).await?;
        let batch = self.view(&kept).await?;
        match batch.dialect == dialect {
            true => Ok(batch),
            false => Err(HttpError::not_kept("batch", id)),
        }
    }

    /// The batches of this protocol that a request's query asks for.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub(super) async fn page(
        &self,
        (shelf, asked): (&Shelf, &Asked),
        dialect: Dialect,
    ) -> Result<Page<Batch>, HttpError> {
        // Those of the other protocol are passed over, however many stand between.
        let (mut found, mut after) = (Vec::new(), asked.after.clone());
        loop {
            let next = Asked {
                after: after.take(),
                ..asked.clone()
            };
            let page = shelf.page(KeptKind::Batch, &next).await?;
            for kept in &page.items {
                let batch = self.view(kept).await?;
                if batch.dialect == dialect {
                    found.push(batch);
                }
            }
            after = page.items.last().map(|kept| kept.id.clone());
            if !page.has_more || found.len() > asked.limit {
                return Ok(Page::cut(found, asked.limit));
            }
        }
    }

    /// Has a batch end with the lines that are in work, and gives back how it is then; one that has
    /// ended stays as it is.
    ///
    /// # Errors
    /// As [`Desk::find`], and when the ledger can't be written.
    pub(super) async fn cancel(
        &self,
        app: &App,
        of: (&Shelf, &str),
        dialect: Dialect,
    ) -> Result<Batch, HttpError> {
        let batch = self.find(of, dialect).await?;
        self.cancel_running(app, &batch.id).await?;
        self.find(of, dialect).await
    }

    async fn cancel_running(&self, app: &App, id: &str) -> Result<(), HttpError> {
        let running = self.running().get(id).cloned();
        let Some(running) = running else {
            return Ok(());
        };
        let cancelling = |batch: &mut Batch| {
            if matches!(batch.status, Status::Validating | Status::InProgress) {
                batch.status = Status::Cancelling;
                batch.moments.cancelling = Some(now_s());
            }
        };
        let changed = running.change(&app.ledger, cancelling).await;
        changed.map_err(|error| HttpError::not_recorded(&error))?;
        running.cancel.cancel();
        Ok(())
    }
}

/// Goes on with the batches that were in work when the server stopped, and from then on removes
/// contents of files whose entries are gone.
pub(in crate::http) fn resume(server: &Arc<Server>, app: &Arc<App>) {
    let (server_too, app) = (Arc::clone(server), Arc::clone(app));
    let stop = server.batches.stop.clone();
    server.work.spawn(async move {
        if let Err(error) = go_on(&server_too, &app).await {
            tracing::error!("batches can't be gone on with: {error:#}");
        }
        drop(server_too);
        while !stop.is_cancelled() {
            let ledger = app.ledger.clone();
            let folder = FileFolder::of(&app.config);
            let tidied = tokio::task::spawn_blocking(move || tidy(&ledger, &folder)).await;
            if let Ok(Err(error)) = tidied {
                tracing::warn!("files of clients can't be tidied: {error:#}");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(TIDY_EVERY) => {}
            }
        }
    });
}

async fn go_on(server: &Arc<Server>, app: &Arc<App>) -> anyhow::Result<()> {
    // Also where nothing is kept any more, what was begun is ended.
    let keeping = app.config.server.keeping.unwrap_or(Keeping {
        days: 1,
        bytes_max: u64::MAX,
    });
    let ledger = app.ledger.clone();
    let reading = move || ledger.reader()?.all_kept(KeptKind::Batch);
    for kept in tokio::task::spawn_blocking(reading).await?? {
        let Ok(batch) = Batch::read(&kept) else {
            tracing::error!(batch.id = kept.id, "a batch can't be read");
            continue;
        };
        if !batch.status.has_ended() {
            server.batches.start((server, app), batch, keeping);
        } else if !batch.is_cleared {
            clear(&app.ledger, &batch).await?;
            let cleared = Batch {
                is_cleared: true,
                ..batch
            };
            keep(&app.ledger, cleared.kept(kept.expires_at)).await?;
        }
    }
    Ok(())
}

fn tidy(ledger: &Ledger, folder: &FileFolder) -> anyhow::Result<()> {
    let kept = ledger.reader()?.all_kept(KeptKind::File)?;
    let mut ids: BTreeSet<String> = kept.into_iter().map(|kept| kept.id).collect();
    // A batch ends with the lines that it began with, also where their time is over.
    for kept in ledger.reader()?.all_kept(KeptKind::Batch)? {
        let batch = Batch::read(&kept).ok();
        let in_work = batch.filter(|batch| !batch.status.has_ended());
        ids.extend(in_work.map(|batch| batch.input));
    }
    Ok(folder.tidy(&ids)?)
}
