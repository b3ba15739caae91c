//! Event streams: bytes to events and back, after the WHATWG HTML standard, section 9.2.
//!
//! The framer works on bytes. A line ends at `\n`, `\r` or `\r\n` and nowhere else (U+2028 and
//! U+0085 are text), and text is decoded only when its event is whole, so that no cut of the
//! bytes, also within a character, changes what comes out.

use std::collections::VecDeque;

/// A comment line that keeps a connection alive and is no event to any reader.
pub const KEEP_ALIVE: &str = ":\n\n";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's type; `None` when the stream named none, which means `message`.
    pub name: Option<String>,
    /// Its data; lines are parted by `\n`.
    pub data: String,
}

/// Why bytes are no event stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// An event is longer than allowed.
    #[error("an event of the stream is longer than {bytes_max} bytes")]
    TooLong {
        /// The most bytes that the lines of an event may have together.
        bytes_max: usize,
    },
    /// A line is not UTF-8.
    #[error("a line of the stream is not UTF-8")]
    NotUtf8,
}

/// Cuts a stream of bytes into events. After an error the stream can't be read on; an event that
/// the end of the stream cuts off never comes.
#[derive(Debug)]
pub struct Framer {
    bytes_max: usize,
    /// The line whose end has not come yet.
    line: Vec<u8>,
    /// The lines of data of the event whose end has not come yet, each with its `\n`.
    data: Vec<u8>,
    name: Option<String>,
    /// The last byte was `\r`; a `\n` now belongs to the same line end.
    after_return: bool,
    /// No line has ended yet, so that a byte order mark may stand first.
    at_start: bool,
}

