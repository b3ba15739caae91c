//! Records to evaluate on: what was asked, the right answer, and what models made of it.
//!
//! One JSON object on each line, plain or gzip. `id` is required (a text or a number). `text` is
//! what was asked, `gold` the right answer (a text or a number), `subject` a topic, and `models`
//! maps a model's name to what it answered: `answer`, `correct`, `confidence` (any number; a
//! higher one is surer), `logits` of the labels, `cost_usd`. Other keys are passed over, null is
//! absent.

mod line;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use self::line::parse;
use crate::batch::input::open_plain;

/// Longest line, in bytes: a longer one is no record but a broken file.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// One line.
#[derive(Debug)]
pub(crate) struct EvalRecord {
    /// Its name; no two records of a file have the same.
    pub(crate) id: String,
    /// Where it stands, for messages: file and line.
    pub(crate) place: String,
    /// What was asked.
    pub(crate) text: Option<String>,
    /// The right answer.
    pub(crate) gold: Option<String>,
    /// The topic.
    pub(crate) subject: Option<String>,
    /// What each model made of it.
    pub(crate) models: BTreeMap<String, ModelAnswer>,
}

/// What a model made of a record.
#[derive(Debug, Default)]
pub(crate) struct ModelAnswer {
    /// Its answer.
    pub(crate) answer: Option<String>,
    /// Whether the source says it was right.
    pub(crate) correct: Option<bool>,
    /// How sure it was; on any scale.
    pub(crate) confidence: Option<f64>,
    /// A score for each label, before softmax.
    pub(crate) logits: Option<Vec<f64>>,
    /// What the call cost, in US dollars.
    pub(crate) cost_usd: Option<f64>,
}

/// The records of a file, at least one, in its order.
///
/// # Errors
/// When the file can't be read, is empty, or a line is no record; the message says which line and
/// what to do.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<EvalRecord>> {
    let file = path.display();
    let mut lines = open_plain(path).with_context(|| format!("{file}: can't be read"))?;
    let (mut records, mut ids) = (Vec::new(), HashSet::new());
    for number in 1.. {
        let place = format!("{file}:{number}");
        let Some(line) = next_line(lines.as_mut()).with_context(|| {
            format!("{place}: can't be read; is the file cut off? fetch or write it again")
        })?
        else {
            break;
        };
        if line.trim().is_empty() {
            continue;
        }
        let record = parse(&line, &place)?;
        if !ids.insert(record.id.clone()) {
            bail!(
                "{place}: id `{}` stood on an earlier line; each record needs its own",
                record.id
            );
        }
        records.push(record);
    }
    if records.is_empty() {
        bail!("{file}: holds no record; give a file with one JSON object on each line");
    }
    Ok(records)
}

/// The records that have what is needed of each, and how many are left out because they have not.
///
/// # Errors
/// When none has it: then what the first one lacks.
pub(crate) fn with<T>(
    records: Vec<EvalRecord>,
    needed: impl Fn(&EvalRecord) -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<EvalRecord>, usize)> {
    let all = records.len();
    let (mut kept, mut lacking) = (Vec::with_capacity(all), None);
    for record in records {
        match needed(&record) {
            Ok(_) => kept.push(record),
            Err(fault) => lacking = lacking.or(Some(fault)),
        }
    }
    match lacking {
        Some(fault) if kept.is_empty() => Err(fault),
        _ => {
            let left_out = all - kept.len();
            Ok((kept, left_out))
        }
    }
}

fn next_line(lines: &mut dyn BufRead) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    lines.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if line.len() as u64 == LINE_BYTES_MAX {
        bail!("the line is longer than {LINE_BYTES_MAX} bytes");
    }
    Ok((!line.is_empty()).then_some(line))
}

impl EvalRecord {
    /// The text.
    ///
    /// # Errors
    /// When the record has none.
    pub(crate) fn text(&self) -> anyhow::Result<&str> {
        let Some(text) = &self.text else {
            bail!(
                "{}: no `text`; a student reads texts, so give records that have them",
                self.place
            );
        };
        Ok(text)
    }

    /// The right answer.
    ///
    /// # Errors
    /// When the record has none.
    pub(crate) fn gold(&self) -> anyhow::Result<&str> {
        let Some(gold) = &self.gold else {
            bail!(
                "{}: no `gold`; give records whose right answer is known",
                self.place
            );
        };
        Ok(gold)
    }

