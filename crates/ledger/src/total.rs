//! Sums of money, which may be larger than one line can hold.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

use domain::Picodollars;

/// Decimal places of a dollar that a picodollar takes.
const PER_USD: u128 = 1_000_000_000_000;

/// A sum of picodollars. No sum of lines can overflow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Total(pub i128);

impl Total {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The exact sum in US dollars as a decimal text without trailing zeros.
    #[must_use]
    pub fn to_usd(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let fraction = format!("{:012}", magnitude % PER_USD);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{fraction}", magnitude / PER_USD)
    }

    /// The sum in US dollars as a float, for plots and ratios only.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a plot needs no more than 53 bits"
    )]
    pub fn as_usd_f64(self) -> f64 {
        self.0 as f64 / PER_USD as f64
    }
}

impl From<Picodollars> for Total {
    fn from(amount: Picodollars) -> Self {
        Self(i128::from(amount.get()))
    }
}

impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Total {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        Self(totals.map(|total| total.0).sum())
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD", self.to_usd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_total_reads_like_an_amount(picodollars in any::<i64>()) {
            let amount = Picodollars::new(picodollars);
            prop_assert_eq!(Total::from(amount).to_usd(), amount.to_usd());
        }
    }

    #[test]
    fn a_total_goes_beyond_one_line() {
        let most = Total::from(Picodollars::new(i64::MAX));
        let sum: Total = [most, most, most].into_iter().sum();
        assert_eq!(sum.to_usd(), "27670116.110564327421");
    }
}
