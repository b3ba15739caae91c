//! The stand-in's bill: a file of JSON lines to which lines are only ever added.
//!
//! What an answer costs is written before any of it is sent, with all tokens that it would have:
//! a vendor bills what it wrote, whether it arrived or not. When the answer has ended, a second
//! line says whether it was sent whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{CompletionTokens, Picodollars, PromptTokens, Usage};
use serde::{Deserialize, Serialize};

/// How each line begins.
const OPENING: &str = r#"{"event":"#;

#[derive(Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Billed {
        sequence: u64,
        request_id: String,
        prompt_tokens: u64,
        completion_tokens: u64,
        picodollars: i64,
    },
    Delivered {
        sequence: u64,
        whole: bool,
    },
}

/// What one answer costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The answer's number in the journal, from 1.
    pub sequence: u64,
    /// What the client called its request in `x-client-request-id`; empty when it called it
    /// nothing.
    pub request_id: String,
    /// The tokens billed.
    pub usage: Usage,
    /// What they cost.
    pub cost: Picodollars,
    /// Whether the answer was sent.
    pub delivered: Delivered,
}

/// Whether an answer was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivered {
    /// To its end.
    Whole,
    /// In part or not at all: a fault was asked for, or the client hung up.
    Cut,
    /// It is not known: it is on its way, or the stand-in was killed.
    Unknown,
}

/// Why a journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file can't be opened, read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A line is none of the journal's.
    #[error("{}: line {line} is no line of a journal; name another file", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
}

/// All bills of a journal, in order. A last line without an end, as a kill leaves it, was never
/// acted upon and does not count.
///
/// # Errors
/// When the file can't be read or is no journal.
pub fn read(path: &Path) -> Result<Vec<Bill>, JournalError> {
    let text = std::fs::read_to_string(path).map_err(|cause| file_error(path, cause))?;
    let mut bills: Vec<Bill> = Vec::new();
    for (index, line) in whole_lines(&text).lines().enumerate() {
        let bad = || JournalError::Line {
            path: path.to_owned(),
            line: index + 1,
        };
        match serde_json::from_str(line).map_err(|_not_ours| bad())? {
            Line::Billed {
                sequence,
                request_id,
                prompt_tokens,
                completion_tokens,
                picodollars,
            } => bills.push(Bill {
                sequence,
                request_id,
                usage: Usage {
                    prompt: PromptTokens(prompt_tokens),
                    cached_prompt: PromptTokens(0),
                    completion: CompletionTokens(completion_tokens),
                    ..Usage::default()
                },
                cost: Picodollars::new(picodollars),
                delivered: Delivered::Unknown,
            }),
            Line::Delivered { sequence, whole } => {
                let mut newest_first = bills.iter_mut().rev();
                let bill = newest_first.find(|bill| bill.sequence == sequence);
                bill.ok_or_else(bad)?.delivered = if whole {
                    Delivered::Whole
                } else {
                    Delivered::Cut
                };
            }
        }
    }
    Ok(bills)
}

fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..=end])
}

fn file_error(path: &Path, cause: io::Error) -> JournalError {
    JournalError::File {
        path: path.to_owned(),
        cause,
    }
}

/// A journal that is being written; without a file it only counts.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<Writer>);

#[derive(Debug)]
struct Writer {
    file: Option<(PathBuf, File)>,
    sequence: u64,
}

impl Journal {
    /// The journal in this file, continued where it ended.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, JournalError> {
        let Some(path) = path else {
            return Ok(Self(Mutex::new(Writer {
                file: None,
                sequence: 0,
            })));
        };
        let failed = |cause| file_error(path, cause);
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let sequence = read(path)?.last().map_or(0, |bill| bill.sequence);
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let whole = whole_lines(&text);
        let torn = &text[whole.len()..];
        if !(torn.starts_with(OPENING) || OPENING.starts_with(torn)) {
            return Err(JournalError::Line {
                path: path.to_owned(),
                line: whole.lines().count() + 1,
            });
        }
        file.set_len(whole.len() as u64).map_err(failed)?;
        Ok(Self(Mutex::new(Writer {
            file: Some((path.to_owned(), file)),
            sequence,
        })))
    }

    /// Writes down what an answer costs; gives its number.
    pub(crate) fn bill(
        &self,
        request_id: &str,
        usage: &Usage,
        cost: Picodollars,
    ) -> Result<u64, JournalError> {
        let mut writer = self.lock();
        let sequence = writer.sequence + 1;
        writer.write(&Line::Billed {
            sequence,
            request_id: request_id.to_owned(),
            prompt_tokens: usage.prompt.0,
            completion_tokens: usage.completion.0,
            picodollars: cost.get(),
        })?;
        writer.sequence = sequence;
        Ok(sequence)
    }

    /// Writes down how an answer ended.
    pub(crate) fn delivered(&self, sequence: u64, whole: bool) -> Result<(), JournalError> {
        self.lock().write(&Line::Delivered { sequence, whole })
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A line is written by one call, so a poisoned lock leaves no half state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Adds a line. It is with the operating system when this returns, and so survives the end of
    /// the process, however sudden.
    fn write(&mut self, line: &Line) -> Result<(), JournalError> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        let written = serde_json::to_vec(line)
            .map_err(io::Error::from)
            .and_then(|mut text| {
                text.push(b'\n');
                file.write_all(&text)
            });
        written.map_err(|cause| file_error(path, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        Usage {
            prompt: PromptTokens(7),
            cached_prompt: PromptTokens(0),
            completion: CompletionTokens(2),
            ..Usage::default()
        }
    }

    #[test]
    fn a_journal_is_continued_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let cost = Picodollars::new(5);
        let first = Journal::open(Some(&path)).unwrap();
        assert_eq!(first.bill("a", &usage(), cost).unwrap(), 1);
        assert_eq!(first.bill("b", &usage(), cost).unwrap(), 2);
        first.delivered(1, true).unwrap();
        drop(first);
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"event\":\"billed\",\"sequ").unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        let second = Journal::open(Some(&path)).unwrap();
        assert_eq!(second.bill("c", &usage(), cost).unwrap(), 3);
        second.delivered(3, false).unwrap();
        let bills = read(&path).unwrap();
        let delivered: Vec<Delivered> = bills.iter().map(|bill| bill.delivered).collect();
        assert_eq!(
            delivered,
            [Delivered::Whole, Delivered::Unknown, Delivered::Cut]
        );
        assert_eq!(
            (bills[1].request_id.as_str(), bills[1].usage),
            ("b", usage())
        );
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        for notes in ["mine\n", "mine"] {
            std::fs::write(&path, notes).unwrap();
            let error = Journal::open(Some(&path)).unwrap_err();
            assert!(
                matches!(error, JournalError::Line { line: 1, .. }),
                "{error}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
        }
    }
}
