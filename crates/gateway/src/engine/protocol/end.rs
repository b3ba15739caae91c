//! What comes of a request.

use llama::FinishReason;

use crate::engine::codec::{Decoder, Encoder, Malformed};

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Scored {
        log_probabilities: Vec<f64>,
        usage: Usage,
    },
    Written(Written),
    /// A vector of length 1.
    Embedded {
        vector: Vec<f32>,
        usage: Usage,
    },
    /// The tokens of a conversation.
    Counted(u64),
    Reported(Load),
    Failed {
        fault: FaultKind,
        message: String,
    },
    /// The queue is full; how long a request would wait, as far as one can say.
    Busy {
        wait_ms: u64,
    },
}

/// A message that was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// Of each token chosen, the one that ends it included.
    pub(crate) log_probabilities: Vec<f64>,
    /// The text's, where they were wanted.
    pub(crate) tokens: Vec<Token>,
    pub(crate) finish: FinishReason,
    pub(crate) usage: Usage,
}

/// A piece of a message that is being written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Of the tokens chosen since the piece before; some of them may be of text to come.
    pub(crate) log_probabilities: Vec<f64>,
    /// Its tokens, where they were wanted.
    pub(crate) tokens: Vec<Token>,
}

/// A token that was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) written: Choice,
    /// The most probable ones at its place.
    pub(crate) top: Vec<Choice>,
}

/// A token and the natural logarithm of its probability.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) bytes: Vec<u8>,
    pub(crate) log_probability: f64,
}

/// Tokens of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
}

/// Which side a failure lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Request,
    Engine,
}

/// What an engine is doing, and has done since its process began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    /// Requests that wait.
    pub(crate) waiting: u64,
    /// Requests that take part in steps.
    pub(crate) running: u64,
    /// Memory of keys and values, now and at most.
    pub(crate) kv_bytes: u64,
    pub(crate) kv_bytes_max: u64,
    /// Memory of what is kept of prompts for those that begin alike.
    pub(crate) prefix_bytes: u64,
    pub(crate) steps: u64,
    pub(crate) computed_tokens: u64,
    /// Tokens of answered prompts that were there already.
    pub(crate) cached_tokens: u64,
    /// Times that a request gave up its memory to another.
    pub(crate) preempted: u64,
    /// Of the last steps above all.
    pub(crate) tokens_per_second: f64,
}

impl End {
    pub(super) fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Scored {
                log_probabilities,
                usage,
            } => {
                to.byte(0);
                to.list(log_probabilities, |to, x| to.float(*x));
                usage.encode(to);
            }
            Self::Written(written) => {
                to.byte(1);
                written.encode(to);
            }
            Self::Embedded { vector, usage } => {
                to.byte(2);
                to.list(vector, |to, x| to.float((*x).into()));
                usage.encode(to);
            }
            Self::Counted(tokens) => {
                to.byte(3);
                to.number(*tokens);
            }
            Self::Reported(load) => {
                to.byte(4);
                load.encode(to);
            }
            Self::Failed { fault, message } => {
                to.byte(5);
                to.byte((*fault == FaultKind::Request).into());
                to.text(message);
            }
            Self::Busy { wait_ms } => {
                to.byte(6);
                to.number(*wait_ms);
            }
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(match from.byte()? {
            0 => Self::Scored {
                log_probabilities: from.list(8, Decoder::float)?,
                usage: Usage::decode(from)?,
            },
            1 => Self::Written(Written::decode(from)?),
            2 => Self::Embedded {
                vector: from.list(8, |from| Ok(from.float()? as f32))?,
                usage: Usage::decode(from)?,
            },
            3 => Self::Counted(from.number()?),
            4 => Self::Reported(Load::decode(from)?),
            5 => Self::Failed {
                fault: if from.flag()? {
                    FaultKind::Request
                } else {
                    FaultKind::Engine
                },
                message: from.text()?,
            },
            6 => Self::Busy {
                wait_ms: from.number()?,
            },
            _ => return Err(Malformed),
        })
    }
}

impl Written {
    fn encode(&self, to: &mut Encoder) {
        to.text(&self.text);
        to.list(&self.log_probabilities, |to, x| to.float(*x));
        to.list(&self.tokens, |to, token| token.encode(to));
        to.byte(match self.finish {
            FinishReason::Length => 0,
            FinishReason::StopText => 1,
            _ => 2,
        });
        self.usage.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            text: from.text()?,
            log_probabilities: from.list(8, Decoder::float)?,
            tokens: from.list(24, Token::decode)?,
            finish: match from.byte()? {
                0 => FinishReason::Length,
                1 => FinishReason::StopText,
                2 => FinishReason::EndOfAnswer,
                _ => return Err(Malformed),
            },
            usage: Usage::decode(from)?,
        })
    }
}

impl Piece {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.text(&self.text);
        to.list(&self.log_probabilities, |to, x| to.float(*x));
        to.list(&self.tokens, |to, token| token.encode(to));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            text: from.text()?,
            log_probabilities: from.list(8, Decoder::float)?,
            tokens: from.list(24, Token::decode)?,
        })
    }
}

impl Token {
    fn encode(&self, to: &mut Encoder) {
        self.written.encode(to);
        to.list(&self.top, |to, choice| choice.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            written: Choice::decode(from)?,
            top: from.list(16, Choice::decode)?,
        })
    }
}

impl Choice {
    fn encode(&self, to: &mut Encoder) {
        to.bytes(&self.bytes);
        to.float(self.log_probability);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            bytes: from.bytes()?.to_vec(),
            log_probability: from.float()?,
        })
    }
}

impl Usage {
    fn encode(self, to: &mut Encoder) {
        to.number(self.prompt);
        to.number(self.cached);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            prompt: from.number()?,
            cached: from.number()?,
        })
    }
}

impl Load {
    fn encode(&self, to: &mut Encoder) {
        for number in [
            self.waiting,
            self.running,
            self.kv_bytes,
            self.kv_bytes_max,
            self.prefix_bytes,
            self.steps,
            self.computed_tokens,
            self.cached_tokens,
            self.preempted,
        ] {
            to.number(number);
        }
        to.float(self.tokens_per_second);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            waiting: from.number()?,
            running: from.number()?,
            kv_bytes: from.number()?,
            kv_bytes_max: from.number()?,
            prefix_bytes: from.number()?,
            steps: from.number()?,
            computed_tokens: from.number()?,
            cached_tokens: from.number()?,
            preempted: from.number()?,
            tokens_per_second: from.float()?,
        })
    }
}
