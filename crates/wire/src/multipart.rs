//! Forms with files (`multipart/form-data`, RFC 7578), read as their bytes come: what is in memory
//! of them is one piece.

use std::collections::VecDeque;

/// Most bytes of a part's headers.
const HEADERS_BYTES_MAX: usize = 8 << 10;
/// Longest boundary, as RFC 2046 (section 5.1.1) has it.
const BOUNDARY_BYTES_MAX: usize = 70;

/// What was read of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A field begins.
    Field {
        /// Its name.
        name: String,
        /// The name of the file that it is, where it is one.
        file: Option<String>,
    },
    /// The next bytes of the field that has begun.
    Bytes(Vec<u8>),
    /// The form is whole.
    End,
}

/// Why bytes are no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the form is broken: {0}")]
pub struct NoForm(&'static str);

/// Reads one form.
#[derive(Debug)]
pub struct Reader {
    /// What stands between two parts, with the line break before it.
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first part.
    Before,
    /// Behind a delimiter, where it is not known yet what follows.
    Behind,
    /// In a part's headers.
    Headers,
    /// In a part's content.
    Content,
    /// Behind the last part.
    Over,
}

impl Reader {
    /// A reader of a form with this `Content-Type`; `None` where that is of no form.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
        fits.then(|| Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter may stand at the very beginning.
            buffer: b"\r\n".to_vec(),
            state: State::Before,
        })
    }

    /// Adds what the next bytes tell to the end of `pieces`.
    ///
    /// # Errors
    /// When they are no form. It can't be read on then.
    pub fn push(&mut self, bytes: &[u8], pieces: &mut VecDeque<Piece>) -> Result<(), NoForm> {
        self.buffer.extend_from_slice(bytes);
        while self.step(pieces)? {}
        Ok(())
    }

    /// Whether the form has come to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.state == State::Over
    }

    /// Takes the next thing out of the buffer, if it is there whole.
    fn step(&mut self, pieces: &mut VecDeque<Piece>) -> Result<bool, NoForm> {
        match self.state {
            State::Before => {
                let found = find(&self.buffer, &self.delimiter);
                match found {
                    Some(at) => self.pass(at + self.delimiter.len(), State::Behind),
                    // What stands before the first part tells nothing.
                    None => {
                        let kept = self.buffer.len().min(self.delimiter.len() - 1);
                        self.buffer.drain(..self.buffer.len() - kept);
                    }
                }
                Ok(found.is_some())
            }
            State::Behind => self.behind(pieces),
            State::Headers => self.headers(pieces),
            State::Content => Ok(self.content(pieces)),
            State::Over => {
                self.buffer.clear();
                Ok(false)
            }
        }
    }

    fn behind(&mut self, pieces: &mut VecDeque<Piece>) -> Result<bool, NoForm> {
        let Some(two) = self.buffer.get(..2) else {
            return Ok(false);
        };
        match two {
            b"--" => {
                pieces.push_back(Piece::End);
                self.pass(2, State::Over);
            }
            // The headers' end is found by the line break before them too.
            b"\r\n" => self.pass(0, State::Headers),
            _ => return Err(NoForm("there is something behind a boundary")),
        }
        Ok(true)
    }

    fn headers(&mut self, pieces: &mut VecDeque<Piece>) -> Result<bool, NoForm> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(at) = find(&self.buffer, END) else {
            if self.buffer.len() > HEADERS_BYTES_MAX {
                return Err(NoForm("a part's headers are too long"));
            }
            return Ok(false);
        };
        let headers = std::str::from_utf8(&self.buffer[..at]);
        let headers = headers.map_err(|_| NoForm("a part's headers are not UTF-8"))?;
        let field = field(headers).ok_or(NoForm("a part has no name"))?;
        pieces.push_back(field);
        self.pass(at + END.len(), State::Content);
        Ok(true)
    }

    fn content(&mut self, pieces: &mut VecDeque<Piece>) -> bool {
        let found = find(&self.buffer, &self.delimiter);
        // A delimiter may have begun at the end of what is there.
        let begun = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
        let ready = found.unwrap_or(begun);
        if ready > 0 {
            let bytes = self.buffer[..ready].to_vec();
            pieces.push_back(Piece::Bytes(bytes));
        }
        match found {
            Some(at) => self.pass(at + self.delimiter.len(), State::Behind),
            None => self.pass(ready, State::Content),
        }
        found.is_some()
    }

    fn pass(&mut self, bytes: usize, state: State) {
        self.buffer.drain(..bytes);
        self.state = state;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == needle[0]) {
        let at = from + at;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The field that a part's headers name.
fn field(headers: &str) -> Option<Piece> {
    let value = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
        is_it.then_some(value)
    })?;
    let (kind, parameters) = value.split_once(';')?;
    let is_field = kind.trim().eq_ignore_ascii_case("form-data");
    is_field.then_some(())?;
    Some(Piece::Field {
        name: parameter(parameters, "name")?,
        file: parameter(parameters, "filename"),
    })
}

/// The value of a parameter, without its quotes.
fn parameter(mut rest: &str, wanted: &str) -> Option<String> {
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let (value, after) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        let name = name.trim_start_matches([';', ' ', '\t']).trim();
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// A value up to its closing quote, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}
