//! When an attempt is made again: a plan for each request, and a budget for the endpoint.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::UpstreamError;

/// Seconds of refill that the budget holds at most.
const BUDGET_SECONDS: u64 = 10;
/// The budget counts thousandths of a retry.
const ONE: u64 = 1_000;

/// When attempts at an endpoint are made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts for one request, the first one included; at least 1. Default 3.
    pub attempts_max: u32,
    /// The longest wait before the second attempt; it doubles with each further one. The wait is
    /// drawn evenly from zero to it ("full jitter"). Default 250 ms.
    pub backoff_base: Duration,
    /// Where the doubling ends. Default 8 s.
    pub backoff_cap: Duration,
    /// A vendor that asks for a longer wait than this is not waited for. Default 60 s.
    pub retry_after_max: Duration,
    /// Retries that the endpoint's requests earn, in hundredths of a retry each, so that a vendor
    /// in trouble gets at most so many percent more. Default 10.
    pub budget_percent: u32,
    /// Retries that are allowed beside, each second. Default 5.
    pub budget_per_second: u32,
    /// Where the draws of the waits begin. Programs that share an endpoint should differ in it.
    pub jitter_seed: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            backoff_base: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(8),
            retry_after_max: Duration::from_secs(60),
            budget_percent: 10,
            budget_per_second: 5,
            jitter_seed: 0,
        }
    }
}

/// A bucket of retries that an endpoint's requests share.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    earned_by_request: u64,
    earned_by_second: u64,
    /// Thousandths of a retry.
    left: u64,
    filled_at: Instant,
}

impl RetryBudget {
    pub(crate) fn new(policy: &RetryPolicy, now: Instant) -> Self {
        let earned_by_second = u64::from(policy.budget_per_second) * ONE;
        Self {
            earned_by_request: u64::from(policy.budget_percent) * ONE / 100,
            earned_by_second,
            left: earned_by_second,
            filled_at: now,
        }
    }

    /// Counts a request, which earns its part of a retry.
    pub(crate) fn deposit(&mut self) {
        let most = BUDGET_SECONDS * self.earned_by_second.max(ONE);
        self.left = (self.left + self.earned_by_request).min(most);
    }

    /// Takes one retry out, if there is one.
    fn withdraw(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let earned = self.earned_by_second.saturating_mul(passed_ms) / 1_000;
        if earned > 0 {
            let most = BUDGET_SECONDS * self.earned_by_second.max(ONE);
            self.left = self.left.saturating_add(earned).min(most);
            self.filled_at = now;
        }
        let enough = self.left >= ONE;
        if enough {
            self.left -= ONE;
        }
        enough
    }
}

/// The plan of one request's attempts.
#[derive(Debug)]
pub struct RetrySchedule {
    policy: RetryPolicy,
    budget: Arc<Mutex<RetryBudget>>,
    deadline: Instant,
    attempts: u32,
    draws: SplitMix64,
}

impl RetrySchedule {
    /// A plan for attempts that must all be over at the deadline.
    pub(crate) fn new(
        policy: RetryPolicy,
        budget: Arc<Mutex<RetryBudget>>,
        deadline: Instant,
        seed: u64,
    ) -> Self {
        Self {
            policy,
            budget,
            deadline,
            attempts: 0,
            draws: SplitMix64(seed),
        }
    }

    /// When the request's time is over, whatever the number of its attempts.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long to wait after this failure before the next attempt; `None` when there shall be
    /// none: the failure is not of the kind that passes, the attempts or the endpoint's budget
    /// are used up, the vendor asks for a longer wait than allowed, or time would be over.
    ///
    /// A wait that a vendor asks for is the least that is waited.
    pub fn after(&mut self, error: &UpstreamError, now: Instant) -> Option<Duration> {
        self.attempts += 1;
        if !error.is_retryable() || self.attempts >= self.policy.attempts_max {
            return None;
        }
        let asked = error.retry_after().unwrap_or(Duration::ZERO);
        if asked > self.policy.retry_after_max {
            return None;
        }
        let wait = asked + self.jitter();
        if now + wait >= self.deadline {
            return None;
        }
        // A poisoned lock only means that a thread ended while it counted; counts stay counts.
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.withdraw(now).then_some(wait)
    }

    /// Whether the request may be put to another server of the same pool at once, after one of
    /// them failed. That is not one of the attempts at one server, and where the failed server
    /// got something it is taken from the budget as they are.
    pub fn elsewhere(&mut self, error: &UpstreamError, now: Instant) -> bool {
        let is_unsent = matches!(
            error,
            UpstreamError::Resting { .. } | UpstreamError::Unreachable { .. }
        );
        if now >= self.deadline || !(is_unsent || error.is_retryable()) {
            return false;
        }
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        is_unsent || budget.withdraw(now)
    }

