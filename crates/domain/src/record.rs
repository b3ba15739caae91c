//! Documents and labelled records.

use std::fmt;

/// A text to be worked on. Its `Debug` shows the length only, so that it can't reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What its owner calls it.
    pub id: String,
    /// The text.
    pub text: String,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {} bytes)", self.id, self.text.len())
    }
}

/// A document with the answer known to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The document.
    pub document: Document,
    /// The right answer.
    pub gold: String,
}
