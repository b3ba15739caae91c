//! Where a model's bytes are: in memory, or in one or several files, which are read piece by
//! piece. (A memory map would be shorter, but a file that is cut short while it is mapped ends
//! the process, and its pages count as the process's memory while they are repacked.)

use crate::error::{Fault, ModelError, Parsed, Place};
use crate::gguf::{Gguf, Tensor};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A model's bytes.
pub(super) enum Source<'a> {
    Bytes(&'a [u8]),
    /// The files of a split model in order, or the only one.
    Files(&'a [Opened]),
}

impl Source<'_> {
    /// `bytes` bytes of a tensor from `offset` on.
    ///
    /// # Errors
    ///
    /// The file could not be read, or has become shorter.
    pub(super) fn read<'b>(
        &'b self,
        tensor: &Tensor,
        (offset, bytes): (usize, usize),
        buffer: &'b mut Vec<u8>,
    ) -> std::io::Result<&'b [u8]> {
        let start = tensor.start + offset as u64;
        match self {
            Self::Bytes(all) => usize::try_from(start)
                .ok()
                .and_then(|start| all.get(start..start.checked_add(bytes)?))
                .ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
            Self::Files(files) => {
                buffer.resize(bytes, 0);
                files[tensor.part].file.read_exact_at(buffer, start)?;
                Ok(buffer)
            }
        }
    }
}

/// An open file and the bytes at its start, its whole header among them.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    file_bytes: u64,
    header: Vec<u8>,
}

/// What is read at first; the header of a Llama 3 model is half as long.
const HEADER_BYTES: u64 = 16 << 20;
/// Vocabulary, merges and a chat template take some ten megabytes.
const HEADER_BYTES_MAX: u64 = 256 << 20;

impl Opened {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            model: path.display().to_string(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let about = file.metadata().map_err(io)?;
        if !about.is_file() {
            return Err(io(std::io::Error::other("not a regular file")));
        }
        let mut opened = Self {
            path: path.to_owned(),
            file,
            file_bytes: about.len(),
            header: Vec::new(),
        };
        let mut wanted = HEADER_BYTES;
        loop {
            opened.read_header(wanted).map_err(io)?;
            let more = matches!(opened.parse(), Err(fault) if fault.cut_off)
                && wanted < opened.file_bytes
                && wanted < HEADER_BYTES_MAX;
            if !more {
                return Ok(opened);
            }
            wanted *= 2;
        }
    }

    fn read_header(&mut self, wanted: u64) -> std::io::Result<()> {
        let missing = wanted.saturating_sub(self.header.len() as u64);
        // The file's own position is where the header so far ends.
        (&self.file)
            .take(missing)
            .read_to_end(&mut self.header)
            .map(drop)
    }

    /// The header.
    pub(super) fn parse(&self) -> Parsed<Gguf<'_>> {
        Gguf::parse(&self.header, self.file_bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The other files of a model that is split into `count`, of which this is the first.
    pub(super) fn siblings(&self, count: usize) -> Result<Vec<Self>, ModelError> {
        let ending = |number: usize| format!("-{number:05}-of-{count:05}.gguf");
        let file_name = self.path.file_name().map(|name| name.to_string_lossy());
        let stem = file_name
            .as_deref()
            .and_then(|name| name.strip_suffix(&ending(1)));
        let Some(stem) = stem.filter(|_| count <= 99_999) else {
            let message = format!(
                "the model is split into {count} files; give the path of the first, whose name \
                 ends in {}",
                ending(1)
            );
            let fault = Fault::unsupported(Place::Key("split.count".into()), message);
            return Err(fault.in_model(&self.name()));
        };
        (2..=count)
            .map(|number| {
                Self::open(
                    &self
                        .path
                        .with_file_name(format!("{stem}{}", ending(number))),
                )
            })
            .collect()
    }
}
