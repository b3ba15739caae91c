//! Documents in: JSONL, CSV, gzip of either, and folders of text files.
//!
//! An input is read twice: once to fingerprint and count it before any work, once to work on it.
//! A row that can't be read is a document too: it gets its own failed result, so that the count
//! of results always equals the count of rows.

mod file;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub(crate) use self::file::open_plain;
use self::file::{
    Format, ROW_BYTES_MAX, checked_text, decoded, format_of, read_error, read_line, read_text,
    text_files_below, too_long,
};
use crate::config::{RecordsSource, TaskConfig};

/// Which fields of a row hold what.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    /// The document's text.
    pub(crate) text: String,
    /// The document's id; a row without it is called by its file and number.
    pub(crate) id: String,
    /// The right answer, where it is known.
    pub(crate) gold: String,
}

impl Fields {
    /// The fields of a task's documents, as its config names them; the right answer stands where
    /// it stands in the task's labelled records.
    pub(crate) fn of(task: &TaskConfig) -> Self {
        let gold = task
            .records
            .as_ref()
            .map_or("gold", |records| &records.gold);
        Self {
            text: task.text_field.clone(),
            id: task.id_field.clone(),
            gold: gold.to_owned(),
        }
    }
}

/// One row of the input.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its place in the whole input, from 0.
    pub(crate) ordinal: u64,
    /// What its owner calls it.
    pub(crate) id: String,
    /// The text, or why there is none.
    pub(crate) text: Result<String, String>,
    /// The right answer, where the row gives it.
    pub(crate) gold: Option<String>,
    /// The answers of tiers that the row says are right or wrong.
    pub(crate) judged: Vec<Judged>,
}

/// A tier's answer, and whether it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) tier: String,
    pub(crate) answer: String,
    pub(crate) correct: bool,
}

/// What a row holds.
struct Cells {
    id: Option<String>,
    text: Result<String, String>,
    gold: Option<String>,
    judged: Vec<Judged>,
}

impl Cells {
    fn of_text(id: Option<String>, text: Result<String, String>) -> Self {
        Self {
            id,
            text,
            gold: None,
            judged: Vec::new(),
        }
    }
}

/// Why an input can't be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// A file or folder can't be read.
    #[error(
        "{path}: {reason}; check the path, its permissions and, for gzip, that the file is whole"
    )]
    Read {
        /// The file or folder.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The name says nothing about the format.
    #[error(
        "{0}: unknown kind of input; give a folder of .txt or .md files, or a file named .jsonl, .ndjson or .csv, each also with .gz"
    )]
    UnknownFormat(String),
    /// A CSV file lacks the column of texts.
    #[error(
        "{path}: no column `{column}`; its columns are {found}; name the text's column with --text-field"
    )]
    NoColumn {
        /// The file.
        path: String,
        /// The column sought.
        column: String,
        /// The columns there are.
        found: String,
    },
}

/// A list of files to read, in order.
#[derive(Debug)]
pub(crate) struct Input {
    files: Vec<(PathBuf, Format)>,
    fields: Fields,
    rows: Range<u64>,
}

/// What the first reading found.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Rows that will be worked on.
    pub(crate) rows: u64,
    /// SHA-256 over every row's id, text or fault, in order.
    pub(crate) fingerprint: [u8; 32],
}

impl Input {
    /// Whether this is one of the files that are read, by whatever name.
    pub(crate) fn reads(&self, path: &Path) -> bool {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let path = real(path);
        path.is_some() && self.files.iter().any(|(file, _)| real(file) == path)
    }

