//! Watching a certificate in production: revoke when the risk exceeds α, and hardly ever else.
//!
//! Of the accepted answers some are audited, each with a probability that was fixed before its
//! answer was known. A gambler bets that the risk is above α: an audit with loss L and
//! probability π multiplies his stake by 1 + b (π₀/π) (L − α), where π₀ is the lowest probability
//! ever used. While the risk is at most α his wealth is a supermartingale that starts at 1, so by
//! Ville's inequality it ever reaches 1/δ with probability δ at most: however long it runs and
//! however often one looks (Waudby-Smith & Ramdas 2024; Podkopaev & Ramdas 2022). Answers that
//! are not audited leave the wealth as it is.
//!
//! He doesn't know how bad it will be, so he splits his money over several bets, and not when, so
//! he keeps part of it back and stakes it little by little: what comes late finds fresh money
//! although the early stakes are lost by then.

use crate::certificate::Goal;
use crate::elementary::ln;

/// The risks that are bet on, as multiples of α, each with its part of every stake.
const BETS: [(f64, f64); 4] = [(1.5, 0.1), (2.0, 0.2), (3.0, 0.45), (6.0, 0.25)];

/// The part that is staked at the start; the rest follows little by little.
const AT_START: f64 = 0.8;

/// An audited answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// The probability with which it was chosen to be audited; at least the monitor's lowest.
    pub probability: f64,
    /// Whether the answer was wrong, or disagreed with the reference.
    pub wrong: bool,
}

/// What is known so far; plain numbers, so that it can be kept over a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorState {
    /// Audits seen.
    pub audits: u64,
    /// Of these, wrong ones.
    pub wrong: u64,
    /// What each bet has made of its stakes.
    pub stakes: [f64; BETS.len()],
    /// Whether the certificate was revoked; it stays so.
    pub revoked: bool,
}

/// Watches one certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    goal: Goal,
    probability_min: f64,
    state: MonitorState,
}

/// Why an audit or a state can't be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum MonitorError {
    /// A probability is out of range.
    #[error(
        "audit probability {0} is outside {1} to 1; log the probability the audit was drawn with"
    )]
    Probability(f64, f64),
    /// A kept state is not one that a monitor can have.
    #[error("the monitor's state is damaged; restore it or certify again")]
    State,
}

impl Monitor {
    /// A monitor for a certificate with this goal, where no answer is audited with a lower
    /// probability than `probability_min`.
    ///
    /// # Errors
    /// When the probability is not above 0 and at most 1.
    pub fn new(goal: Goal, probability_min: f64) -> Result<Self, MonitorError> {
        if !(probability_min > 0.0 && probability_min <= 1.0) {
            return Err(MonitorError::Probability(probability_min, 0.0));
        }
        let stakes = BETS.map(|(_, part)| AT_START * part);
        let state = MonitorState {
            audits: 0,
            wrong: 0,
            stakes,
            revoked: false,
        };
        Ok(Self {
            goal,
            probability_min,
            state,
        })
    }

    /// The monitor that had this state.
    ///
    /// # Errors
    /// When the probability is out of range or the state is not one of a monitor.
    pub fn restore(
        goal: Goal,
        probability_min: f64,
        state: MonitorState,
    ) -> Result<Self, MonitorError> {
        let monitor = Self::new(goal, probability_min)?;
        let sound = |stake: &f64| stake.is_finite() && *stake >= 0.0;
        if !state.stakes.iter().all(sound) || state.wrong > state.audits {
            return Err(MonitorError::State);
        }
        Ok(Self { state, ..monitor })
    }

    /// What is to be kept over a restart.
    #[must_use]
    pub fn state(&self) -> &MonitorState {
        &self.state
    }

    /// The lowest probability with which an answer is audited.
    #[must_use]
    pub fn probability_min(&self) -> f64 {
        self.probability_min
    }

    /// The evidence that the risk is above α: 1 says nothing, 1/δ revokes.
    #[must_use]
    pub fn wealth(&self) -> f64 {
        self.state.stakes.iter().sum::<f64>() + held_back(self.state.audits)
    }

