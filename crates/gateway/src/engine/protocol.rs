//! What the program and its engine's worker say to each other, as frames on a socket: four bytes
//! of length, one byte of kind, and the fields in the order in which they stand here.
//!
//! ```text
//!  program  ─ Start ─►                                          worker
//!           ◄─ Ready, or Unloadable and the end
//!           ─ Ask ─►   ◄─ Text ─ Fetched ─►  ◄─ Text ..  ◄─ End
//!           ─ Withdraw ─►
//! ```
//!
//! Of a request's text the worker sends [`WINDOW`] pieces ahead of what it was told is fetched: so
//! much, and no more, can lie unread on the way. Meanwhile further text gathers to one piece.

use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use llama::{ChatMessage, FinishReason, Piece, Role, Sampling};

use super::codec::{Decoder, Encoder, Malformed};

mod sampling;

/// Changes whenever a message does. Both sides are the same program, but one of them may have been
/// replaced by a newer one while the other ran.
const VERSION: u64 = 3;

/// Pieces of text that may be on their way to a reader.
pub(super) const WINDOW: usize = 8;

/// Longest frame. A conversation may be as long as a request's body.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// What the program says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ToWorker {
    Start(Start),
    Ask(Box<Asked>),
    /// So many more pieces of the request's text were fetched.
    Fetched(u64, usize),
    /// The request's answer is not wanted any more.
    Withdraw(u64),
}

/// What a worker is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub(crate) source: Source,
    pub(crate) threads: usize,
    pub(crate) queue_max: usize,
}

/// Where the model is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// Inside the program.
    Starter,
    File(PathBuf),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) id: u64,
    /// Tenants share nothing.
    pub(crate) tenant: String,
    pub(crate) prompt: Prompt,
    pub(crate) work: Work,
}

/// What something is to be done with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prompt {
    /// A conversation, of which the next message is meant.
    Chat(Vec<ChatMessage>),
    /// A text, of which the continuation is meant; where there is a suffix, up to it.
    Text {
        text: String,
        suffix: Option<String>,
    },
}

/// What is to be done with a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// Score these labels as what follows.
    Score(Vec<String>),
    /// Write what follows.
    Write {
        max_tokens: usize,
        temperature: f64,
        seed: u64,
        stop: Vec<String>,
        /// Which tokens may be chosen.
        rules: Sampling,
        /// Whether pieces are wanted.
        streams: bool,
    },
}

/// What the worker says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FromWorker {
    Ready {
        model: String,
        quantisation: String,
        /// What the system can't keep the worker from.
        lacking: Vec<String>,
    },
    /// The model can't be loaded.
    Unloadable(String),
    /// A piece of a request's text.
    Text(u64, Piece),
    /// Nothing more comes of the request.
    End(u64, End),
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Scored {
        log_probabilities: Vec<f64>,
        usage: Usage,
    },
    Written {
        text: String,
        log_probabilities: Vec<f64>,
        finish: FinishReason,
        usage: Usage,
    },
    Failed {
        fault: FaultKind,
        message: String,
    },
    /// The queue is full; how long a request would wait, as far as one can say.
    Busy {
        wait_ms: u64,
    },
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

/// Writes a frame.
pub(super) trait Message: Sized {
    /// The message's kind and fields.
    fn encode(&self, to: &mut Encoder);

    /// The message of these bytes.
    ///
    /// # Errors
    /// When there is none.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed>;

    /// Writes the message as one frame.
    ///
    /// # Errors
    /// When it is longer than a frame may be, or the other side has gone.
    fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let mut encoder = Encoder(vec![0; 4]);
        self.encode(&mut encoder);
        let mut frame = encoder.0;
        let length = frame.len() - 4;
        if length > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        to.write_all(&frame)
    }

    /// Reads one frame; `None` where the other side has gone between two.
    ///
    /// # Errors
    /// When it breaks off or is malformed.
    fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u64::from(u32::from_le_bytes(length));
        let malformed = |_| io::Error::from(io::ErrorKind::InvalidData);
        if length > FRAME_BYTES_MAX as u64 {
            return Err(malformed(Malformed));
        }
        let mut frame = Vec::new();
        from.take(length).read_to_end(&mut frame)?;
        if frame.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut decoder = Decoder(&frame);
        let message = Self::decode(&mut decoder).map_err(malformed)?;
        decoder.end().map_err(malformed)?;
        Ok(Some(message))
    }
}

impl Message for ToWorker {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Start(start) => {
                to.byte(0);
                to.number(VERSION);
                start.encode(to);
            }
            Self::Ask(asked) => {
                to.byte(1);
                asked.encode(to);
            }
            Self::Fetched(id, pieces) => {
                to.byte(2);
                to.number(*id);
                to.number(*pieces as u64);
            }
            Self::Withdraw(id) => {
                to.byte(3);
                to.number(*id);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.byte()? {
            0 if from.number()? == VERSION => Ok(Self::Start(Start::decode(from)?)),
            1 => Ok(Self::Ask(Box::new(Asked::decode(from)?))),
            2 => Ok(Self::Fetched(from.number()?, count(from)?)),
            3 => Ok(Self::Withdraw(from.number()?)),
            _ => Err(Malformed),
        }
    }
}