    /// The input that these paths name; of all its rows those in `rows` (counted from 0 over
    /// all files) are worked on.
    ///
    /// # Errors
    /// When a path doesn't exist or its format is unknown.
    pub(crate) fn open(
        paths: &[PathBuf],
        fields: Fields,
        rows: Range<u64>,
    ) -> Result<Self, InputError> {
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                text_files_below(path, &mut files)?;
            } else {
                File::open(path).map_err(|source| read_error(path, source))?;
                files.push((path.clone(), format_of(path)?));
            }
        }
        Ok(Self {
            files,
            fields,
            rows,
        })
    }

    /// The labelled records that a config names.
    ///
    /// # Errors
    /// When the file doesn't exist or its format is unknown.
    pub(crate) fn of_records(source: &RecordsSource) -> Result<Self, InputError> {
        let fields = Fields {
            text: source.text.clone(),
            id: "id".to_owned(),
            gold: source.gold.clone(),
        };
        let rows = source.rows.start as u64..source.rows.end as u64;
        Self::open(std::slice::from_ref(&source.path), fields, rows)
    }

    /// Calls `visit` with each selected row in order, until it returns `false`.
    ///
    /// # Errors
    /// When a file can't be read to its end.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Row) -> bool) -> Result<(), InputError> {
        let mut ordinal = 0;
        for (path, format) in &self.files {
            let mut emit = |cells: Cells| {
                let here = ordinal;
                ordinal += 1;
                if here < self.rows.start {
                    return true;
                }
                let unnamed = || format!("{}:{}", path.display(), here + 1);
                here < self.rows.end
                    && visit(Row {
                        ordinal: here,
                        id: cells.id.unwrap_or_else(unnamed),
                        text: cells.text,
                        gold: cells.gold,
                        judged: cells.judged,
                    })
            };
            let go_on = match format {
                Format::Jsonl => self.jsonl(path, &mut emit)?,
                Format::Csv => self.csv(path, &mut emit)?,
                Format::Text => {
                    let text = read_text(path).map_err(|source| read_error(path, source))?;
                    emit(Cells::of_text(Some(path.display().to_string()), text))
                }
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    /// Reads everything once, counting and fingerprinting.
    ///
    /// # Errors
    /// When a file can't be read to its end.
    pub(crate) fn survey(&self) -> Result<Survey, InputError> {
        let mut hash = Sha256::new();
        let mut rows = 0;
        self.for_each(|row| {
            let text = row.text.unwrap_or_else(|reason| format!("\u{0}{reason}"));
            for part in [row.id.as_bytes(), text.as_bytes()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            rows += 1;
            true
        })?;
        Ok(Survey {
            rows,
            fingerprint: hash.finalize().into(),
        })
    }

    fn jsonl(&self, path: &Path, emit: &mut Emit<'_>) -> Result<bool, InputError> {
        let mut reader = open_plain(path).map_err(|source| read_error(path, source))?;
        let mut line = Vec::new();
        while read_line(&mut reader, &mut line).map_err(|source| read_error(path, source))? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if !emit(self.json_row(&line)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn json_row(&self, line: &[u8]) -> Cells {
        if line.len() > ROW_BYTES_MAX {
            return Cells::of_text(None, Err(too_long(line.len())));
        }
        let mut object: serde_json::Map<String, serde_json::Value> = match serde_json::from_slice(
            line,
        ) {
            Ok(object) => object,
            Err(fault) => {
                let reason = format!(
                    "the line is no JSON object ({fault}); write one object a line, for example {{\"id\": \"a-1\", \"text\": \"…\"}}"
                );
                return Cells::of_text(None, Err(reason));
            }
        };
        let id = object.remove(&self.fields.id).and_then(plain_value);
        let gold = object.remove(&self.fields.gold).and_then(plain_value);
        let field = &self.fields.text;
        let text = match object.remove(field) {
            Some(serde_json::Value::String(text)) => checked_text(text),
            Some(_) => Err(format!(
                "the field `{field}` is no string; a document's text is a string"
            )),
            None => Err(format!(
                "there is no field `{field}`; name the text's field with --text-field"
            )),
        };
        Cells {
            id,
            text,
            gold,
            judged: object.remove("models").map(judged).unwrap_or_default(),
        }
    }

    fn csv(&self, path: &Path, emit: &mut Emit<'_>) -> Result<bool, InputError> {
        let plain = open_plain(path).map_err(|source| read_error(path, source))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(plain);
        let csv_error = |fault: csv::Error| read_error(path, io::Error::other(fault));
        let header = reader.byte_headers().map_err(csv_error)?.clone();
        let column = |name: &str| header.iter().position(|cell| cell == name.as_bytes());
        let Some(text_column) = column(&self.fields.text) else {
            let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
            return Err(InputError::NoColumn {
                path: path.display().to_string(),
                column: self.fields.text.clone(),
                found: found.join(", "),
            });
        };
        let (id_column, gold_column) = (column(&self.fields.id), column(&self.fields.gold));
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(csv_error)? {
            let cell = |column: Option<usize>| {
                let cell = record.get(column?)?;
                (!cell.is_empty()).then(|| String::from_utf8_lossy(cell).into_owned())
            };
            let text = match record.get(text_column) {
                Some(cell) => decoded(cell.to_vec()),
                None => Err(format!(
                    "the row has {} of {} columns; quote cells that hold commas or line breaks",
                    record.len(),
                    header.len()
                )),
            };
            let cells = Cells {
                gold: cell(gold_column),
                ..Cells::of_text(cell(id_column), text)
            };
            if !emit(cells) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

type Emit<'a> = dyn FnMut(Cells) -> bool + 'a;

/// The answers of tiers that stand beside a judgement, as exported records have them.
fn judged(models: serde_json::Value) -> Vec<Judged> {
    let serde_json::Value::Object(models) = models else {
        return Vec::new();
    };
    let judged = |(tier, model): (String, serde_json::Value)| {
        Some(Judged {
            answer: model.get("answer")?.as_str()?.to_owned(),
            correct: model.get("correct")?.as_bool()?,
            tier,
        })
    };
    models.into_iter().filter_map(judged).collect()
}

/// A label or id as text: numbers and booleans as they are written, nothing else.
fn plain_value(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