    /// A wait drawn evenly from zero to the backoff of this attempt.
    fn jitter(&mut self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(31);
        let longest = self.policy.backoff_base.saturating_mul(1 << doublings);
        let longest = longest.min(self.policy.backoff_cap);
        longest.mul_f64(self.draws.next_unit())
    }
}

/// Random numbers from a seed: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014, with the constants of Java's `SplittableRandom`.
#[derive(Debug)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An even draw from 0 up to, and without, 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a float holds exactly"
    )]
    fn next_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Refusal, Unreached, VendorAnswer};

    fn busy(retry_after: Option<Duration>) -> UpstreamError {
        UpstreamError::Busy {
            host: "vendor.example".into(),
            answer: VendorAnswer {
                status: 503,
                kind: None,
                code: None,
            },
            retry_after,
        }
    }

    fn schedule(policy: RetryPolicy, now: Instant, seed: u64) -> RetrySchedule {
        let budget = Arc::new(Mutex::new(RetryBudget::new(&policy, now)));
        RetrySchedule::new(policy, budget, now + Duration::from_secs(100), seed)
    }

    #[test]
    fn waits_are_drawn_below_a_doubling_limit_and_come_from_the_seed() {
        let policy = RetryPolicy {
            attempts_max: 8,
            backoff_cap: Duration::from_secs(1),
            ..RetryPolicy::default()
        };
        let now = Instant::now();
        let waits = |seed| {
            let mut schedule = schedule(policy, now, seed);
            let mut wait = || schedule.after(&busy(None), now);
            [wait(), wait(), wait(), wait()]
        };
        for seed in 0..200 {
            for (wait, limit_ms) in waits(seed).into_iter().zip([250, 500, 1_000, 1_000]) {
                assert!(wait.unwrap() <= Duration::from_millis(limit_ms));
            }
        }
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }

    #[test]
    fn attempts_end() {
        let now = Instant::now();
        let mut schedule = schedule(RetryPolicy::default(), now, 1);
        assert!(schedule.after(&busy(None), now).is_some());
        assert!(schedule.after(&busy(None), now).is_some());
        assert_eq!(schedule.after(&busy(None), now), None);
    }

    #[test]
    fn what_the_vendor_asks_for_is_the_least_wait() {
        let now = Instant::now();
        let asked = Duration::from_secs(3);
        for seed in 0..100 {
            let wait = schedule(RetryPolicy::default(), now, seed).after(&busy(Some(asked)), now);
            assert!(wait.unwrap() >= asked);
        }
        let long = Duration::from_secs(61);
        let wait = schedule(RetryPolicy::default(), now, 1).after(&busy(Some(long)), now);
        assert_eq!(wait, None);
    }

    #[test]
    fn no_attempt_begins_after_the_deadline() {
        let now = Instant::now();
        let mut schedule = schedule(RetryPolicy::default(), now, 1);
        let late = schedule.deadline() - Duration::from_secs(1);
        let asked = Duration::from_secs(1);
        assert_eq!(schedule.after(&busy(Some(asked)), late), None);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        let now = Instant::now();
        let lasting = [
            UpstreamError::Refused {
                host: "vendor.example".into(),
                answer: VendorAnswer {
                    status: 400,
                    kind: None,
                    code: None,
                },
                reason: Refusal::Request,
            },
            UpstreamError::Unreachable {
                host: "vendor.example".into(),
                cause: Unreached::Total,
            },
            UpstreamError::Resting {
                host: "vendor.example".into(),
                wait: Duration::ZERO,
            },
        ];
        for error in lasting {
            assert_eq!(
                schedule(RetryPolicy::default(), now, 1).after(&error, now),
                None
            );
        }
    }

    #[test]
    fn the_budget_bounds_what_a_vendor_in_trouble_gets() {
        let policy = RetryPolicy::default();
        let now = Instant::now();
        let budget = Arc::new(Mutex::new(RetryBudget::new(&policy, now)));
        let deadline = now + Duration::from_secs(100);
        let retried = |seed: u64, now| {
            budget.lock().unwrap().deposit();
            let mut schedule = RetrySchedule::new(policy, Arc::clone(&budget), deadline, seed);
            schedule.after(&busy(None), now).is_some()
        };
        // A thousand requests fail within one instant: a tenth of them and the five beside.
        let count = (0..1_000).filter(|&seed| retried(seed, now)).count();
        assert_eq!(count, 105);
        // Each second then brings five more, and requests a tenth of their number.
        let later = now + Duration::from_secs(2);
        let count = (0..20).filter(|&seed| retried(seed, later)).count();
        assert_eq!(count, 12);
    }
}