    /// Whether the certificate is revoked, after this audit.
    ///
    /// # Errors
    /// When the audit's probability is below the monitor's lowest or above 1; nothing changes.
    pub fn observe(&mut self, audit: Audit) -> Result<bool, MonitorError> {
        let lowest = self.probability_min;
        if !(audit.probability >= lowest && audit.probability <= 1.0) {
            return Err(MonitorError::Probability(audit.probability, lowest));
        }
        let alpha = self.goal.alpha();
        let surprise = f64::from(u8::from(audit.wrong)) - alpha;
        let fresh = held_back(self.state.audits) - held_back(self.state.audits + 1);
        for (stake, (times, part)) in self.state.stakes.iter_mut().zip(BETS) {
            // The bet that grows fastest where the risk is q; it never stakes more than there is.
            let q = (times * alpha).min(0.5 * (1.0 + alpha));
            let bet = (q - alpha) / (alpha * (1.0 - alpha));
            let growth = 1.0 + bet * (lowest / audit.probability) * surprise;
            // A cap above 1/delta loses nothing and keeps the number finite.
            *stake = (*stake * growth).min(1e100) + fresh * part;
        }
        self.state.audits += 1;
        self.state.wrong += u64::from(audit.wrong);
        self.state.revoked |= self.wealth() >= 1.0 / self.goal.delta();
        Ok(self.state.revoked)
    }
}

/// The money not yet staked after so many audits. Its decrements are about 1 / (t ln² t):
/// no proper share-out over an unlimited time keeps more for late.
fn held_back(audits: u64) -> f64 {
    (1.0 - AT_START) / (1.0 + ln(1.0 + audits as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn monitor() -> Monitor {
        Monitor::new(Goal::new(0.02, 0.05).unwrap(), 0.02).unwrap()
    }

    /// How many audits until the certificate is revoked, if it is within `most`.
    fn revoked_after(risk: impl Fn(u64) -> f64, most: u64, seed: u64) -> Option<u64> {
        let (mut monitor, mut random) = (monitor(), Random::new(seed));
        (1..=most).find(|&t| {
            let audit = Audit {
                probability: 0.02,
                wrong: random.unit() < risk(t),
            };
            monitor.observe(audit).unwrap()
        })
    }

    #[test]
    fn at_the_allowed_risk_it_hardly_ever_revokes() {
        let revoked = (0..400).filter(|&seed| revoked_after(|_| 0.02, 20_000, seed).is_some());
        // 5 % of 400 is 20; three standard deviations above is 33.
        assert!(revoked.count() <= 33);
    }

    #[test]
    fn a_threefold_risk_is_caught_soon_and_a_late_one_too() {
        let mut delays: Vec<u64> = (0..301)
            .map(|seed| revoked_after(|_| 0.06, 5_000, seed).unwrap())
            .collect();
        delays.sort_unstable();
        assert!(delays[150] <= 170, "{}", delays[150]);
        let late = |t| if t > 5_000 { 0.06 } else { 0.01 };
        let mut delays: Vec<u64> = (0..101)
            .map(|seed| revoked_after(late, 9_000, seed).unwrap() - 5_000)
            .collect();
        delays.sort_unstable();
        assert!(delays[50] <= 800, "{}", delays[50]);
    }

    #[test]
    fn a_restart_changes_nothing_and_a_damaged_state_is_refused() {
        let mut whole = monitor();
        let mut cut = monitor();
        let mut random = Random::new(4);
        for t in 0..500 {
            let audit = Audit {
                probability: 0.02 + 0.5 * random.unit(),
                wrong: random.unit() < 0.05,
            };
            assert_eq!(whole.observe(audit), cut.observe(audit));
            if t % 50 == 0 {
                cut = Monitor::restore(cut.goal, 0.02, cut.state().clone()).unwrap();
            }
        }
        assert_eq!(whole, cut);
        let broken = MonitorState {
            stakes: [f64::NAN; 4],
            ..cut.state().clone()
        };
        assert_eq!(
            Monitor::restore(cut.goal, 0.02, broken),
            Err(MonitorError::State)
        );
        assert!(
            cut.observe(Audit {
                probability: 0.01,
                wrong: true
            })
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn each_bet_is_fair_at_the_allowed_risk_and_never_in_debt(
            probability in 0.02_f64..1.0, alpha in 0.001_f64..0.9, steps in 0_usize..50,
        ) {
            let goal = Goal::new(alpha, 0.05).unwrap();
            let mut monitor = Monitor::new(goal, 0.02).unwrap();
            for _ in 0..steps {
                monitor.observe(Audit { probability, wrong: false }).unwrap();
            }
            let after = |wrong| {
                let mut next = monitor.clone();
                next.observe(Audit { probability, wrong }).unwrap();
                next
            };
            prop_assert!(after(true).state.stakes.iter().chain(&after(false).state.stakes).all(|s| *s >= 0.0));
            let expected = alpha * after(true).wealth() + (1.0 - alpha) * after(false).wealth();
            prop_assert!((expected - monitor.wealth()).abs() <= 1e-9 * monitor.wealth());
            prop_assert!(after(true).wealth() >= after(false).wealth());
        }
    }
}
