//! Whether the values in an answer stand in the text that it is about, and whether numbers that
//! carry a check digit are whole: evidence that no model can talk itself into.

use crate::agreement::normalised;

/// What checking the values of an answer came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Values that were looked for.
    pub values: usize,
    /// Of these, those that stand in the source.
    pub grounded: usize,
    /// Numbers of a kind that has check digits, which are right.
    pub sums_right: usize,
    /// Such numbers with wrong check digits.
    pub sums_wrong: usize,
}

impl Checks {
    /// The checks of these values beside the text that they were taken from. Case, space and
    /// punctuation make no difference; an empty value is passed over.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>, source: &str) -> Self {
        let source = format!(" {} ", normalised(source));
        let mut checks = Self::default();
        for value in values {
            let wanted = normalised(value);
            if wanted.is_empty() {
                continue;
            }
            checks.values += 1;
            checks.grounded += usize::from(source.contains(&format!(" {wanted} ")));
            match check_digits(value) {
                Some(true) => checks.sums_right += 1,
                Some(false) => checks.sums_wrong += 1,
                None => {}
            }
        }
        checks
    }

    /// The share of the values that stand in the source; 1 of none.
    #[must_use]
    pub fn grounded_share(&self) -> f64 {
        match self.values {
            0 => 1.0,
            values => self.grounded as f64 / values as f64,
        }
    }
}

/// Whether the check digits of an IBAN (ISO 13616), an ISIN (ISO 6166) or a payment card's number
/// (ISO/IEC 7812) are right; `None` of anything that does not look like one.
#[must_use]
pub fn check_digits(value: &str) -> Option<bool> {
    let letters = value.chars().filter(|c| !matches!(c, ' ' | '-'));
    let compact: Vec<u8> = letters
        .map(|c| u8::try_from(c.to_ascii_uppercase()).unwrap_or(b'?'))
        .collect();
    let is = |range: std::ops::Range<usize>, kind: fn(&u8) -> bool| {
        compact.get(range).is_some_and(|part| part.iter().all(kind))
    };
    let letter: fn(&u8) -> bool = u8::is_ascii_uppercase;
    let digit: fn(&u8) -> bool = u8::is_ascii_digit;
    let either: fn(&u8) -> bool = |c| c.is_ascii_uppercase() || c.is_ascii_digit();
    let length = compact.len();
    let country = length > 2 && is(0..2, letter);
    match length {
        12 if country && is(2..11, either) && is(11..12, digit) => Some(luhn(&compact)),
        15..=34 if country && is(2..4, digit) && is(4..length, either) => Some(iban(&compact)),
        13..=19 if is(0..length, digit) => Some(luhn(&compact)),
        _ => None,
    }
}

/// The value of a digit, or of a letter from A = 10 on.
fn value_of(letter: u8) -> u32 {
    char::from(letter).to_digit(36).unwrap_or(0)
}

/// The number with its first four places at its end is 1 modulo 97, letters as two digits.
fn iban(compact: &[u8]) -> bool {
    let (head, tail) = compact.split_at(4);
    let rest = tail.iter().chain(head).fold(0, |rest, &letter| {
        let value = value_of(letter);
        let shift = if value > 9 { 100 } else { 10 };
        (rest * shift + value) % 97
    });
    rest == 1
}

/// Every second digit from the right is doubled, and the sum of all digits is a multiple of ten;
/// letters as two digits.
fn luhn(compact: &[u8]) -> bool {
    let digits = compact.iter().flat_map(|&letter| {
        let value = value_of(letter);
        (value > 9)
            .then_some(value / 10)
            .into_iter()
            .chain([value % 10])
    });
    let digits: Vec<u32> = digits.collect();
    let doubled = |(place, &digit): (usize, &u32)| match place % 2 {
        0 => digit,
        _ => 2 * digit / 10 + 2 * digit % 10,
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_numbers_are_right_and_a_wrong_digit_is_seen() {
        // The examples of the standards' own publications.
        for right in [
            "GB82 WEST 1234 5698 7654 32",
            "DE89 3704 0044 0532 0130 00",
            "US0378331005",
            "AU0000XVGZA3",
            "4111-1111-1111-1111",
        ] {
            assert_eq!(check_digits(right), Some(true), "{right}");
        }
        for wrong in [
            "GB82 WEST 1234 5698 7654 33",
            "US0378331006",
            "4111111111111112",
        ] {
            assert_eq!(check_digits(wrong), Some(false), "{wrong}");
        }
        for other in [
            "",
            "Vienna",
            "12.50",
            "2026-11-23",
            "AT12",
            "ÄB82 3704 0044 0532",
        ] {
            assert_eq!(check_digits(other), None, "{other}");
        }
    }

    #[test]
    fn a_value_is_grounded_where_it_stands_as_a_whole() {
        let source =
            "Invoice 4711 of Müller & Co., Vienna: EUR 12.50 to DE89 3704 0044 0532 0130 00.";
        let values = ["4711", "müller & co", "12.50", "Graz", "471", " "];
        let checks = Checks::of(values, source);
        assert_eq!((checks.values, checks.grounded), (5, 3));
        assert!((checks.grounded_share() - 0.6).abs() < 1e-12);
        let checks = Checks::of(
            ["DE89 3704 0044 0532 0130 00", "DE88370400440532013000"],
            source,
        );
        assert_eq!(
            (checks.grounded, checks.sums_right, checks.sums_wrong),
            (1, 1, 1)
        );
        assert_eq!(Checks::of([], source).grounded_share(), 1.0);
    }

    proptest! {
        #[test]
        fn any_single_wrong_digit_of_a_card_is_seen(
            digits in proptest::collection::vec(0_u8..10, 12..18), place in 0_usize..12, by in 1_u8..10,
        ) {
            let text = |digits: &[u8]| digits.iter().map(|d| char::from(b'0' + d)).collect::<String>();
            let checked = (0..10).find_map(|last| {
                let whole = [&digits[..], &[last]].concat();
                (check_digits(&text(&whole)) == Some(true)).then_some(whole)
            });
            let mut whole = checked.unwrap();
            whole[place] = (whole[place] + by) % 10;
            prop_assert_eq!(check_digits(&text(&whole)), Some(false));
        }

        #[test]
        fn nothing_breaks_it(value in ".*", source in ".*") {
            let checks = Checks::of([value.as_str()], &source);
            prop_assert!(checks.grounded <= checks.values);
        }
    }
}