impl Framer {
    /// A framer at the beginning of a stream. An event may have `event_bytes_max` bytes, and that
    /// is also the most that the framer ever holds back.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            bytes_max: event_bytes_max,
            line: Vec::new(),
            data: Vec::new(),
            name: None,
            after_return: false,
            at_start: true,
        }
    }

    /// Adds the events that these bytes complete to the end of `events`.
    ///
    /// # Errors
    /// When an event is too long or a line is not UTF-8. The events before it have been added.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.data.len() + part.len() > self.bytes_max {
                return Err(FrameError::TooLong {
                    bytes_max: self.bytes_max,
                });
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if let Some(event) = self.end_line()? {
                events.push_back(event);
            }
        }
        Ok(())
    }

    /// Takes the finished line in; gives the event that it completes.
    fn end_line(&mut self) -> Result<Option<Event>, FrameError> {
        if self.line.is_empty() {
            self.at_start = false;
            return self.end_event();
        }
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = Some(utf8(value.to_vec())?),
            // Comments have an empty field name; `id` and `retry` serve reconnecting, which no
            // vendor's stream allows; other fields are to be ignored.
            _ => {}
        }
        line.clear();
        self.line = line; // keeps the allocation
        Ok(None)
    }

    fn end_event(&mut self) -> Result<Option<Event>, FrameError> {
        let name = self.name.take().filter(|name| !name.is_empty());
        if self.data.is_empty() {
            return Ok(None);
        }
        let mut data = std::mem::take(&mut self.data);
        data.pop();
        let data = utf8(data)?;
        Ok(Some(Event { name, data }))
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, FrameError> {
    String::from_utf8(bytes).map_err(|_| FrameError::NotUtf8)
}

/// Appends an event to event-stream text. A line end within the data becomes `\n` to the reader.
pub fn encode(event: &Event, stream: &mut String) {
    if let Some(name) = &event.name {
        encode_name(name, stream);
    }
    encode_data(&event.data, stream);
}

/// Appends the name of an event whose data is appended next.
pub(crate) fn encode_name(name: &str, stream: &mut String) {
    stream.push_str("event: ");
    stream.push_str(name);
    stream.push('\n');
}

/// Appends an event without a name to event-stream text.
pub fn encode_data(data: &str, stream: &mut String) {
    let mut rest = data;
    loop {
        let end = rest.find(['\n', '\r']);
        stream.push_str("data: ");
        stream.push_str(&rest[..end.unwrap_or(rest.len())]);
        stream.push('\n');
        let Some(end) = end else { break };
        let both = rest[end..].starts_with("\r\n");
        rest = &rest[end + if both { 2 } else { 1 }..];
    }
    stream.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(parts: &[&[u8]]) -> Result<Vec<Event>, FrameError> {
        let mut framer = Framer::new(1 << 16);
        let mut events = VecDeque::new();
        for part in parts {
            framer.push(part, &mut events)?;
        }
        Ok(events.into())
    }

    fn event(name: Option<&str>, data: &str) -> Event {
        Event {
            name: name.map(Into::into),
            data: data.into(),
        }
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let cases: [(&str, &[Event]); 11] = [
            ("data: a\r\ndata: b\r\n\r\n", &[event(None, "a\nb")]),
            ("data: a\n\n", &[event(None, "a")]),
            (
                "data:a\r\rdata: b\r\n\r\n",
                &[event(None, "a"), event(None, "b")],
            ),
            ("data: a\ndata:\ndata: b\n\n", &[event(None, "a\n\nb")]),
            (": comment\n\ndata: a\n\n", &[event(None, "a")]),
            ("event: ping\ndata: {}\n\n", &[event(Some("ping"), "{}")]),
            ("event: lost\n\ndata: a\n\n", &[event(None, "a")]),
            ("data\n\n", &[event(None, "")]),
            (
                "id: 1\nretry: 9\nfoo: x\ndata:  a\n\n",
                &[event(None, " a")],
            ),
            (
                "\u{feff}data: \u{feff}a\u{2028}b\u{85}c\n\n",
                &[event(None, "\u{feff}a\u{2028}b\u{85}c")],
            ),
            ("data: never ended\n", &[]),
        ];
        for (stream, events) in cases {
            assert_eq!(frame(&[stream.as_bytes()]).unwrap(), events, "{stream:?}");
        }
    }

    #[test]
    fn an_event_is_bounded_and_is_utf8() {
        let mut framer = Framer::new(16);
        let mut events = VecDeque::new();
        framer.push(b"data: 0123\ndata: 45", &mut events).unwrap();
        assert_eq!(
            framer.push(b"6789012", &mut events),
            Err(FrameError::TooLong { bytes_max: 16 })
        );
        assert_eq!(frame(&[b"data: \xff\n\n"]), Err(FrameError::NotUtf8));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(
            stream in "((data|event|id|): ?[a-zé漢🦀\u{2028}]{0,6}(\n|\r|\r\n)|\n|\r\n|\r){0,24}",
            cuts in proptest::collection::vec(0_usize..400, 0..8),
        ) {
            let bytes = stream.as_bytes();
            let whole = frame(&[bytes]).unwrap();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let mut start = 0;
            let parts: Vec<&[u8]> =
                ends.iter().map(|&end| &bytes[std::mem::replace(&mut start, end)..end]).collect();
            prop_assert_eq!(&frame(&parts).unwrap(), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&frame(&single).unwrap(), &whole);
        }

        #[test]
        fn what_is_encoded_is_read_back(
            name in proptest::option::of("[a-z_.]{1,9}"),
            data in "[a-zé漢🦀: \n\u{2028}]{0,40}",
        ) {
            let event = Event { name, data };
            let mut stream = String::new();
            encode(&event, &mut stream);
            prop_assert_eq!(frame(&[stream.as_bytes()]).unwrap(), vec![event]);
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes: Vec<u8>) {
            let mut framer = Framer::new(32);
            let mut events = VecDeque::new();
            for chunk in bytes.chunks(3) {
                if framer.push(chunk, &mut events).is_err() {
                    break;
                }
                prop_assert!(framer.line.len() + framer.data.len() <= 33);
            }
        }
    }
}
