//! The worker as the rest of the program sees it: requests go in, what comes of them comes out,
//! and a worker that ends is started again.

mod call;

pub(crate) use call::Call;

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::process::Process;
use super::protocol::{
    About, Asked, End, FromWorker, Message as _, Piece, Start, ToWorker, WINDOW, Work,
};

/// How long a request waits for a worker that is being started again.
const PATIENCE: Duration = Duration::from_secs(2);
/// A worker that has lived so long was sound.
const SOUND: Duration = Duration::from_secs(60);
/// The longest rest between two starts.
const REST_MAX: Duration = Duration::from_secs(30);

/// How the worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Running,
    /// It ended and is being started again.
    Restarting {
        /// How often it ended in a row.
        crashes: u32,
        /// How it ended last.
        cause: String,
    },
    /// The program is closing.
    Closed,
}

/// The worker did not come up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotStarted(String);

/// A worker, kept alive.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    health: watch::Receiver<Health>,
    supervisor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    /// Rung when the program closes.
    bell: Condvar,
    closing: AtomicBool,
    health: watch::Sender<Health>,
    ids: AtomicU64,
    restarts: AtomicU64,
}

/// The way to the worker, and who waits for it.
#[derive(Debug, Default)]
struct Line {
    /// To the thread that writes to it, while there is one.
    to: Option<blocking::Sender<ToWorker>>,
    /// To end what blocks on it.
    socket: Option<Arc<UnixStream>>,
    waiting: HashMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    end: oneshot::Sender<End>,
    text: mpsc::Sender<Piece>,
}

impl Worker {
    /// Starts a worker and waits until it has loaded its model.
    ///
    /// # Errors
    /// When the model can't be loaded, or the worker ends before it is.
    pub(crate) fn start(start: Start) -> Result<(Self, About), NotStarted> {
        let (told, health) = watch::channel(Health::Running);
        let shared = Arc::new(Shared {
            line: Mutex::default(),
            bell: Condvar::new(),
            closing: AtomicBool::new(false),
            health: told,
            ids: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        });
        let (first, came_up) = blocking::sync_channel(1);
        let supervised = Arc::clone(&shared);
        // The system ends a worker with the thread that started it, so that this one has to live
        // as long as the tier.
        let supervisor = std::thread::Builder::new()
            .name("engine-supervisor".into())
            .spawn(move || supervised.supervise(&start, first))
            .map_err(|error| NotStarted(error.to_string()))?;
        let worker = Self {
            shared,
            health,
            supervisor: Some(supervisor),
        };
        match came_up.recv() {
            Ok(Ok(about)) => Ok((worker, about)),
            Ok(Err(fault)) => Err(NotStarted(fault)),
            Err(_) => Err(NotStarted("the engine's supervisor broke".to_owned())),
        }
    }

