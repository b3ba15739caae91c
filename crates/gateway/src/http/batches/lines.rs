//! The lines of a batch, as its client gave them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::state::{Dialect, LineFault};

/// Longest line in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Most faults that are told of one file.
const FAULTS_MAX: usize = 20;

/// One request of a batch.
#[derive(Debug)]
pub(super) struct Line {
    /// Its place in the file, from 0.
    pub(super) ordinal: u64,
    /// What its client calls it.
    pub(super) custom_id: String,
    /// The body of the request.
    pub(super) body: Vec<u8>,
}

/// The lines of a batch.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) path: PathBuf,
    pub(super) dialect: Dialect,
    pub(super) endpoint: String,
}

impl Lines {
    /// Most lines of a batch, as its vendor has it.
    fn most(&self) -> u64 {
        match self.dialect {
            Dialect::OpenAi => 50_000,
            Dialect::Anthropic => 100_000,
        }
    }

    /// How many there are, or what is wrong with them. Blocks.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn survey(&self) -> io::Result<Result<u64, Vec<LineFault>>> {
        let (mut known, mut faults, mut count) = (HashSet::new(), Vec::new(), 0);
        self.for_each(&mut |line| {
            count += 1;
            match line {
                Ok(line) => {
                    if !known.insert(line.custom_id) {
                        let message = "another line has the same custom_id";
                        faults.push(fault("duplicate_custom_id", message, line.ordinal));
                    }
                }
                Err(fault) => faults.push(fault),
            }
            faults.len() < FAULTS_MAX && count <= self.most()
        })?;
        if count == 0 {
            faults.push(whole("empty_file", "the file has no lines".to_owned()));
        }
        if count > self.most() {
            let message = format!("the file has more than {} lines", self.most());
            faults.push(whole("too_many_lines", message));
        }
        Ok(match faults.is_empty() {
            true => Ok(count),
            false => Err(faults),
        })
    }

    /// Hands each line on until it is told that no more are wanted; empty ones are passed over.
    /// Blocks.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn for_each(
        &self,
        take: &mut dyn FnMut(Result<Line, LineFault>) -> bool,
    ) -> io::Result<()> {
        let mut file = BufReader::new(File::open(&self.path)?);
        let mut ordinal = 0;
        loop {
            let mut text = Vec::new();
            let mut line = (&mut file).take(LINE_BYTES_MAX);
            if line.read_until(b'\n', &mut text)? == 0 {
                return Ok(());
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            let is_cut = text.len() as u64 == LINE_BYTES_MAX && !text.ends_with(b"\n");
            let read = match is_cut {
                true => Err(fault("line_too_long", "the line is too long", ordinal)),
                false => self.read(&text, ordinal),
            };
            ordinal += 1;
            if !take(read) || is_cut {
                return Ok(());
            }
        }
    }

    fn read(&self, text: &[u8], ordinal: u64) -> Result<Line, LineFault> {
        let wrong = |code: &str, message: &str| fault(code, message, ordinal);
        let line: Map<String, Value> = serde_json::from_slice(text)
            .map_err(|_| wrong("invalid_json_line", "the line is no JSON object"))?;
        let custom_id = line.get("custom_id").and_then(Value::as_str);
        let custom_id = custom_id.filter(|id| !id.is_empty());
        let custom_id = custom_id
            .ok_or_else(|| wrong("missing_required_parameter", "the line has no custom_id"))?;
        let field = match self.dialect {
            Dialect::OpenAi => {
                if line.get("method").is_none_or(|method| method != "POST") {
                    return Err(wrong("invalid_method", "the method is not POST"));
                }
                if line.get("url").is_none_or(|url| *url != *self.endpoint) {
                    let message = "the url is not the endpoint of the batch";
                    return Err(wrong("invalid_url", message));
                }
                "body"
            }
            Dialect::Anthropic => "params",
        };
        let body = line.get(field).filter(|body| body.is_object());
        let message = format!("the line has no object {field}");
        let body = body.ok_or_else(|| wrong("missing_required_parameter", &message))?;
        Ok(Line {
            ordinal,
            custom_id: custom_id.to_owned(),
            body: body.to_string().into_bytes(),
        })
    }
}

fn fault(code: &str, message: &str, ordinal: u64) -> LineFault {
    LineFault {
        code: code.to_owned(),
        message: message.to_owned(),
        line: Some(ordinal + 1),
    }
}

fn whole(code: &str, message: String) -> LineFault {
    LineFault {
        code: code.to_owned(),
        message,
        line: None,
    }
}
