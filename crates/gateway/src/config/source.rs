//! The text of a config file as a tree whose every value knows its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::{Path, Step};

/// Longest text that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// A syntax error: where it is and what it is.
pub(super) struct SyntaxFault {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// What was wrong, without a part of the file: it might hold a key.
    pub(super) message: String,
}

/// A config file's text and its tree.
pub(super) struct Source<'i> {
    text: &'i str,
    tree: Spanned<DeTable<'i>>,
}

/// What stands at a place: the value and where its option begins, in bytes from the start.
struct Found<'s, 'i> {
    value: &'s DeValue<'i>,
    start: usize,
}

impl<'i> Source<'i> {
    /// The tree of a text.
    ///
    /// # Errors
    /// Every syntax error, the first of each line.
    pub(super) fn parse(text: &'i str) -> Result<Self, Vec<SyntaxFault>> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, tree });
        }
        let mut faults: Vec<SyntaxFault> = Vec::new();
        for error in errors {
            let start = error.span().map_or(0, |span| span.start);
            let (line, column) = position(text, start);
            if faults.last().is_none_or(|last| last.line != line) {
                faults.push(SyntaxFault {
                    line,
                    column,
                    message: error.message().replace('\n', ", "),
                });
            }
        }
        Err(faults)
    }

    /// A copy of the tree, to read values from.
    pub(super) fn tree(&self) -> Spanned<DeTable<'i>> {
        self.tree.clone()
    }

    /// Whether anything stands at this place.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    /// The names in the table at this place, in the order of the alphabet.
    pub(super) fn keys(&self, path: &Path) -> Vec<&str> {
        match self.find(path).map(|found| found.value) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().as_ref()).collect(),
            _ => Vec::new(),
        }
    }

    /// The line of the option at this place, or of the innermost section or list around it that
    /// there is; counted from 1.
    pub(super) fn line(&self, path: &Path) -> usize {
        let mut place = path.clone();
        loop {
            if let Some(found) = self.find(&place) {
                return position(self.text, found.start).0;
            }
            match place.parent() {
                Some(parent) => place = parent,
                None => return 1,
            }
        }
    }

    /// The value at this place as a message shows it: `"two"`, `1.4`, `a list`.
    pub(super) fn shown(&self, path: &Path) -> Option<String> {
        let text = match self.find(path)?.value {
            DeValue::String(text) => {
                let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                format!("{short:?}")
            }
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        Some(text)
    }

    fn find<'s>(&'s self, path: &Path) -> Option<Found<'s, 'i>> {
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(first) = first else { return None };
        let mut found = entry(self.tree.get_ref(), first)?;
        for step in rest {
            found = match (step, found.value) {
                (Step::Key(key), DeValue::Table(table)) => entry(table, key)?,
                (Step::Index(index), DeValue::Array(list)) => {
                    let value = list.get(*index)?;
                    Found {
                        value: value.get_ref(),
                        start: value.span().start,
                    }
                }
                _ => return None,
            };
        }
        Some(found)
    }
}

fn entry<'s, 'i>(table: &'s DeTable<'i>, key: &str) -> Option<Found<'s, 'i>> {
    let (key, value) = table.get_key_value(key)?;
    Some(Found {
        value: value.get_ref(),
        start: key.span().start,
    })
}

/// The line and column of a byte offset, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
