//! Two ways of answering the same records, compared record by record.
//!
//! Where both were asked about the same records, only those count on which one is right and the
//! other wrong; the interval is then much narrower than that of two samples apart.

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// How often one way is right where the other is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// Records on which only the first is right.
    pub only_first: usize,
    /// Records on which only the second is right.
    pub only_second: usize,
    /// Records in all.
    pub of: usize,
}

/// Whether the first way is as good as the second but for a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sufficiency {
    /// It is, with 97.5 % confidence.
    Enough,
    /// It is worse by more than the margin, with 97.5 % confidence.
    NotEnough,
    /// The records don't say.
    Open {
        /// About so many records of the same kind would say, if the difference stays as it is;
        /// `None` where it lies at the margin, so that no number is enough.
        records: Option<usize>,
    },
}

impl Paired {
    /// The comparison of these pairs: whether the first is right, whether the second is.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut paired = Self::default();
        for (first, second) in pairs {
            paired.only_first += usize::from(first && !second);
            paired.only_second += usize::from(second && !first);
            paired.of += 1;
        }
        paired
    }

    /// The share that the first answers rightly less that of the second, −1 to 1; 0 of nothing.
    #[must_use]
    pub fn difference(&self) -> f64 {
        (self.only_first as f64 - self.only_second as f64) / self.of.max(1) as f64
    }

    /// The 95 % interval of the difference: Wald's with half a record added to each kind of
    /// disagreement and two to all (Agresti & Min, "Simple improved confidence intervals for
    /// comparing matched proportions", 2005).
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let (first, second) = (self.only_first as f64 + 0.5, self.only_second as f64 + 0.5);
        let n = self.of as f64 + 2.0;
        let centre = (first - second) / n;
        let half = Z * (first + second - (first - second).powi(2) / n).sqrt() / n;
        ((centre - half).max(-1.0), (centre + half).min(1.0))
    }

    /// Whether the first is worse than the second by at most `margin`, a share of all records.
    #[must_use]
    pub fn sufficiency(&self, margin: f64) -> Sufficiency {
        let (low, high) = self.interval();
        if low >= -margin {
            return Sufficiency::Enough;
        }
        if high < -margin {
            return Sufficiency::NotEnough;
        }
        let away = (self.difference() + margin).abs();
        let half = (high - low) / 2.0;
        // The interval narrows with the root of the number of records.
        let records = (self.of as f64 * (half / away).powi(2)).ceil();
        let tellable = away > 1e-9 && records < 1e7;
        Sufficiency::Open {
            records: tellable.then_some(records as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn only_disagreements_count() {
        let pairs = [(true, true), (true, false), (false, true), (false, true)];
        let paired = Paired::of(pairs);
        assert_eq!(
            (paired.only_first, paired.only_second, paired.of),
            (1, 2, 4)
        );
        assert!((paired.difference() + 0.25).abs() < 1e-12);
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        let (only_first, only_second, n, draws) = (0.04, 0.06, 400, 4000);
        let mut random = Random::new(5);
        let mut covered = 0;
        for _ in 0..draws {
            let pairs = (0..n).map(|_| match random.unit() {
                u if u < only_first => (true, false),
                u if u < only_first + only_second => (false, true),
                _ => (true, true),
            });
            let (low, high) = Paired::of(pairs).interval();
            covered += usize::from(low <= -0.02 && -0.02 <= high);
        }
        let share = covered as f64 / f64::from(draws);
        assert!((0.94..0.97).contains(&share), "{share}");
    }

    #[test]
    fn sufficiency_needs_records() {
        let paired = |only_first, only_second, of| Paired {
            only_first,
            only_second,
            of,
        };
        assert_eq!(paired(20, 22, 5000).sufficiency(0.01), Sufficiency::Enough);
        assert_eq!(
            paired(5, 90, 1000).sufficiency(0.01),
            Sufficiency::NotEnough
        );
        let Sufficiency::Open { records } = paired(4, 5, 200).sufficiency(0.02) else {
            panic!("200 records can't tell");
        };
        assert!(records.is_some_and(|n| n > 200 && n < 2000), "{records:?}");
        // At the margin itself no number of records is enough.
        let at_margin = paired(0, 4, 200).sufficiency(0.02);
        assert_eq!(at_margin, Sufficiency::Open { records: None });
        assert!(matches!(
            Paired::default().sufficiency(0.01),
            Sufficiency::Open { .. }
        ));
    }
}