impl Start {
    fn encode(&self, to: &mut Encoder) {
        match &self.source {
            Source::Starter => to.bytes(&[]),
            Source::File(path) => to.bytes(path.as_os_str().as_bytes()),
        }
        to.number(self.threads as u64);
        to.number(self.queue_max as u64);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let source = match from.bytes()? {
            [] => Source::Starter,
            path => Source::File(std::ffi::OsString::from_vec(path.to_vec()).into()),
        };
        Ok(Self {
            source,
            threads: count(from)?,
            queue_max: count(from)?,
        })
    }
}

impl Asked {
    fn encode(&self, to: &mut Encoder) {
        to.number(self.id);
        to.text(&self.tenant);
        self.prompt.encode(to);
        match &self.work {
            Work::Score(labels) => {
                to.byte(0);
                to.list(labels, |to, label| to.text(label));
            }
            Work::Write {
                max_tokens,
                temperature,
                seed,
                stop,
                rules,
                streams,
            } => {
                to.byte(1);
                to.number(*max_tokens as u64);
                to.float(*temperature);
                to.number(*seed);
                to.list(stop, |to, stop| to.text(stop));
                sampling::encode(rules, to);
                to.byte((*streams).into());
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: from.number()?,
            tenant: from.text()?,
            prompt: Prompt::decode(from)?,
            work: match from.byte()? {
                0 => Work::Score(from.list(8, Decoder::text)?),
                1 => Work::Write {
                    max_tokens: count(from)?,
                    temperature: from.float()?,
                    seed: from.number()?,
                    stop: from.list(8, Decoder::text)?,
                    rules: sampling::decode(from)?,
                    streams: from.flag()?,
                },
                _ => return Err(Malformed),
            },
        })
    }
}

impl Prompt {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Chat(messages) => {
                to.byte(0);
                to.list(messages, |to, message| {
                    to.byte(match message.role {
                        Role::System => 0,
                        Role::User => 1,
                        Role::Tool => 3,
                        _ => 2,
                    });
                    to.text(&message.content);
                });
            }
            Self::Text { text, suffix } => {
                to.byte(1);
                to.text(text);
                to.list(suffix.as_slice(), |to, suffix| to.text(suffix));
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let message = |from: &mut Decoder<'_>| {
            let role = match from.byte()? {
                0 => Role::System,
                1 => Role::User,
                2 => Role::Assistant,
                3 => Role::Tool,
                _ => return Err(Malformed),
            };
            Ok(ChatMessage::new(role, from.text()?))
        };
        Ok(match from.byte()? {
            0 => Self::Chat(from.list(9, message)?),
            1 => Self::Text {
                text: from.text()?,
                suffix: from.list(8, Decoder::text)?.pop(),
            },
            _ => return Err(Malformed),
        })
    }
}

impl Message for FromWorker {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Ready {
                model,
                quantisation,
                lacking,
            } => {
                to.byte(0);
                to.number(VERSION);
                to.text(model);
                to.text(quantisation);
                to.list(lacking, |to, lacking| to.text(lacking));
            }
            Self::Unloadable(message) => {
                to.byte(1);
                to.text(message);
            }
            Self::Text(id, piece) => {
                to.byte(2);
                to.number(*id);
                to.text(&piece.text);
                to.list(&piece.log_probabilities, |to, x| to.float(*x));
            }
            Self::End(id, end) => {
                to.byte(3);
                to.number(*id);
                end.encode(to);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.byte()? {
            0 if from.number()? == VERSION => Ok(Self::Ready {
                model: from.text()?,
                quantisation: from.text()?,
                lacking: from.list(8, Decoder::text)?,
            }),
            1 => Ok(Self::Unloadable(from.text()?)),
            2 => {
                let id = from.number()?;
                let piece = Piece {
                    text: from.text()?,
                    log_probabilities: from.list(8, Decoder::float)?,
                };
                Ok(Self::Text(id, piece))
            }
            3 => Ok(Self::End(from.number()?, End::decode(from)?)),
            _ => Err(Malformed),
        }
    }
}

impl End {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Scored {
                log_probabilities,
                usage,
            } => {
                to.byte(0);
                to.list(log_probabilities, |to, x| to.float(*x));
                usage.encode(to);
            }
            Self::Written {
                text,
                log_probabilities,
                finish,
                usage,
            } => {
                to.byte(1);
                to.text(text);
                to.list(log_probabilities, |to, x| to.float(*x));
                to.byte(match finish {
                    FinishReason::Length => 0,
                    FinishReason::StopText => 1,
                    _ => 2,
                });
                usage.encode(to);
            }
            Self::Failed { fault, message } => {
                to.byte(2);
                to.byte((*fault == FaultKind::Request).into());
                to.text(message);
            }
            Self::Busy { wait_ms } => {
                to.byte(3);
                to.number(*wait_ms);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(match from.byte()? {
            0 => Self::Scored {
                log_probabilities: from.list(8, Decoder::float)?,
                usage: Usage::decode(from)?,
            },
            1 => Self::Written {
                text: from.text()?,
                log_probabilities: from.list(8, Decoder::float)?,
                finish: match from.byte()? {
                    0 => FinishReason::Length,
                    1 => FinishReason::StopText,
                    2 => FinishReason::EndOfAnswer,
                    _ => return Err(Malformed),
                },
                usage: Usage::decode(from)?,
            },
            2 => Self::Failed {
                fault: if from.flag()? {
                    FaultKind::Request
                } else {
                    FaultKind::Engine
                },
                message: from.text()?,
            },
            3 => Self::Busy {
                wait_ms: from.number()?,
            },
            _ => return Err(Malformed),
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

fn count(from: &mut Decoder<'_>) -> Result<usize, Malformed> {
    usize::try_from(from.number()?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
