//! The way of a request to the engine's thread, and what is told of the engine outside it.

use super::EngineStats;
use super::job::Job;
use super::request::Refused;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What askers and the engine's thread share.
pub(super) struct Inbox {
    state: Mutex<State>,
    bell: Condvar,
    queue_max: usize,
}

#[derive(Default)]
struct State {
    new: Vec<Job>,
    /// Jobs that wait, those in `new` included.
    waiting: usize,
    /// Tokens to be computed for all who wait or run, as far as it is known.
    tokens_ahead: usize,
    /// Speed of the last steps; 0 before the first.
    tokens_per_second: f64,
    numbers: u64,
    rung: bool,
    closed: bool,
    stats: EngineStats,
}

/// What the engine's thread tells after each step.
pub(super) struct News {
    pub(super) waiting: usize,
    pub(super) tokens_ahead: usize,
    pub(super) tokens_per_second: f64,
    pub(super) stats: EngineStats,
}

impl Inbox {
    pub(super) fn new(queue_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            bell: Condvar::new(),
            queue_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in the job that `job` makes of its number, if there is room.
    pub(super) fn push(&self, job: impl FnOnce(u64) -> Job) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting >= self.queue_max {
            return Err(Refused::Full { wait: state.wait() });
        }
        state.numbers += 1;
        let job = job(state.numbers);
        state.waiting += 1;
        state.tokens_ahead += job.tokens_left();
        state.new.push(job);
        state.rung = true;
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Has the engine's thread look around.
    pub(super) fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Lets nobody in any more; the engine's thread ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// What has come since; waits for the bell where there is nothing else to do. `None` when the
    /// engine is to end.
    pub(super) fn fetch(&self, idle: bool) -> Option<Vec<Job>> {
        let mut state = self.lock();
        while idle && !state.rung && !state.closed {
            let woken = self.bell.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
        (!state.closed).then(|| std::mem::take(&mut state.new))
    }

    /// Those who are left at the end.
    pub(super) fn rest(&self) -> Vec<Job> {
        std::mem::take(&mut self.lock().new)
    }

    /// How many wait, apart from those who have come since.
    pub(super) fn set_waiting(&self, waiting: usize) {
        let mut state = self.lock();
        state.waiting = waiting + state.new.len();
    }

    pub(super) fn publish(&self, news: News) {
        let mut state = self.lock();
        let new = state.new.iter().map(Job::tokens_left).sum::<usize>();
        state.waiting = news.waiting + state.new.len();
        state.tokens_ahead = news.tokens_ahead + new;
        state.tokens_per_second = news.tokens_per_second;
        state.stats = news.stats;
    }

    pub(super) fn stats(&self) -> EngineStats {
        let state = self.lock();
        EngineStats {
            waiting: state.waiting,
            ..state.stats
        }
    }
}

impl State {
    /// How long a request that came now would wait.
    fn wait(&self) -> Duration {
        /// Before anything was measured.
        const UNKNOWN: Duration = Duration::from_secs(1);
        const MOST: f64 = 3600.0;
        if self.tokens_per_second <= 0.0 {
            return UNKNOWN;
        }
        let seconds = self.tokens_ahead as f64 / self.tokens_per_second;
        Duration::from_secs_f64(seconds.min(MOST))
    }
}
