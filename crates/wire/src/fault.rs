//! What is wrong with a request, said so that its sender can mend it.

use std::fmt;

/// What sort of fault it is; each protocol has a code of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The body is not of the protocol's form at all.
    Malformed,
    /// A field that must be there is not.
    Missing,
    /// A field has a value that it can't have.
    Invalid,
    /// The protocol allows it, and this program does not offer it.
    Unsupported,
}

/// One fault of a request. It never contains text of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The sort.
    pub kind: FaultKind,
    /// Where it is, for example `messages[2].content`; empty for the body as a whole.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What may stand there.
    pub rule: String,
    /// A right value as JSON, where one helps.
    pub example: Option<String>,
}

impl Fault {
    /// A fault without an example.
    pub(crate) fn new(
        kind: FaultKind,
        path: impl Into<String>,
        found: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            path: path.into(),
            found: found.into(),
            rule: rule.into(),
            example: None,
        }
    }

    /// The same fault with an example of a right value.
    pub(crate) fn with_example(mut self, example: impl Into<String>) -> Self {
        self.example = Some(example.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.found, self.rule)?;
        match &self.example {
            Some(example) => write!(f, ", for example {example}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
