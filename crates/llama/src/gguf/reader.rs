//! A cursor over a file's bytes that never reads past them.

use crate::error::{Fault, Parsed, Place};

/// Longest key or tensor name; the format's own limits are 65,535 and 64.
const NAME_BYTES_MAX: u64 = 1024;

#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next byte is read.
    pub(crate) fn place(&self) -> Place {
        Place::Byte(self.at as u64)
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: u64, what: &str) -> Parsed<&'a [u8]> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => {
                let message = format!(
                    "{what} needs {length} bytes but the file has {} left; it is damaged or was \
                     cut off, fetch it again",
                    self.remaining()
                );
                Err(Fault::malformed(self.place(), message).cut_off())
            }
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Parsed<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Parsed<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &str) -> Parsed<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of `what`, at most `max`.
    pub(crate) fn count(&mut self, what: &str, max: u64) -> Parsed<usize> {
        let place = self.place();
        let count = self.u64(what)?;
        match usize::try_from(count) {
            Ok(fits) if count <= max => Ok(fits),
            _ => {
                let message = format!("the file claims {count} {what}; at most {max} are allowed");
                Err(Fault::malformed(place, message))
            }
        }
    }

    /// A string's bytes: a length and as many bytes.
    pub(crate) fn string_bytes(&mut self, what: &str) -> Parsed<&'a [u8]> {
        let length = self.u64(what)?;
        self.take(length, what)
    }

    /// A short UTF-8 string.
    pub(crate) fn name(&mut self, what: &str) -> Parsed<&'a str> {
        let place = self.place();
        let length = self.u64(what)?;
        if length > NAME_BYTES_MAX {
            let message =
                format!("{what} claims {length} bytes; at most {NAME_BYTES_MAX} are allowed");
            return Err(Fault::malformed(place, message));
        }
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes)
            .map_err(|_| Fault::malformed(place, format!("{what} is not valid UTF-8")))
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> u64 {
        self.at as u64
    }
}
