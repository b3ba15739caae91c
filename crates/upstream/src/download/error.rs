//! What goes wrong with a download.

use std::fmt;
use std::time::Duration;

use crate::error::Unreached;

/// Why a file did not come, or no more of it. No message holds more of an address than its host,
/// because addresses that servers send on to have keys in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// The token can't be sent.
    #[error("the token has a character that no token has, often a space or line break at its end")]
    Token,
    /// No connection came about.
    #[error("{host} can't be reached: {cause}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why not.
        cause: Unreached,
    },
    /// The server refuses, or is too busy.
    #[error("{host} answered with status {status}")]
    Status {
        /// The server.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// A redirect that is not followed.
    #[error("{host} sends on to another address, {fault}")]
    Redirect {
        /// The server.
        host: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The file is another than the one of which a part was fetched before.
    #[error("the file at {host} has changed since a part of it was fetched")]
    Changed {
        /// The server.
        host: String,
    },
    /// The answer contradicts itself or the question.
    #[error("the answer of {host} is wrong: {fault}")]
    Wrong {
        /// The server.
        host: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The file stopped coming before its end.
    #[error("{host} {cause}")]
    Broken {
        /// The server.
        host: String,
        /// How.
        cause: Stop,
    },
}

/// How a file stopped coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The connection ended.
    Cut,
    /// Nothing came for this long.
    Stalled(Duration),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("cut the connection before the file's end"),
            Self::Stalled(limit) => write!(f, "sent nothing for {limit:?}"),
        }
    }
}

impl DownloadError {
    /// Whether the same may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Token | Self::Redirect { .. } | Self::Changed { .. } | Self::Wrong { .. } => {
                false
            }
        }
    }

    /// The status that the server refused with.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}
