//! What a worker is to be, and what it says of itself when it is that.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::count;
use crate::engine::codec::{Decoder, Encoder, Malformed};

/// What a worker is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub(crate) source: Source,
    pub(crate) threads: usize,
    pub(crate) queue_max: usize,
    /// Memory for keys and values; `None` for what suits the model and the machine.
    pub(crate) kv_bytes: Option<u64>,
}

/// Where the model is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// Inside the program.
    Starter,
    File(PathBuf),
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct About {
    /// The model's name.
    pub(crate) model: String,
    /// How its weights are stored.
    pub(crate) quantisation: String,
    /// Numbers of an embedding.
    pub(crate) dimensions: usize,
    /// How many tools its chat template lets it call at once.
    pub(crate) calls: CallsAtOnce,
    /// What the kernel can't keep it from.
    pub(crate) lacking: Vec<String>,
}

/// How many tools a chat template lets a model call in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallsAtOnce {
    /// It knows nothing of tools.
    None,
    One,
    Several,
}

impl Start {
    pub(super) fn encode(&self, to: &mut Encoder) {
        match &self.source {
            Source::Starter => to.bytes(&[]),
            Source::File(path) => to.bytes(path.as_os_str().as_bytes()),
        }
        to.number(self.threads as u64);
        to.number(self.queue_max as u64);
        to.maybe(self.kv_bytes.as_ref(), |to, bytes| to.number(*bytes));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let source = match from.bytes()? {
            [] => Source::Starter,
            path => Source::File(std::ffi::OsString::from_vec(path.to_vec()).into()),
        };
        Ok(Self {
            source,
            threads: count(from)?,
            queue_max: count(from)?,
            kv_bytes: from.maybe(Decoder::number)?,
        })
    }
}

impl About {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.text(&self.model);
        to.text(&self.quantisation);
        to.number(self.dimensions as u64);
        to.byte(match self.calls {
            CallsAtOnce::None => 0,
            CallsAtOnce::One => 1,
            CallsAtOnce::Several => 2,
        });
        to.list(&self.lacking, |to, lacking| to.text(lacking));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            model: from.text()?,
            quantisation: from.text()?,
            dimensions: count(from)?,
            calls: match from.byte()? {
                0 => CallsAtOnce::None,
                1 => CallsAtOnce::One,
                2 => CallsAtOnce::Several,
                _ => return Err(Malformed),
            },
            lacking: from.list(8, Decoder::text)?,
        })
    }
}
