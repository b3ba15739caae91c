//! An input's files: found, unpacked, and cut into lines and texts.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::InputError;

/// Longest row or text file, in bytes: a longer one is a failed document, not an endless read.
pub(super) const ROW_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Jsonl,
    Csv,
    Text,
}

pub(super) fn read_error(path: &Path, reason: io::Error) -> InputError {
    InputError::Read {
        path: path.display().to_string(),
        reason,
    }
}

pub(super) fn format_of(path: &Path) -> Result<Format, InputError> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("csv") => Ok(Format::Csv),
        Some("txt" | "md") => Ok(Format::Text),
        _ => Err(InputError::UnknownFormat(path.display().to_string())),
    }
}

/// The text files below a folder in the order of their paths; other files are left alone.
pub(super) fn text_files_below(
    folder: &Path,
    files: &mut Vec<(PathBuf, Format)>,
) -> Result<(), InputError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    let mut paths = list().map_err(|source| read_error(folder, source))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            text_files_below(&path, files)?;
        } else if let Ok(format @ Format::Text) = format_of(&path) {
            files.push((path, format));
        }
    }
    Ok(())
}

/// The file's bytes, unpacked where they begin like gzip, whatever the name says, and without the
/// mark of UTF-8 that some programs write at the beginning.
pub(crate) fn open_plain(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut packed = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut plain: Box<dyn BufRead> = if packed.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let unpacking = MultiGzDecoder::new(packed);
        Box::new(BufReader::with_capacity(1 << 16, unpacking))
    } else {
        Box::new(packed)
    };
    if plain.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        plain.consume("\u{feff}".len());
    }
    Ok(plain)
}

/// Reads one line without its end; of a line over the limit only the first bytes are kept, so
/// that its length tells. `false` at the end of the file.
pub(super) fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = (ROW_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&chunk[..taken.min(room)]);
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(true);
        }
    }
}

pub(super) fn read_text(path: &Path) -> io::Result<Result<String, String>> {
    let mut bytes = Vec::new();
    open_plain(path)?
        .take(ROW_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(decoded(bytes))
}

pub(super) fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > ROW_BYTES_MAX {
        return Err(too_long(bytes.len()));
    }
    String::from_utf8(bytes)
        .map_err(|fault| {
            format!(
                "the text is not UTF-8 at byte {}; convert the file to UTF-8",
                fault.utf8_error().valid_up_to()
            )
        })
        .and_then(checked_text)
}

pub(super) fn checked_text(text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the text is empty; an empty text is never put to a model".to_owned());
    }
    Ok(text)
}

pub(super) fn too_long(bytes: usize) -> String {
    format!("the text has {bytes} bytes or more; the most is {ROW_BYTES_MAX}; split it")
}
