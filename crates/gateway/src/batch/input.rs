//! Documents in: JSONL, CSV, gzip of either, and folders of text files.
//!
//! An input is read twice: once to fingerprint and count it before any work, once to work on it.
//! A row that can't be read is a document too: it gets its own failed result, so that the count
//! of results always equals the count of rows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::config::{RecordsSource, TaskConfig};

/// Longest row or text file, in bytes: a longer one is a failed document, not an endless read.
const ROW_BYTES_MAX: usize = 16 << 20;

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
        "{path}: {source}; check the path, its permissions and, for gzip, that the file is whole"
    )]
    Read {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
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

#[derive(Clone, Copy, Debug)]
enum Format {
    Jsonl,
    Csv,
    Text,
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

fn read_error(path: &Path, source: io::Error) -> InputError {
    InputError::Read {
        path: path.display().to_string(),
        source,
    }
}

fn format_of(path: &Path) -> Result<Format, InputError> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("csv") => Ok(Format::Csv),
        Some("txt" | "md") => Ok(Format::Text),
        _ => Err(InputError::UnknownFormat(path.display().to_string())),
    }
}

/// The text files below a folder in the order of their paths; other files are left alone.
fn text_files_below(folder: &Path, files: &mut Vec<(PathBuf, Format)>) -> Result<(), InputError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    let mut paths = list().map_err(|source| read_error(folder, source))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            text_files_below(&path, files)?;
        } else if let Ok(format @ Format::Text) = format_of(&path) {
            files.push((path, format));
        }
    }
    Ok(())
}

/// The file's bytes, unpacked where they begin like gzip, whatever the name says.
fn open_plain(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let packed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed {
        Box::new(BufReader::with_capacity(
            1 << 16,
            MultiGzDecoder::new(reader),
        ))
    } else {
        Box::new(reader)
    })
}

/// Reads one line without its end; of a line over the limit only the first bytes are kept, so
/// that its length tells. `false` at the end of the file.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = (ROW_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&chunk[..taken.min(room)]);
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(true);
        }
    }
}

fn read_text(path: &Path) -> io::Result<Result<String, String>> {
    let mut bytes = Vec::new();
    open_plain(path)?
        .take(ROW_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(decoded(bytes))
}

fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > ROW_BYTES_MAX {
        return Err(too_long(bytes.len()));
    }
    String::from_utf8(bytes)
        .map_err(|fault| {
            format!(
                "the text is not UTF-8 at byte {}; convert the file to UTF-8",
                fault.utf8_error().valid_up_to()
            )
        })
        .and_then(checked_text)
}

fn checked_text(text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the text is empty; an empty text is never put to a model".to_owned());
    }
    Ok(text)
}

fn too_long(bytes: usize) -> String {
    format!("the text has {bytes} bytes or more; the most is {ROW_BYTES_MAX}; split it")
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn fields() -> Fields {
        Fields {
            text: "text".into(),
            id: "id".into(),
            gold: "gold".into(),
        }
    }

    fn rows_of(name: &str, bytes: &[u8]) -> Vec<Row> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        collect(&Input::open(&[path], fields(), 0..u64::MAX).unwrap())
    }

    fn collect(input: &Input) -> Vec<Row> {
        let mut rows = Vec::new();
        input
            .for_each(|row| {
                rows.push(row);
                true
            })
            .unwrap();
        rows
    }

    #[test]
    fn every_line_of_jsonl_is_a_row_also_a_broken_one() {
        let rows = rows_of(
            "in.jsonl",
            b"{\"id\":\"a\",\"text\":\"one\",\"gold\":3}\n\nnot json\n{\"text\":\"  \"}\n{\"id\":7}\n{\"text\":\"last\"}",
        );
        let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids[0], "a");
        assert!(ids[1].ends_with("in.jsonl:2"));
        assert_eq!(ids[3], "7");
        assert_eq!(rows[0].gold.as_deref(), Some("3"));
        let reason = |row: &Row| row.text.clone().unwrap_err();
        assert!(reason(&rows[1]).contains("no JSON object"));
        assert!(reason(&rows[2]).contains("empty"));
        assert!(reason(&rows[3]).contains("no field `text`"));
        assert_eq!(rows[4].text.as_deref(), Ok("last"));
    }

    #[test]
    fn gzip_is_known_by_its_bytes() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer
            .write_all(b"id,text\n1,\"a, b\"\n2,\xff\n3\n")
            .unwrap();
        let rows = rows_of("in.csv", &packer.finish().unwrap());
        assert_eq!(rows[0].text.as_deref(), Ok("a, b"));
        assert!(
            rows[1]
                .text
                .as_ref()
                .unwrap_err()
                .contains("not UTF-8 at byte 0")
        );
        assert!(
            rows[2]
                .text
                .as_ref()
                .unwrap_err()
                .contains("1 of 2 columns")
        );
    }

    #[test]
    fn a_folder_gives_its_text_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, text) in [("b/two.txt", "two"), ("a.md", "one"), ("c.png", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let input = Input::open(&[folder.path().to_owned()], fields(), 0..u64::MAX).unwrap();
        let texts: Vec<_> = collect(&input)
            .into_iter()
            .map(|row| row.text.unwrap())
            .collect();
        assert_eq!(texts, ["one", "two"]);
    }

    #[test]
    fn a_range_keeps_the_places_in_the_whole_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        std::fs::write(&path, "{\"text\":\"a\"}\n".repeat(10)).unwrap();
        let input = Input::open(&[path.clone(), path], fields(), 8..12).unwrap();
        let ordinals: Vec<_> = collect(&input).iter().map(|row| row.ordinal).collect();
        assert_eq!(ordinals, [8, 9, 10, 11]);
        assert_eq!(input.survey().unwrap().rows, 4);
    }

    #[test]
    fn a_torn_gzip_file_and_an_unknown_name_are_errors_that_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer
            .write_all("{\"text\":\"abc\"}\n".repeat(5000).as_bytes())
            .unwrap();
        let whole = packer.finish().unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let input = Input::open(std::slice::from_ref(&path), fields(), 0..u64::MAX).unwrap();
        assert!(
            input
                .survey()
                .unwrap_err()
                .to_string()
                .contains("in.jsonl.gz")
        );

        let odd = folder.path().join("in.xlsx");
        std::fs::write(&odd, "x").unwrap();
        let error = Input::open(&[odd], fields(), 0..u64::MAX).unwrap_err();
        assert!(error.to_string().contains("unknown kind of input"));
    }
}
