//! What all routes share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Keys;
use super::batches::desk::Desk;
use super::error::HttpError;
use crate::app::App;
use crate::clock;
use crate::config;

/// The server, from before it is ready until after it has stopped accepting.
#[derive(Debug)]
pub(super) struct Server {
    /// Who may come in.
    pub(super) keys: Keys,
    /// How many requests may be in work; a request holds a place until its answer is made.
    pub(super) places: Arc<Semaphore>,
    /// The largest body in bytes.
    pub(super) body_bytes_max: usize,
    /// How long a body may take to come in, and a client to take what a stream has for it.
    pub(super) body_timeout: Duration,
    /// When it started, in seconds since 1970.
    pub(super) started_s: u64,
    /// The batches in work.
    pub(super) batches: Arc<Desk>,
    /// The requests in work.
    pub(super) work: TaskTracker,
    /// Cuts them off.
    pub(super) cut: CancellationToken,
    app: OnceLock<Arc<App>>,
    stage: Mutex<String>,
}

impl Server {
    /// A server that is not ready.
    pub(super) fn new(settings: &config::Server) -> Self {
        Self {
            keys: Keys::new(&settings.keys),
            places: Arc::new(Semaphore::new(settings.requests_max)),
            body_bytes_max: settings.body_bytes_max,
            body_timeout: settings.body_timeout,
            started_s: now_s(),
            batches: Arc::new(Desk::new(settings.batch_concurrency)),
            work: TaskTracker::new(),
            cut: CancellationToken::new(),
            app: OnceLock::new(),
            stage: Mutex::new("starting".to_owned()),
        }
    }

    /// Notes what it is busy with before it is ready.
    pub(super) fn is_busy(&self, stage: String) {
        tracing::info!("{stage}");
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Notes that it is ready.
    pub(super) fn is_ready(&self, app: Arc<App>) {
        // It becomes ready once.
        let _first = self.app.set(app);
    }

    /// The application, if it is ready.
    ///
    /// # Errors
    /// What it is busy with.
    pub(super) fn app(&self) -> Result<&Arc<App>, HttpError> {
        self.app.get().ok_or_else(|| {
            let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            HttpError::not_ready(&stage)
        })
    }
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    clock::now().unix_ms().unsigned_abs() / 1_000
}
