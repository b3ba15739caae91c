//! What came of a batch's lines, as its client reads it.

use std::io;

use domain::{Completion, TierName};
use ledger::{ItemStatus, JobId, LedgerError, Reader, RequestId, StoredItem};
use serde_json::Value;
use wire::chat::Form;
use wire::embedding::Encoding;
use wire::openai::embeddings::encode_embeddings;

use super::lines::Lines;
use super::state::{Counts, Dialect};
use crate::answer::{Answered, End};
use crate::http::chat::{head, refusal};
use crate::http::error::HttpError;
use crate::http::file_folder::{FileFolder, NewFile};

/// How the result of one line is written.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) dialect: Dialect,
    pub(super) custom_id: String,
    pub(super) request: RequestId,
}

impl Writer {
    /// The result of a line that was put to the tiers.
    pub(super) fn answered(&self, form: &Form, answered: &Answered) -> String {
        self.accepted(answered, |tier, completion| {
            let head = head(form, &self.request, tier.as_str());
            Some(form.encode_completion(&head, completion))
        })
    }

    /// The result of a line that asked for vectors.
    pub(super) fn embedded(&self, encoding: Encoding, answered: &Answered) -> String {
        self.accepted(answered, |tier, _| {
            let vectors = answered.vectors.as_ref()?;
            let model = format!("tier:{tier}");
            Some(encode_embeddings(&model, vectors, encoding))
        })
    }

    fn accepted(
        &self,
        answered: &Answered,
        body: impl FnOnce(&TierName, &Completion) -> Option<String>,
    ) -> String {
        if let Some(error) = refusal(&answered.end, &self.request) {
            return self.refused(&error);
        }
        let body = match &answered.end {
            End::Accepted { tier, completion } => body(tier, completion),
            End::Review { .. } | End::Failed { .. } => None,
        };
        match body {
            Some(body) => self.line(200, &body),
            None => self.refused(&HttpError::internal()),
        }
    }

    /// The result of a line that was refused.
    pub(super) fn refused(&self, error: &HttpError) -> String {
        let (body, status) = error.told();
        let protocol = match self.dialect {
            Dialect::OpenAi => domain::Protocol::OpenAiChat,
            Dialect::Anthropic => domain::Protocol::Anthropic,
        };
        self.line(status, &body.encode_as(protocol, status, &self.request.0))
    }

    fn line(&self, status: u16, body: &str) -> String {
        let custom_id = Value::from(self.custom_id.as_str());
        let request = &self.request;
        match self.dialect {
            Dialect::OpenAi => format!(
                "{{\"id\":\"batch_req_{request}\",\"custom_id\":{custom_id},\"response\":\
                 {{\"status_code\":{status},\"request_id\":\"{request}\",\"body\":{body}}},\
                 \"error\":null}}"
            ),
            Dialect::Anthropic if status == 200 => format!(
                "{{\"custom_id\":{custom_id},\"result\":{{\"type\":\"succeeded\",\
                 \"message\":{body}}}}}"
            ),
            Dialect::Anthropic => format!(
                "{{\"custom_id\":{custom_id},\"result\":{{\"type\":\"errored\",\
                 \"error\":{body}}}}}"
            ),
        }
    }
}

/// Why lines have no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Cancelled,
    Expired,
}

impl Missing {
    fn line(self, dialect: Dialect, (custom_id, ordinal): (&str, u64)) -> String {
        let custom_id = Value::from(custom_id);
        let (kind, code, message) = match self {
            Self::Cancelled => (
                "canceled",
                "batch_cancelled",
                "the batch was cancelled before this request",
            ),
            Self::Expired => (
                "expired",
                "batch_expired",
                "this request could not be worked on before the completion window was over",
            ),
        };
        match dialect {
            Dialect::OpenAi => format!(
                "{{\"id\":\"batch_req_{ordinal}\",\"custom_id\":{custom_id},\"response\":null,\
                 \"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}"
            ),
            Dialect::Anthropic => {
                format!("{{\"custom_id\":{custom_id},\"result\":{{\"type\":\"{kind}\"}}}}")
            }
        }
    }
}

/// A file of results: its name and its bytes.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) id: String,
    pub(super) bytes: u64,
}

/// What was written of a batch.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) counts: Counts,
    /// The answers; in Anthropic's form all results.
    pub(super) output: Option<Written>,
    /// The failures.
    pub(super) errors: Option<Written>,
}

/// A job's results beside the lines that they are of, to be written into a folder.
#[derive(Debug)]
pub(super) struct Files<'b> {
    pub(super) folder: &'b FileFolder,
    /// The names that the files get.
    pub(super) output: &'b str,
    pub(super) errors: &'b str,
    pub(super) missing: Missing,
}

impl Files<'_> {
    /// Writes a result for each line, in the order of the lines. A file that has nothing in it is
    /// not made. Blocks.
    ///
    /// # Errors
    /// When the ledger, the lines or the disk refuse.
    pub(super) fn write(
        &self,
        (reader, job): (&Reader, JobId),
        lines: &Lines,
    ) -> anyhow::Result<Results> {
        let mut stored = reader.job_results(job)?.peekable();
        let mut output = Output::new(self.folder, self.output);
        let mut errors = Output::new(self.folder, self.errors);
        let mut counts = Counts::default();
        let mut broken: Option<anyhow::Error> = None;
        lines.for_each(&mut |line| {
            let Ok(line) = line else { return true };
            let is_here = |it: &Result<StoredItem, LedgerError>| {
                it.as_ref().map_or(true, |it| it.ordinal == line.ordinal)
            };
            counts.lines += 1;
            let text = match stored.next_if(is_here) {
                Some(Ok(item)) if item.status == ItemStatus::Answered => {
                    counts.answered += 1;
                    Ok((item.result, true))
                }
                Some(Ok(item)) => {
                    counts.failed += 1;
                    Ok((item.result, false))
                }
                Some(Err(error)) => Err(error.into()),
                None => {
                    match self.missing {
                        Missing::Cancelled => counts.cancelled += 1,
                        Missing::Expired => counts.expired += 1,
                    }
                    let named = (line.custom_id.as_str(), line.ordinal);
                    Ok((self.missing.line(lines.dialect, named), false))
                }
            };
            let written = text.and_then(|(text, is_answer): (String, bool)| {
                let to = match is_answer || lines.dialect == Dialect::Anthropic {
                    true => &mut output,
                    false => &mut errors,
                };
                Ok(to.line(&text)?)
            });
            broken = written.err();
            broken.is_none()
        })?;
        match broken {
            Some(error) => Err(error),
            None => Ok(Results {
                counts,
                output: output.finish()?,
                errors: errors.finish()?,
            }),
        }
    }
}

/// A file that is made with its first line.
struct Output<'f> {
    folder: &'f FileFolder,
    id: &'f str,
    file: Option<NewFile>,
    buffer: Vec<u8>,
}

impl<'f> Output<'f> {
    fn new(folder: &'f FileFolder, id: &'f str) -> Self {
        Self {
            folder,
            id,
            file: None,
            buffer: Vec::new(),
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        const BUFFER_BYTES: usize = 64 << 10;
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
        match self.buffer.len() >= BUFFER_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.folder.create(self.id)?),
        };
        file.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Option<Written>> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        let id = self.id.to_owned();
        let file = self.file.map(NewFile::finish).transpose()?;
        Ok(file.map(|bytes| Written { id, bytes }))
    }
}
