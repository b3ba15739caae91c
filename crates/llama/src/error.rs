//! What can go wrong: with a model file ([`ModelError`]), and with a request ([`RequestError`]).

use std::fmt;

/// A model file that cannot be used. Every message names the file, the place in it and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be read.
    #[error("{model}: {source}; give the path of a readable GGUF file")]
    Io {
        /// The file, or the name given with the bytes.
        model: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file contradicts the GGUF format or itself: it is damaged or was cut off.
    #[error("{model}: {place}: {fault}")]
    Malformed {
        /// The file, or the name given with the bytes.
        model: String,
        /// Where in the file.
        place: Place,
        /// What is wrong there, and what would be right.
        fault: String,
    },
    /// The file is sound, but needs something that this engine does not do.
    #[error("{model}: {place}: {fault}")]
    Unsupported {
        /// The file, or the name given with the bytes.
        model: String,
        /// Where in the file.
        place: Place,
        /// What is needed, and what is supported.
        fault: String,
    },
    /// The machine, or the limit given, has too little memory. Nothing was loaded.
    #[error(
        "{model}: it needs {} of memory ({} for its weights, {} for each 1,000 tokens of a \
         conversation) and {} are available; take a smaller model or quantisation, or close other \
         programs",
        gigabytes(need.total_bytes()), gigabytes(need.weights_bytes),
        gigabytes(need.position_bytes * 1000), gigabytes(*available_bytes)
    )]
    Memory {
        /// The file, or the name given with the bytes.
        model: String,
        /// What the model needs.
        need: MemoryNeed,
        /// What there is.
        available_bytes: u64,
    },
}

/// The memory that a model needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryNeed {
    /// The weights, as they lie in memory.
    pub weights_bytes: u64,
    /// The keys and values of one token of a conversation.
    pub position_bytes: u64,
    /// What computing takes beside.
    pub scratch_bytes: u64,
    /// Tokens that [`MemoryNeed::total_bytes`] counts: a conversation of middling length.
    pub positions: u64,
}

impl MemoryNeed {
    /// What must be there for the model to be of use: weights, one conversation, and what
    /// computing takes.
    pub fn total_bytes(&self) -> u64 {
        let conversation = self.position_bytes.saturating_mul(self.positions);
        self.weights_bytes
            .saturating_add(conversation)
            .saturating_add(self.scratch_bytes)
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// A place in a GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// An offset from the start of the file.
    Byte(u64),
    /// A metadata key.
    Key(String),
    /// A tensor, by name.
    Tensor(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Key(key) => write!(f, "key {}", quoted(key)),
            Self::Tensor(name) => write!(f, "tensor {}", quoted(name)),
        }
    }
}

/// A name from a file as it may stand in a message: escaped, and cut where it is long.
pub(crate) fn quoted(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}

/// What is wrong with a model file, before the file's name is known.
#[derive(Debug)]
pub(crate) struct Fault {
    place: Place,
    message: String,
    unsupported: bool,
    /// The bytes ended too early.
    pub(crate) cut_off: bool,
}

pub(crate) type Parsed<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn malformed(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            unsupported: false,
            cut_off: false,
        }
    }

    pub(crate) fn unsupported(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            unsupported: true,
            cut_off: false,
        }
    }

    /// The same fault, because the bytes ended too early.
    pub(crate) fn cut_off(self) -> Self {
        Self {
            cut_off: true,
            ..self
        }
    }

    /// The same fault, said of the file `model`.
    pub(crate) fn in_model(self, model: &str) -> ModelError {
        let (model, place, fault) = (model.to_owned(), self.place, self.message);
        if self.unsupported {
            ModelError::Unsupported {
                model,
                place,
                fault,
            }
        } else {
            ModelError::Malformed {
                model,
                place,
                fault,
            }
        }
    }
}

/// A request that the engine cannot answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// More tokens than the model's context holds. Nothing was truncated and nothing was read.
    #[error(
        "the prompt needs {needed_tokens} tokens but {model} has a context of {context_tokens}; \
         shorten the prompt"
    )]
    ContextExceeded {
        /// The model's name.
        model: String,
        /// Tokens that were asked for, those already read included.
        needed_tokens: usize,
        /// Tokens that the model's context holds.
        context_tokens: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {model}, which has {vocabulary} tokens")]
    UnknownToken {
        /// The model's name.
        model: String,
        /// The token.
        token: u32,
        /// Tokens in the vocabulary.
        vocabulary: usize,
    },
    /// There is no last token whose successor could be predicted.
    #[error("nothing to predict from: read at least one token first")]
    EmptyPrompt,
    /// The labels cannot be told apart or scored.
    #[error("labels: {0}")]
    Labels(String),
    /// The model was not made to fill gaps.
    #[error(
        "suffix: {model} has no fill-in-the-middle tokens; leave the suffix out, or take a model \
         that was made to fill gaps, such as one for code"
    )]
    NoGapTokens {
        /// The model's name.
        model: String,
    },
    /// The file has no chat template.
    #[error("{model}: the file has no tokenizer.chat_template; give the prompt as plain text")]
    NoChatTemplate {
        /// The model's name.
        model: String,
    },
    /// The file's chat template refused the messages or is itself faulty.
    #[error("{model}: chat template: {message}")]
    ChatTemplate {
        /// The model's name.
        model: String,
        /// What the template engine said, without the messages' text.
        message: String,
    },
    /// The grammar that a text must follow is wrong, or takes more than the parser's limits.
    #[error("{model}: grammar: {message}")]
    Grammar {
        /// The model's name.
        model: String,
        /// What the parser said, without the text.
        message: String,
    },
    /// More keys and values than an engine's memory holds.
    #[error(
        "{model}: the request may need {} for its keys and values and the engine has {}; shorten \
         the prompt or give the engine more memory",
        gigabytes(*needed_bytes), gigabytes(*kv_bytes)
    )]
    MemoryExceeded {
        /// The model's name.
        model: String,
        /// What the request may need.
        needed_bytes: u64,
        /// What there is.
        kv_bytes: u64,
    },
    /// The computation broke off by a fault of the engine's.
    #[error("the engine broke on a step that this request took part in; please report it")]
    Broken,
    /// The caller's [`crate::Cancel`] was set, or the engine was closed.
    #[error("cancelled")]
    Cancelled,
}
