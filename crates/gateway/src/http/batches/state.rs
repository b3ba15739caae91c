//! A batch: what it is, and how far.

use ledger::{Kept, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::error::HttpError;
use crate::http::server::now_s;

/// Whose protocol a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
}

/// How far a batch is, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Validating,
    Failed,
    InProgress,
    Finalizing,
    Completed,
    Expired,
    Cancelling,
    Cancelled,
}

impl Status {
    /// Whether nothing more happens.
    pub(super) fn has_ended(self) -> bool {
        use Status::{Cancelled, Completed, Expired, Failed};
        matches!(self, Failed | Completed | Expired | Cancelled)
    }
}

/// What is wrong with a line, or with the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineFault {
    pub(super) code: String,
    pub(super) message: String,
    /// From 1.
    pub(super) line: Option<u64>,
}

impl LineFault {
    /// The file of the lines is gone.
    pub(super) fn missing_file() -> Self {
        Self {
            code: "missing_file".to_owned(),
            message: "the file of the lines is gone; give it again".to_owned(),
            line: None,
        }
    }
}

/// How many lines came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) expired: u64,
}

/// When a batch came to what, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moments {
    pub(super) created: u64,
    /// When what is not done by then is given up.
    pub(super) deadline: u64,
    pub(super) in_progress: Option<u64>,
    pub(super) cancelling: Option<u64>,
    pub(super) finalizing: Option<u64>,
    pub(super) ended: Option<u64>,
}

/// A batch. It is kept as JSON text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) dialect: Dialect,
    /// The path of the surface that each line is for.
    pub(super) endpoint: String,
    /// The file of its lines.
    pub(super) input: String,
    /// What the client noted with it.
    pub(super) metadata: Value,
    pub(super) status: Status,
    pub(super) moments: Moments,
    pub(super) counts: Counts,
    /// The file of answers, and that of failures.
    pub(super) output: Option<String>,
    pub(super) errors: Option<String>,
    pub(super) faults: Vec<LineFault>,
    /// Whether the job behind it is gone from the ledger.
    pub(super) is_cleared: bool,
}

/// How long a batch has, in seconds: OpenAI's one window.
const WINDOW_S: u64 = 24 * 60 * 60;

impl Batch {
    /// A batch that begins now, with the lines of a file for a surface.
    pub(super) fn new(
        owner: &str,
        (id, dialect): (String, Dialect),
        (endpoint, input): (&str, String),
        metadata: Value,
    ) -> Self {
        let created = now_s();
        Self {
            id,
            owner: owner.to_owned(),
            dialect,
            endpoint: endpoint.to_owned(),
            input,
            metadata,
            status: Status::Validating,
            moments: Moments {
                created,
                deadline: created + WINDOW_S,
                ..Moments::default()
            },
            counts: Counts::default(),
            output: None,
            errors: None,
            faults: Vec::new(),
            is_cleared: false,
        }
    }

    /// The batch that is kept here.
    ///
    /// # Errors
    /// When it is none, which is our own fault.
    pub(super) fn read(kept: &Kept) -> Result<Self, HttpError> {
        serde_json::from_str(&kept.body).map_err(|_no_batch| HttpError::internal())
    }

    /// The batch as it is kept until `expires_at`; one that has not ended is kept until it has.
    pub(super) fn kept(&self, expires_at: Timestamp) -> Kept {
        let body = serde_json::to_string(self)
            .unwrap_or_else(|_| unreachable!("texts and numbers always encode"));
        let forever = Timestamp::from_unix_ms(i64::MAX);
        let created = i64::try_from(self.moments.created).unwrap_or(i64::MAX);
        Kept {
            id: self.id.clone(),
            owner: self.owner.clone(),
            at: Timestamp::from_unix_ms(created.saturating_mul(1_000)),
            expires_at: if self.status.has_ended() {
                expires_at
            } else {
                forever
            },
            size_bytes: body.len() as u64,
            body,
        }
    }

    /// The name of the job behind it.
    pub(super) fn job(&self) -> String {
        format!("batch:{}", self.id)
    }
}
