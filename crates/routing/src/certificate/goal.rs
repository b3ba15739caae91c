//! What is to be proven.

/// What is proven: risk at most `alpha`, except with probability `delta`; both between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    alpha: f64,
    delta: f64,
}

/// Why numbers are no goal.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{name}: {value} is not between 0 and 1; take for example {example}")]
pub struct GoalError {
    name: &'static str,
    value: f64,
    example: f64,
}

impl Goal {
    /// The checked goal.
    ///
    /// # Errors
    /// When a number is not strictly between 0 and 1.
    pub fn new(alpha: f64, delta: f64) -> Result<Self, GoalError> {
        for (name, value, example) in [("alpha", alpha, 0.02), ("delta", delta, 0.05)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(GoalError {
                    name,
                    value,
                    example,
                });
            }
        }
        Ok(Self { alpha, delta })
    }

    /// The largest risk.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// The probability that the claim is wrong.
    #[must_use]
    pub fn delta(self) -> f64 {
        self.delta
    }

    /// The goal for each of several claims that shall hold together (Bonferroni).
    ///
    /// # Panics
    /// When `claims` is zero.
    #[must_use]
    pub fn split(self, claims: usize) -> Self {
        assert!(claims > 0, "delta can't be split over no claim");
        Self {
            alpha: self.alpha,
            delta: self.delta / claims as f64,
        }
    }
}

/// Which share of errors is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Risk {
    /// Errors among the answers that are kept.
    Selective,
    /// Kept errors among all records. With the records of one class alone this is the class's
    /// miss rate: how many of them are kept and answered with another label.
    Marginal,
}
