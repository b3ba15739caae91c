//! Cutting text into the pieces within which bytes are merged.
//!
//! The vocabularies define this by a regular expression with a look-ahead. Both expressions are
//! matched by hand here, several times faster; a property test holds each equal to its
//! expression.

use regex_syntax::hir::{Class, HirKind};
use std::sync::LazyLock;

/// The rule by which text is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreTokenizer {
    /// [`PreTokenizer::LLAMA3_PATTERN`].
    Llama3,
    /// [`PreTokenizer::GPT2_PATTERN`].
    Gpt2,
}

impl PreTokenizer {
    /// The expression of Llama 3's vocabulary (`llama-bpe`).
    pub const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    /// The expression of GPT-2's vocabulary.
    pub const GPT2_PATTERN: &str =
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// The pieces of `text`: put together they are the text.
    pub fn pieces(self, text: &str) -> impl Iterator<Item = &str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = match self {
                Self::Llama3 => llama3_piece(rest),
                Self::Gpt2 => gpt2_piece(rest),
            };
            let (piece, after) = rest.split_at(length);
            rest = after;
            Some(piece)
        })
    }
}

/// What the expressions tell apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    Other,
}

fn kind(c: char) -> Kind {
    if c.is_ascii() {
        match c {
            'a'..='z' | 'A'..='Z' => Kind::Letter,
            '0'..='9' => Kind::Number,
            ' ' | '\t'..='\r' => Kind::Space,
            _ => Kind::Other,
        }
    } else if is_in(&LETTERS, c) {
        Kind::Letter
    } else if is_in(&NUMBERS, c) {
        Kind::Number
    } else if c.is_whitespace() {
        Kind::Space
    } else {
        Kind::Other
    }
}

type Ranges = Vec<(char, char)>;

fn is_in(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after.checked_sub(1).is_some_and(|i| c <= ranges[i].1)
}

/// `\p{L}`. (`char::is_alphabetic` is another property: it has marks and letter numbers too.)
static LETTERS: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{L}"));
/// `\p{N}`. (`char::is_numeric` is the same property, of another version of Unicode.)
static NUMBERS: LazyLock<Ranges> = LazyLock::new(|| ranges(r"\p{N}"));

/// The ranges of a class of characters, in order.
fn ranges(class: &str) -> Ranges {
    match regex_syntax::parse(class).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class
            .ranges()
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        other => unreachable!("a constant expression for a class of characters: {other:?}"),
    }
}

/// Bytes at the start of `text` whose characters are all of the kind.
fn run(text: &str, of: Kind) -> usize {
    text.char_indices()
        .find(|(_, c)| kind(*c) != of)
        .map_or(text.len(), |(at, _)| at)
}

/// The length of the first piece; `text` is not empty.
fn llama3_piece(text: &str) -> usize {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return 0 };
    if let Some(length) = contraction(text, CaseOf::Either) {
        return length;
    }
    let after_first = chars.as_str();
    let first_length = text.len() - after_first.len();
    let first_kind = kind(first);
    let letters = match first_kind {
        Kind::Letter => run(text, Kind::Letter),
        Kind::Number => return up_to_three_numbers(text),
        Kind::Space | Kind::Other if matches!(first, '\r' | '\n') => 0,
        Kind::Space | Kind::Other => match run(after_first, Kind::Letter) {
            0 => 0,
            letters => first_length + letters,
        },
    };
    if letters > 0 {
        return letters;
    }
    let others = with_optional_space(text, Kind::Other);
    if others > 0 {
        let newlines = text[others..]
            .bytes()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        return others + newlines;
    }
    let spaces = run(text, Kind::Space);
    match text[..spaces].rfind(['\r', '\n']) {
        Some(last_newline) => last_newline + 1,
        None => spaces_before_text(text, spaces),
    }
}

/// The length of the first piece; `text` is not empty.
fn gpt2_piece(text: &str) -> usize {
    if let Some(length) = contraction(text, CaseOf::Lower) {
        return length;
    }
    for of in [Kind::Letter, Kind::Number, Kind::Other] {
        let length = with_optional_space(text, of);
        if length > 0 {
            return length;
        }
    }
    spaces_before_text(text, run(text, Kind::Space))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CaseOf {
    Lower,
    Either,
}

/// `'s|'t|'re|'ve|'m|'ll|'d`
fn contraction(text: &str, case: CaseOf) -> Option<usize> {
    let after = text.strip_prefix('\'')?;
    let mut chars = after.chars().map(|c| match (case, c) {
        // The long s is the one character outside ASCII that is an s whatever the case.
        (CaseOf::Either, '\u{17f}') => 's',
        (CaseOf::Either, c) => c.to_ascii_lowercase(),
        (CaseOf::Lower, c) => c,
    });
    let letters = match (chars.next()?, chars.next()) {
        ('s' | 't' | 'm' | 'd', _) => 1,
        ('r', Some('e')) | ('v', Some('e')) | ('l', Some('l')) => 2,
        _ => return None,
    };
    Some(
        1 + after
            .chars()
            .take(letters)
            .map(char::len_utf8)
            .sum::<usize>(),
    )
}

/// `\p{N}{1,3}`
fn up_to_three_numbers(text: &str) -> usize {
    text.chars()
        .take(3)
        .take_while(|c| kind(*c) == Kind::Number)
        .map(char::len_utf8)
        .sum()
}

/// ` ?X+` for a kind X; 0 where there is none.
fn with_optional_space(text: &str, of: Kind) -> usize {
    let after = text.strip_prefix(' ').unwrap_or(text);
    match run(after, of) {
        0 => 0,
        length => text.len() - after.len() + length,
    }
}

/// `\s+(?!\S)|\s+`: white space but for its last character where text follows, if that leaves any.
fn spaces_before_text(text: &str, spaces: usize) -> usize {
    if spaces == text.len() {
        return spaces;
    }
    match text[..spaces].char_indices().next_back() {
        Some((last, _)) if last > 0 => last,
        _ => spaces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fancy_regex::Regex;
    use proptest::prelude::*;

    static LLAMA3: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(PreTokenizer::LLAMA3_PATTERN).unwrap());
    static GPT2: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(PreTokenizer::GPT2_PATTERN).unwrap());

    fn check(rule: PreTokenizer, expression: &Regex, text: &str) {
        let expected: Vec<&str> = expression
            .find_iter(text)
            .map(|found| found.unwrap().as_str())
            .collect();
        assert_eq!(rule.pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    /// Text in which the expressions' alternatives meet: contractions, runs of white space of all
    /// kinds, numbers of several scripts, marks, controls.
    fn tricky_text() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            8 => proptest::sample::select(
                " \t\n\r\u{b}\u{a0}\u{2003}\u{85}'sStTrReEvVmMlLdD\u{17f}\u{212a}a1Z9.,!<|>-_"
                    .chars()
                    .collect::<Vec<_>>()
            ),
            2 => proptest::sample::select(
                "éßÅ中あ한ا0٣२Ⅷ½²\u{301}\u{200d}\u{0}\u{7f}\u{fdd0}🏦😀ªᵃ𝔘"
                    .chars()
                    .collect::<Vec<_>>()
            ),
            1 => any::<char>(),
        ];
        proptest::collection::vec(character, 0..24).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn llama3_pieces_are_those_of_the_expression(text in tricky_text()) {
            check(PreTokenizer::Llama3, &LLAMA3, &text);
        }

        #[test]
        fn gpt2_pieces_are_those_of_the_expression(text in tricky_text()) {
            check(PreTokenizer::Gpt2, &GPT2, &text);
        }
    }
}
