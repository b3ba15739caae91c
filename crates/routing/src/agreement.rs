//! Whether two free texts say the same.

/// A text without what makes no difference: the case of letters, space, and punctuation, except
/// where it stands between two digits (`1.5` is not `15`). Signs that mean something, such as
/// `-`, `%` and `$`, stay.
#[must_use]
pub fn normalised(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let digit = |index: Option<usize>| {
        let letter = index.and_then(|index| letters.get(index));
        letter.is_some_and(|letter| letter.is_numeric())
    };
    let mut normal = String::with_capacity(text.len());
    for (index, letter) in letters.iter().enumerate() {
        let between = digit(index.checked_sub(1)) && digit(Some(index + 1));
        if letter.is_whitespace() || (is_punctuation(*letter) && !between) {
            normal.push(' ');
        } else {
            normal.extend(letter.to_lowercase());
        }
    }
    let words: Vec<&str> = normal.split_whitespace().collect();
    words.join(" ")
}

/// Marks that structure a text and name nothing.
fn is_punctuation(letter: char) -> bool {
    const MARKS: &str = ".,;:!?\"'`´’‘“”„«»‹›()[]{}…*_¿¡";
    MARKS.contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_makes_no_difference_is_gone_and_the_rest_stays() {
        for (one, other) in [
            ("Vienna.", "vienna"),
            ("  the  “Card” was\nstolen!", "The card was stolen"),
            ("GRÜẞE", "grüße"),
            ("It's 1,250.00 EUR.", "it s 1,250.00 eur"),
        ] {
            assert_eq!(normalised(one), normalised(other));
        }
        for (one, other) in [
            ("1.5", "15"),
            ("5 %", "5"),
            ("-3", "3"),
            ("yes", "no"),
            ("12:30", "1230"),
        ] {
            assert_ne!(normalised(one), normalised(other));
        }
    }

    proptest! {
        #[test]
        fn a_normal_text_is_left_as_it_is(text in "\\PC{0,40}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