    /// What this model made of it.
    ///
    /// # Errors
    /// When it has no such model.
    pub(crate) fn model(&self, name: &str) -> anyhow::Result<&ModelAnswer> {
        let Some(model) = self.models.get(name) else {
            let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
            bail!(
                "{}: no model `{name}`; it has {}",
                self.place,
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            );
        };
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("it can be written");
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory can be written");
        encoder.finish().expect("memory can be written")
    }

    const GOOD: &str = r#"{"id": "a", "text": "gold falls", "gold": "down", "other": [1]}
{"id": "b", "text": null, "gold": 3, "models": {"m": {"answer": 3, "correct": true, "confidence": -0.5}}}
"#;

    #[test]
    fn plain_and_gzip_read_the_same() {
        for bytes in [GOOD.as_bytes().to_vec(), gzip(GOOD.as_bytes())] {
            let records = read(file(&bytes).path()).unwrap();
            assert_eq!(records.len(), 2);
            assert_eq!(records[0].text().unwrap(), "gold falls");
            assert_eq!(records[1].gold().unwrap(), "3");
            assert_eq!(records[1].model("m").unwrap().answer.as_deref(), Some("3"));
            assert_eq!(records[1].model("m").unwrap().confidence, Some(-0.5));
            assert!(
                records[1]
                    .text()
                    .unwrap_err()
                    .to_string()
                    .contains(":2: no `text`")
            );
            assert!(
                records[1]
                    .model("x")
                    .unwrap_err()
                    .to_string()
                    .ends_with("it has m")
            );
        }
    }

    #[test]
    fn what_other_programs_write_is_read() {
        let line = "\u{feff}{\"id\": 7, \"models\": {\"a\": {\"correct\": 1}, \"b\": {\"correct\": 0}, \"c\": {\"correct\": null}}}\r\n\r\n";
        let records = read(file(line.as_bytes()).path()).unwrap();
        assert_eq!(records[0].id, "7");
        let correct = |name: &str| records[0].model(name).unwrap().correct;
        assert_eq!(
            [correct("a"), correct("b"), correct("c")],
            [Some(true), Some(false), None]
        );
    }

    #[test]
    fn records_without_what_is_needed_are_left_out_unless_all_are() {
        let records = || read(file(GOOD.as_bytes()).path()).unwrap();
        let (kept, left_out) = with(records(), |it| it.text().map(str::len)).unwrap();
        assert_eq!((kept[0].id.as_str(), kept.len(), left_out), ("a", 1, 1));
        let none = with(records(), |it| it.model("x").map(|_| ())).unwrap_err();
        assert!(none.to_string().contains(":1: no model `x`"), "{none}");
    }

    #[test]
    fn a_fault_says_where_it_is_and_what_to_do() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "holds no record"),
            (b"{\"id\": \"a\"}\n{\"id\": \n", ":2: "),
            (
                b"{\"id\": \"a\", \"gold\": [1]}\n",
                ":1: gold: an answer is a text",
            ),
            (
                b"{\"id\": \"a\"}\n\n{\"id\": \"a\"}\n",
                ":3: id `a` stood on an earlier line",
            ),
            (
                b"{\"id\": \"a\"} {\"id\": \"b\"}\n",
                ":1: text after the record",
            ),
            (
                b"{\"id\": \"a\", \"models\": {\"m\": {\"correct\": 7}}}\n",
                ":1: models.m.correct",
            ),
        ];
        for (bytes, said) in cases {
            let fault = format!("{:#}", read(file(bytes).path()).unwrap_err());
            assert!(fault.contains(said), "{fault} has no {said}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_absent_but_a_text_stays_as_it_is() {
        let line = r#"{"id": "a", "text": "NaN \" Infinity \\", "models": {"m": {"confidence": -Infinity}, "n": {"confidence": NaN}}}"#;
        let records = read(file(line.as_bytes()).path()).unwrap();
        assert_eq!(
            records[0].text().unwrap(),
            r#"NaN " Infinity \"#.replace(r"\\", r"\")
        );
        assert_eq!(records[0].model("m").unwrap().confidence, None);
        assert_eq!(records[0].model("n").unwrap().confidence, None);
    }

    #[test]
    fn a_file_that_is_cut_off_or_not_there_is_an_error() {
        let whole = gzip(GOOD.as_bytes());
        let fault = read(file(&whole[..whole.len() - 12]).path()).unwrap_err();
        assert!(format!("{fault:#}").contains("cut off"), "{fault:#}");
        assert!(read(Path::new("/nowhere/records.jsonl")).is_err());
    }
}
