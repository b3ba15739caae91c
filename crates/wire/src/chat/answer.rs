//! What the answers of all protocols have in common.

use domain::Protocol;

use super::error::VendorError;

/// What an answer to our clients says of itself, the same in each event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The answer's name.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
    /// Who answered.
    pub model: String,
}

/// Why a vendor's answer can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not of the protocol's form.
    #[error("the answer is no {what} of the {protocol} protocol (line {line}, column {column})")]
    NotTheProtocol {
        /// The protocol.
        protocol: Protocol,
        /// What it should have been.
        what: &'static str,
        /// The line of the first wrong byte.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// It has no choice.
    #[error("the answer has an empty list of choices")]
    NoChoice,
    /// It ends for a reason that is not known, or for none.
    #[error("the answer has no finish reason that is known")]
    UnknownFinish,
    /// The stream began a second answer within the first.
    #[error("the stream began a second answer before the first had ended")]
    Restarted,
    /// The stream ended before the answer did.
    #[error("the stream ended before the answer did")]
    Unfinished,
    /// The vendor reports an error within the answer.
    #[error("the vendor reported an error within the answer")]
    Vendor(VendorError),
}

/// The parser's own message may quote the answer, so only the place is kept.
pub(crate) fn not_the_protocol(
    protocol: Protocol,
    what: &'static str,
    error: &serde_json::Error,
) -> DecodeError {
    DecodeError::NotTheProtocol {
        protocol,
        what,
        line: error.line(),
        column: error.column(),
    }
}
