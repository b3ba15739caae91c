//! A breaker: an endpoint that failed several times in a row, or nearly always of late, is left alone
//! for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many of the last attempts an endpoint is judged by.
const RECENT: u32 = 20;

/// When an endpoint is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row at the vendor's side or on the way after which attempts fail at once;
    /// at least 1. Default 5.
    pub failures: u32,
    /// The same among the last 20 attempts, for an endpoint that now and then does its work;
    /// at least 1. Default 16: while more than a fifth succeeds, trying again is worth more than
    /// leaving it alone.
    pub recent_failures: u32,
    /// How long they do; one attempt may then probe. Default 10 s.
    pub cool_down: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            recent_failures: 16,
            cool_down: Duration::from_secs(10),
        }
    }
}

/// The state of an endpoint. Time is passed in.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    /// Failures in a row.
    failures: u32,
    /// The last attempts since it was left alone last, a bit for each: set where it failed.
    recent: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

/// How an attempt was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Normal,
    /// As the one that finds out whether the endpoint is well again.
    Probe,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            failures: 0,
            recent: 0,
            state: State::Closed,
        }
    }

    /// Lets an attempt through, or tells how long none will be.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Admission, Duration> {
        match self.state {
            State::Closed => Ok(Admission::Normal),
            State::Open { until } if until <= now => {
                self.state = State::Probing;
                Ok(Admission::Probe)
            }
            State::Open { until } => Err(until - now),
            // The probe's end is not known; a rest as long as the last one is a fair guess.
            State::Probing => Err(self.policy.cool_down),
        }
    }

    /// The endpoint gave output: a probe need not wait for the end of its stream.
    pub(crate) fn began(&mut self) {
        self.state = State::Closed;
    }

    /// An attempt ended well, or failed by our own fault.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.note(0);
        self.state = State::Closed;
    }

    /// An attempt failed at the vendor's side or on the way.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.note(1);
        let again = self.state == State::Probing;
        let enough = self.failures >= self.policy.failures
            || self.recent.count_ones() >= self.policy.recent_failures;
        if again || (self.state == State::Closed && enough) {
            let until = now + self.policy.cool_down;
            self.state = State::Open { until };
            self.recent = 0;
        }
    }

    fn note(&mut self, failed: u32) {
        self.recent = ((self.recent << 1) | failed) & ((1 << RECENT) - 1);
    }

    /// An attempt was given up by its caller, so that nothing is known.
    pub(crate) fn abandoned(&mut self, admission: Admission, now: Instant) {
        if admission == Admission::Probe && self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }
}

/// A breaker that an endpoint's attempts share.
#[derive(Clone, Debug)]
pub(crate) struct SharedBreaker(Arc<Mutex<Breaker>>);

impl SharedBreaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self(Arc::new(Mutex::new(Breaker::new(policy))))
    }

    /// Lets an attempt through, or tells how long none will be.
    pub(crate) fn admit(&self) -> Result<Permit, Duration> {
        let admission = self.lock().admit(Instant::now())?;
        Ok(Permit {
            breaker: self.clone(),
            admission,
            settled: false,
        })
    }

    /// Whether no attempt would be let through now.
    pub(crate) fn is_resting(&self) -> bool {
        match self.lock().state {
            State::Closed => false,
            State::Open { until } => Instant::now() < until,
            State::Probing => true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // Each change is whole before anything can panic, so a poisoned lock hides no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt's leave. Dropped without an outcome, it counts as given up.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: SharedBreaker,
    admission: Admission,
    settled: bool,
}

/// How an attempt ended, as far as the endpoint's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// The endpoint does its work, even if it refused ours.
    Well,
    /// It, or the way to it, failed.
    Ill,
}

impl Permit {
    /// The endpoint gave output.
    pub(crate) fn began(&self) {
        if self.admission == Admission::Probe {
            self.breaker.lock().began();
        }
    }

    /// The attempt has ended. Only the first call counts.
    pub(crate) fn settle(&mut self, health: Health) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        match health {
            Health::Well => self.breaker.lock().succeeded(),
            Health::Ill => self.breaker.lock().failed(Instant::now()),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            let now = Instant::now();
            self.breaker.lock().abandoned(self.admission, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..5 {
            assert_eq!(breaker.admit(now), Ok(Admission::Normal));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let start = Instant::now();
        let mut breaker = tripped(start);
        let second = Duration::from_secs(1);
        assert_eq!(breaker.admit(start + second), Err(9 * second));
        let later = start + 10 * second;
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        assert!(breaker.admit(later).is_err(), "only one may probe");
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Ok(Admission::Normal));
    }

    #[test]
    fn a_probe_that_fails_opens_it_again() {
        let start = Instant::now();
        let mut breaker = tripped(start);
        let later = start + Duration::from_secs(11);
        breaker.admit(later).unwrap();
        breaker.failed(later);
        assert_eq!(breaker.admit(later), Err(Duration::from_secs(10)));
    }

    #[test]
    fn a_probe_that_is_given_up_makes_room_for_another() {
        let start = Instant::now();
        let mut breaker = tripped(start);
        let later = start + Duration::from_secs(11);
        breaker.admit(later).unwrap();
        breaker.abandoned(Admission::Normal, later);
        assert!(
            breaker.admit(later).is_err(),
            "another attempt's end frees nothing"
        );
        breaker.abandoned(Admission::Probe, later);
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
    }

    /// Whether it still lets attempts through after so many rounds of failures and one success.
    fn bears(failures: u32, rounds: u32) -> bool {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..rounds {
            for _ in 0..failures {
                breaker.failed(now);
            }
            breaker.succeeded();
        }
        breaker.admit(now) == Ok(Admission::Normal)
    }

    #[test]
    fn who_succeeds_often_enough_is_asked_on() {
        assert!(bears(3, 100), "one of four succeeds");
        assert!(bears(4, 3), "twelve failures in all are no habit");
    }

    #[test]
    fn who_nearly_always_fails_is_left_alone_and_judged_anew_after_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new(BreakerPolicy::default());
        let mut attempts = 0;
        while breaker.admit(start).is_ok() {
            match attempts % 5 {
                4 => breaker.succeeded(),
                _ => breaker.failed(start),
            }
            attempts += 1;
        }
        assert_eq!(attempts, 19, "sixteen of nineteen failed");
        let later = start + Duration::from_secs(11);
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(later);
        }
        assert_eq!(breaker.admit(later), Ok(Admission::Normal));
    }
}
