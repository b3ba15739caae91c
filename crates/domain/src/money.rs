//! Money as an integer number of picodollars.
//!
//! Vendors price below a nanodollar a token, and every published per-token rate is a whole number
//! of picodollars; sums of them are therefore exact. An `i64` holds 9.2 million dollars.

use std::fmt;

/// Picodollars in one dollar.
const PER_USD: i64 = 1_000_000_000_000;
/// Decimal places of a dollar amount that a picodollar can hold.
const DECIMALS: usize = 12;

/// An amount of money in picodollars (10⁻¹² US dollars); it may be negative in a balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Picodollars(i64);

/// Why a text or a computation gives no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is no decimal number of dollars.
    #[error("`{0}` is no amount in US dollars; write a decimal number, for example `0.25`")]
    NotAnAmount(String),
    /// The text has more decimal places than a picodollar can hold.
    #[error("`{text}` has more than {places} decimal places and can't be held exactly")]
    TooFine {
        /// The amount as written.
        text: String,
        /// The number of decimal places that can be held.
        places: usize,
    },
    /// The amount is beyond what an `i64` of picodollars holds.
    #[error("an amount is beyond 9.2 million US dollars, the most that can be booked in one line")]
    OutOfRange,
}

impl Picodollars {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount from its number of picodollars.
    #[must_use]
    pub const fn new(picodollars: i64) -> Self {
        Self(picodollars)
    }

    /// The number of picodollars.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The amount that a decimal text of US dollars names, exactly: `0.25`, `12`, `-0.000001`.
    ///
    /// # Errors
    /// When the text is no decimal number, has more than 12 decimal places or is out of range.
    pub fn from_usd(text: &str) -> Result<Self, MoneyError> {
        parse_decimal(text, DECIMALS).map(Self)
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when it is beyond an `i64`.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(MoneyError::OutOfRange)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when it is beyond an `i64`.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(MoneyError::OutOfRange)
    }

    /// The product with a count.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] when it is beyond an `i64`.
    pub fn times(self, count: u64) -> Result<Self, MoneyError> {
        i64::try_from(i128::from(self.0) * i128::from(count))
            .map(Self)
            .map_err(|_| MoneyError::OutOfRange)
    }

    /// The exact amount in US dollars as a decimal text without a sign for dollars and without
    /// trailing zeros: `0.000000000125`. [`Picodollars::from_usd`] reads it back.
    #[must_use]
    pub fn to_usd(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let (whole, part) = (
            magnitude / PER_USD.unsigned_abs(),
            magnitude % PER_USD.unsigned_abs(),
        );
        let part = format!("{part:012}");
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{part}")
    }

    /// The amount in US dollars as a float, for plots and ratios only.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a plot needs no more than 53 bits"
    )]
    pub fn as_usd_f64(self) -> f64 {
        self.0 as f64 / PER_USD as f64
    }
}

/// The integer `text × 10^places`, read without rounding.
pub(crate) fn parse_decimal(text: &str, places: usize) -> Result<i64, MoneyError> {
    let not_an_amount = || MoneyError::NotAnAmount(text.to_owned());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(part) || digits.ends_with('.') {
        return Err(not_an_amount());
    }
    let part = part.trim_end_matches('0');
    if part.len() > places {
        return Err(MoneyError::TooFine {
            text: text.to_owned(),
            places,
        });
    }
    let padded = format!("{whole}{part:0<places$}");
    let magnitude: i128 = padded.parse().map_err(|_| MoneyError::OutOfRange)?;
    let signed = if negative { -magnitude } else { magnitude };
    i64::try_from(signed).map_err(|_| MoneyError::OutOfRange)
}

impl fmt::Display for Picodollars {
    /// Dollars for a person: `$12.34` from a cent upward, otherwise four significant digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usd = self.as_usd_f64();
        let sign = if usd < 0.0 { "-" } else { "" };
        let magnitude = usd.abs();
        let text = if self.0 == 0 {
            "$0".to_owned()
        } else if magnitude >= 1.0 {
            format!("{sign}${magnitude:.2}")
        } else {
            let decimals = 3 - magnitude.log10().floor() as i32;
            let decimals = usize::try_from(decimals).unwrap_or(0).min(DECIMALS);
            format!("{sign}${magnitude:.decimals$}")
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_exact_decimals_and_refuses_the_rest() {
        assert_eq!(
            Picodollars::from_usd("0.25").unwrap().get(),
            250_000_000_000
        );
        assert_eq!(Picodollars::from_usd("-0.000000000001").unwrap().get(), -1);
        assert_eq!(Picodollars::from_usd("12").unwrap().get(), 12 * PER_USD);
        for bad in ["", ".", "1.", ".5", "1e3", "0x1", "1,5", "--1", "$1", " 1"] {
            assert!(
                matches!(Picodollars::from_usd(bad), Err(MoneyError::NotAnAmount(_))),
                "{bad}"
            );
        }
        assert!(matches!(
            Picodollars::from_usd("0.0000000000001"),
            Err(MoneyError::TooFine { .. })
        ));
        assert_eq!(
            Picodollars::from_usd("99999999999"),
            Err(MoneyError::OutOfRange)
        );
    }

    #[test]
    fn shows_small_and_large_amounts() {
        let shown = |usd: &str| Picodollars::from_usd(usd).unwrap().to_string();
        assert_eq!(shown("12.345"), "$12.35");
        assert_eq!(shown("0.0123456"), "$0.01235");
        assert_eq!(shown("0.000000000125"), "$0.000000000125");
        assert_eq!(shown("0"), "$0");
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_text(picodollars: i64) {
            let amount = Picodollars::new(picodollars);
            prop_assert_eq!(Picodollars::from_usd(&amount.to_usd()), Ok(amount));
        }

        #[test]
        fn sums_and_products_never_wrap(a: i64, b: i64, count: u64) {
            let (a, b) = (Picodollars::new(a), Picodollars::new(b));
            if let Ok(sum) = a.plus(b) {
                prop_assert_eq!(sum.minus(b), Ok(a));
            }
            let exact = i128::from(a.get()) * i128::from(count);
            prop_assert_eq!(a.times(count).is_ok(), i64::try_from(exact).is_ok());
        }
    }
}
