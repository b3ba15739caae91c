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

use super::codec::{Decoder, Encoder, Malformed};

mod asked;
mod end;
mod sampling;
mod start;

pub(crate) use asked::{Asked, Chat, Prompt, Work, Writing};
pub(crate) use end::{Choice, End, FaultKind, Load, Piece, Token, Usage, Written};
pub(crate) use start::{About, CallsAtOnce, Source, Start};

/// Changes whenever a message does. Both sides are the same program, but one of them may have been
/// replaced by a newer one while the other ran.
const VERSION: u64 = 5;

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

/// What the worker says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FromWorker {
    Ready(About),
    /// The model can't be loaded.
    Unloadable(String),
    /// A piece of a request's text.
    Text(u64, Piece),
    /// Nothing more comes of the request.
    End(u64, End),
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

impl Message for FromWorker {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Ready(about) => {
                to.byte(0);
                to.number(VERSION);
                about.encode(to);
            }
            Self::Unloadable(message) => {
                to.byte(1);
                to.text(message);
            }
            Self::Text(id, piece) => {
                to.byte(2);
                to.number(*id);
                piece.encode(to);
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
            0 if from.number()? == VERSION => Ok(Self::Ready(About::decode(from)?)),
            1 => Ok(Self::Unloadable(from.text()?)),
            2 => Ok(Self::Text(from.number()?, Piece::decode(from)?)),
            3 => Ok(Self::End(from.number()?, End::decode(from)?)),
            _ => Err(Malformed),
        }
    }
}

fn count(from: &mut Decoder<'_>) -> Result<usize, Malformed> {
    usize::try_from(from.number()?).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