    /// How it is.
    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// How often it ended and was started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    /// Puts in a request; waits a moment for a worker that is being started again.
    ///
    /// # Errors
    /// How the worker is, where it doesn't answer.
    ///
    /// # Cancel safety
    /// Dropped midway, nothing was asked.
    pub(crate) async fn ask(&self, tenant: &str, work: Work) -> Result<Call, Health> {
        let mut asked = Box::new(Asked {
            id: self.shared.ids.fetch_add(1, Ordering::Relaxed),
            tenant: tenant.to_owned(),
            work,
        });
        let mut health = self.health.clone();
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            asked = match self.shared.put(asked) {
                Ok(call) => return Ok(call),
                Err(back) => back,
            };
            let over = |health: &Health| !matches!(health, Health::Restarting { .. });
            match tokio::time::timeout_at(until, health.wait_for(over)).await {
                Ok(Ok(now)) if *now == Health::Running => {}
                _ => return Err(self.health()),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(supervisor) = self.supervisor.take() {
            // A supervisor that broke has told so; there is nothing left to do for it.
            let _ended = supervisor.join();
        }
    }
}

impl Line {
    fn tell(&self, message: ToWorker) {
        if let Some(to) = &self.to {
            // A writer who has gone is soon followed by the worker; then all who wait are told.
            let _gone = to.send(message);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in, or gives it back where there is no worker.
    fn put(self: &Arc<Self>, asked: Box<Asked>) -> Result<Call, Box<Asked>> {
        let mut line = self.lock();
        if line.to.is_none() {
            return Err(asked);
        }
        let (end, ended) = oneshot::channel();
        let (text, pieces) = mpsc::channel(WINDOW);
        let id = asked.id;
        line.waiting.insert(id, Waiting { end, text });
        line.tell(ToWorker::Ask(asked));
        Ok(Call {
            id,
            shared: Arc::clone(self),
            text: pieces,
            untold: 0,
            end: ended,
        })
    }

    fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let mut line = self.lock();
        line.to = None;
        self.health.send_replace(Health::Closed);
        if let Some(socket) = line.socket.take() {
            let _gone_already = socket.shutdown(Shutdown::Both);
        }
        self.bell.notify_all();
    }

    /// Remembers the socket by which a worker can be ended.
    fn hold(&self, socket: &Arc<UnixStream>) {
        let mut line = self.lock();
        if self.closing.load(Ordering::SeqCst) {
            let _gone_already = socket.shutdown(Shutdown::Both);
        }
        line.socket = Some(Arc::clone(socket));
    }

    /// The supervisor's life: one worker after the other.
    fn supervise(&self, start: &Start, first: blocking::SyncSender<Result<About, String>>) {
        let mut first = Some(first);
        let mut crashes = 0;
        loop {
            let began = Instant::now();
            let cause = match Process::launch(start, |socket| self.hold(socket)) {
                Ok((process, about)) => {
                    if let Some(first) = first.take() {
                        // Who asked for it waits for this.
                        let _gone = first.send(Ok(about));
                    } else {
                        self.restarts.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!("the engine's process is up again");
                    }
                    let cause = self.converse(process);
                    if began.elapsed() > SOUND {
                        crashes = 0;
                    }
                    cause
                }
                Err(fault) => {
                    if let Some(first) = first.take() {
                        let _gone = first.send(Err(fault.to_string()));
                        return;
                    }
                    fault.to_string()
                }
            };
            crashes += 1;
            if !self.rest(crashes, cause) {
                return;
            }
        }
    }

    /// Passes on what a worker says until it ends, and says how it ended.
    fn converse(&self, mut process: Process) -> String {
        let (to, messages) = blocking::channel::<ToWorker>();
        let socket = Arc::clone(&process.socket);
        let writer = std::thread::Builder::new()
            .name("engine-line".into())
            .spawn(move || {
                for message in messages {
                    if message.send(&mut &*socket).is_err() {
                        return;
                    }
                }
            });
        let writer = match writer {
            Ok(writer) => writer,
            Err(error) => return error.to_string(),
        };
        {
            let mut line = self.lock();
            if !self.closing.load(Ordering::SeqCst) {
                line.to = Some(to);
                self.health.send_replace(Health::Running);
            }
        }
        while let Ok(Some(message)) = FromWorker::receive(&mut process.from) {
            if !self.pass_on(message) {
                break;
            }
        }
        {
            let mut line = self.lock();
            line.to = None;
            line.socket = None;
            // Whoever waits for an end learns that none comes.
            line.waiting.clear();
            if !self.closing.load(Ordering::SeqCst) {
                self.health.send_replace(Health::Restarting {
                    crashes: 1,
                    cause: "it ended".to_owned(),
                });
            }
        }
        let cause = process.end();
        // It ends with the channel, whose other end is gone, or with the socket.
        let _ended = writer.join();
        cause
    }

    /// Passes on a message; false where it is none that a sound worker sends.
    fn pass_on(&self, message: FromWorker) -> bool {
        let mut line = self.lock();
        match message {
            FromWorker::Text(id, piece) => match line.waiting.get(&id) {
                // A reader who has gone withdraws the request; a piece that nobody made room for
                // is against the rules.
                Some(waiting) => !matches!(
                    waiting.text.try_send(piece),
                    Err(mpsc::error::TrySendError::Full(_))
                ),
                None => true,
            },
            FromWorker::End(id, end) => {
                if let Some(waiting) = line.waiting.remove(&id) {
                    let _gone = waiting.end.send(end);
                }
                true
            }
            FromWorker::Ready(_) | FromWorker::Unloadable(_) => false,
        }
    }

    /// Rests before the next start, the longer the more workers ended in a row; false when the
    /// program closes.
    fn rest(&self, crashes: u32, cause: String) -> bool {
        let mut line = self.lock();
        if self.closing.load(Ordering::SeqCst) {
            return false;
        }
        let rest = rest_after(crashes);
        tracing::error!(
            cause,
            crashes,
            rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX),
            "the engine's process ended; its requests failed, and it is started again"
        );
        self.health
            .send_replace(Health::Restarting { crashes, cause });
        let until = Instant::now() + rest;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.closing.load(Ordering::SeqCst) {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            let woken = self.bell.wait_timeout(line, left);
            (line, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How long to rest after so many workers have ended in a row: after the first not at all.
fn rest_after(crashes: u32) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(250);
    match crashes {
        0 | 1 => Duration::ZERO,
        more => SHORTEST
            .saturating_mul(1 << (more - 2).min(16))
            .min(REST_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_limit() {
        let rests: Vec<u128> = (1..12).map(|n| rest_after(n).as_millis()).collect();
        assert_eq!(rests[..4], [0, 250, 500, 1000]);
        assert!(rests.is_sorted());
        assert_eq!(rest_after(u32::MAX), REST_MAX);
    }
}
