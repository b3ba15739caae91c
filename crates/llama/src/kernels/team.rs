//! The threads that compute together.
//!
//! A step of the forward pass is a list of independent items. The thread that asks for it opens a
//! *job*, takes items like everybody else, and closes the job when none is left:
//!
//! ```text
//!  caller    open | item item item item | close, wait for who is inside | next step
//!  worker         |   enter item item   | leave, look for the next job for a moment, then sleep
//!  worker         |                     |   (not scheduled in time: it never entered)
//! ```
//!
//! Nobody waits for a worker that the system has not run: it simply takes no part. Waiting is a
//! short look and then sleep, on both sides, so that a busy neighbour on the same machine gets
//! its share and the thread that holds the last item gets a core.
//!
//! Who computes which item can change no bit of a result, because items are independent.
#![expect(
    unsafe_code,
    reason = "threads that outlive a job run a closure that does not"
)]

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread looks before it sleeps: longer than what lies between two steps of a token,
/// shorter than anything a neighbour would notice.
const LOOK: Duration = Duration::from_micros(30);

/// Threads that are there as long as the value.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job is open. Who finds it taken computes alone.
    turn: Mutex<()>,
}

/// What a job does on each thread that takes part.
type Job = dyn Fn() + Sync;

struct Shared {
    /// `OPEN`, and how many workers are inside the job.
    state: AtomicU32,
    /// Counts the jobs; 0 is none yet, `CLOSED_FOR_GOOD` ends the workers.
    epoch: AtomicUsize,
    /// The open job. Written by the caller while `state` is 0, read by workers inside.
    job: UnsafeCell<Option<*const Job>>,
    /// Workers that sleep, or are about to.
    sleepers: AtomicUsize,
    wake: Condvar,
    left: Condvar,
    /// Guards both conditions; holds the first panic of a worker.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const OPEN: u32 = 1 << 31;
const CLOSED_FOR_GOOD: usize = usize::MAX;

// SAFETY: `job` is the one field that is not `Sync` by itself. The caller writes it only while
// `state` is 0 and it holds `Team::turn`, and workers read it only between `enter` and `leave`,
// when `state` is not 0; `state` orders the two.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` leads to a `Sync` closure, which any thread may call.
unsafe impl Send for Shared {}

impl Team {
    /// A team of `threads`, the caller of [`Team::each`] counted in; where the system gives fewer
    /// threads, a smaller one.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU32::new(0),
            epoch: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            sleepers: AtomicUsize::new(0),
            wake: Condvar::new(),
            left: Condvar::new(),
            panic: Mutex::new(None),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("llama-worker".into())
                .spawn(move || shared.work())
                .ok()
        };
        Self {
            workers: (1..threads).map_while(start).collect(),
            shared,
            turn: Mutex::new(()),
        }
    }

    /// The thread that asks, and nobody else.
    pub(crate) fn alone() -> Self {
        Self::new(1)
    }

    /// Calls `work` with each item, on as many threads as there are; each thread that takes part
    /// makes itself one `T` first.
    pub(crate) fn each<I, T>(
        &self,
        items: I,
        make: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, I::Item) + Sync,
    ) where
        I: Iterator + Send,
        I::Item: Send,
    {
        let turn = if self.workers.is_empty() || items.size_hint().1 == Some(1) {
            None
        } else {
            self.turn.try_lock().ok()
        };
        if turn.is_none() {
            let mut own = make();
            items.for_each(|item| work(&mut own, item));
            return;
        }
        let items = Mutex::new(items);
        let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.run(&|| {
            let Some(mut item) = next() else { return };
            let mut own = make();
            loop {
                work(&mut own, item);
                match next() {
                    Some(more) => item = more,
                    None => break,
                }
            }
        });
    }

    /// Runs `job` here and on the workers that come in time; returns when all of them are done.
    /// The caller holds `turn`.
    fn run(&self, job: &(dyn Fn() + Sync)) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is forgotten. The pointer is used by workers inside the job,
        // and `close`, which this function reaches on every path (a panic of the job here is
        // caught), returns only when nobody is inside and nobody can enter any more.
        let job_pointer: *const Job =
            unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const Job>(job) };
        // SAFETY: `state` is 0 since the last `close`, and `turn` keeps other callers out.
        unsafe { *shared.job.get() = Some(job_pointer) };
        shared.open();
        let here = catch_unwind(AssertUnwindSafe(job));
        let there = shared.close();
        if let Some(panic) = here.err().or(there) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.announce(CLOSED_FOR_GOOD);
        for worker in self.workers.drain(..) {
            // A worker catches its panics; there is nothing to learn from it here.
            let _ended = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
        // Wrapping round to `CLOSED_FOR_GOOD` would take centuries.
        self.announce(self.epoch.load(Ordering::Relaxed).wrapping_add(1));
    }

    /// Tells the workers that `epoch` has come.
    fn announce(&self, epoch: usize) {
        self.epoch.store(epoch, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = self.lock();
            self.wake.notify_all();
        }
    }

    /// Lets nobody in any more, waits for those inside, and gives back a panic of theirs.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.state.fetch_and(!OPEN, Ordering::SeqCst);
        let empty = || self.state.load(Ordering::SeqCst) == 0;
        if !look_for(empty) {
            let mut guard = self.lock();
            while !empty() {
                guard = self
                    .left
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.lock().take()
    }

    /// A worker's life.
    fn work(&self) {
        let mut seen = 0;
        loop {
            seen = self.next_epoch(seen);
            if seen == CLOSED_FOR_GOOD {
                return;
            }
            if self.enter() {
                // SAFETY: inside the job nobody writes it.
                let job = unsafe { *self.job.get() };
                if let Some(job) = job {
                    // SAFETY: the closure lives until `close` returns, which waits for `leave`.
                    let job = unsafe { &*job };
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                        self.lock().get_or_insert(panic);
                    }
                }
                self.leave();
            }
        }
    }

    /// Waits for an epoch after `seen`.
    fn next_epoch(&self, seen: usize) -> usize {
        let epoch = || self.epoch.load(Ordering::SeqCst);
        if !look_for(|| epoch() != seen) {
            let mut guard = self.lock();
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            while epoch() == seen {
                guard = self
                    .wake
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
        epoch()
    }

    /// Whether a job is open; if so, this worker is inside.
    fn enter(&self) -> bool {
        let join = |state: u32| (state & OPEN != 0).then_some(state + 1);
        self.state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, join)
            .is_ok()
    }

    fn leave(&self) {
        if self.state.fetch_sub(1, Ordering::SeqCst) == 1 {
            // The last one after the close: the caller may sleep.
            let _guard = self.lock();
            self.left.notify_all();
        }
    }
}

/// Looks for a moment whether `there` comes true.
fn look_for(there: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..16 {
            if there() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > LOOK {
            return there();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in 1..5 {
            let team = Team::new(threads);
            for count in [0, 1, 2, 7, 1000] {
                let mut items = vec![0; count];
                team.each(items.iter_mut(), || 1, |one, item| *item += *one);
                assert!(items.iter().all(|item| *item == 1), "{threads} {count}");
            }
        }
    }

    #[test]
    fn many_short_jobs_from_several_callers() {
        let team = Team::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..3000_u64 {
                        let sum = Mutex::new(0);
                        team.each(0..round % 9, || (), |(), i| *sum.lock().unwrap() += i + 1);
                        let n = round % 9;
                        assert_eq!(*sum.lock().unwrap(), n * (n + 1) / 2);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(3);
        for _ in 0..100 {
            let run = || team.each(0..50, || (), |(), i| assert!(i != 17, "seventeen"));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
        let done = AtomicUsize::new(0);
        team.each(
            0..50,
            || (),
            |(), _| {
                done.fetch_add(1, Ordering::Relaxed);
            },
        );
        assert_eq!(done.load(Ordering::Relaxed), 50);
    }
}
