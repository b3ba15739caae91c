//! Reading answers: whole ones and streams, within limits of time and size.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use domain::StreamEvent;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use wire::chat::{ChunkReader, DecodeError, Surface, VendorError};
use wire::sse::{Event, Framer};

use crate::breaker::{Health, Permit};
use crate::error::{Breakage, Output, UpstreamError, VendorAnswer};

/// Most bytes of a whole answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of an answer of failure that are read; what is beyond tells nothing more.
const FAILURE_BYTES_MAX: usize = 64 << 10;
/// Most bytes of one event of a stream: a picture comes in one.
const EVENT_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a stream before it shows something, which are held until then.
const UNSEEN_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a stream. An event of one token has some 300.
const STREAM_BYTES_MAX: usize = 256 << 20;

/// A body, of which no wait outlasts the request's time.
pub(crate) struct Body {
    pub(crate) incoming: Incoming,
    /// The limit between two pieces.
    pub(crate) idle: Duration,
    /// When the request's time is over.
    pub(crate) deadline: Instant,
}

impl Body {
    /// The next bytes; `None` at the end. `stalled` is what happened when none come in time.
    async fn next(&mut self, until: Instant, stalled: Breakage) -> Result<Option<Bytes>, Breakage> {
        loop {
            let first = until.min(self.deadline);
            match timeout_at(first, self.incoming.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    // What is no data are trailers, and they tell nothing in this protocol.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(Some(Err(_connection))) => return Err(Breakage::Cut),
                Err(_elapsed) if self.deadline <= until => return Err(Breakage::Total),
                Err(_elapsed) => return Err(stalled),
            }
        }
    }

    /// All of a whole answer of at most so many bytes.
    pub(crate) async fn read_answer(mut self, bytes_max: usize) -> Result<Vec<u8>, Breakage> {
        let mut answer = Vec::new();
        while let Some(bytes) = self.next_within_idle().await? {
            if answer.len() + bytes.len() > bytes_max {
                return Err(Breakage::TooLarge(bytes_max));
            }
            answer.extend_from_slice(&bytes);
        }
        Ok(answer)
    }

    /// What an answer of failure tells. If the body breaks, its status has told enough.
    pub(crate) async fn read_failure(mut self) -> VendorError {
        let mut body = Vec::new();
        while let Ok(Some(bytes)) = self.next_within_idle().await {
            let room = FAILURE_BYTES_MAX - body.len();
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if body.len() == FAILURE_BYTES_MAX {
                break;
            }
        }
        VendorError::parse(&body)
    }

    async fn next_within_idle(&mut self) -> Result<Option<Bytes>, Breakage> {
        let until = Instant::now() + self.idle;
        self.next(until, Breakage::Idle(self.idle)).await
    }
}

/// A completion on its way. Dropping it closes the connection to the vendor at once, so that it
/// stops writing.
pub struct CompletionStream {
    host: String,
    reading: Reading,
    permit: Permit,
    /// The events that were read before the stream was given out.
    first: VecDeque<StreamEvent>,
    ended: bool,
}

impl fmt::Debug for CompletionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionStream")
            .field("host", &self.host)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl CompletionStream {
    /// The stream, once it shows something: until then nothing has been shown, and a failure
    /// may be followed by another attempt.
    pub(crate) async fn begin(
        host: String,
        mut reading: Reading,
        mut permit: Permit,
    ) -> Result<Self, UpstreamError> {
        let mut first = VecDeque::new();
        loop {
            let next = match reading.bytes > UNSEEN_BYTES_MAX {
                true => Err(Breakage::TooLarge(UNSEEN_BYTES_MAX)),
                false => reading.next_event().await,
            };
            match next {
                Ok(event) => {
                    let shows = event.is_output() || matches!(event, StreamEvent::End(_));
                    first.push_back(event);
                    if shows {
                        break;
                    }
                }
                Err(cause) => {
                    permit.settle(Health::Ill);
                    return Err(UpstreamError::Broken {
                        host,
                        cause,
                        output: Output::None,
                    });
                }
            }
        }
        permit.began();
        Ok(Self {
            host,
            reading,
            permit,
            first,
            ended: false,
        })
    }

    /// The next event; the last is [`StreamEvent::End`].
    ///
    /// # Errors
    /// [`UpstreamError::Broken`] when the stream breaks. Also when it is asked again after its
    /// end or an error.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped and asked for again.
    pub async fn next_event(&mut self) -> Result<StreamEvent, UpstreamError> {
        let next = match self.first.pop_front() {
            Some(first) => Ok(first),
            None if self.ended => Err(Breakage::Cut),
            None => self.reading.next_event().await,
        };
        match &next {
            Ok(StreamEvent::End(_)) => {
                self.ended = true;
                self.permit.settle(Health::Well);
            }
            Ok(_) => {}
            Err(_) => {
                self.ended = true;
                self.permit.settle(Health::Ill);
            }
        }
        next.map_err(|cause| UpstreamError::Broken {
            host: self.host.clone(),
            cause,
            output: Output::Begun,
        })
    }
}

/// The state of reading a stream.
pub(crate) struct Reading {
    body: Body,
    framer: Framer,
    events: VecDeque<Event>,
    reader: ChunkReader,
    /// What was read and not given out yet.
    told: VecDeque<StreamEvent>,
    bytes: usize,
    /// When the last event came, or the attempt began. Comments, by which some servers keep the
    /// connection alive, are no events: a stream of nothing else has stalled.
    since: Instant,
    /// How long after it the next must be there, and what happened otherwise.
    limit: (Duration, Breakage),
}

impl Reading {
    /// A stream at its begin. The first event must come within `first_token` of `start`.
    pub(crate) fn new(body: Body, surface: Surface, start: Instant, first_token: Duration) -> Self {
        Self {
            body,
            framer: Framer::new(EVENT_BYTES_MAX),
            events: VecDeque::new(),
            reader: ChunkReader::new(surface),
            told: VecDeque::new(),
            bytes: 0,
            since: start,
            limit: (first_token, Breakage::FirstToken(first_token)),
        }
    }

    async fn next_event(&mut self) -> Result<StreamEvent, Breakage> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(event);
            }
            if let Some(event) = self.events.pop_front() {
                self.reader.read(&event, &mut self.told).map_err(breakage)?;
                continue;
            }
            let (limit, stalled) = &self.limit;
            let until = self.since + *limit;
            match self.body.next(until, stalled.clone()).await? {
                Some(bytes) => self.take_in(&bytes)?,
                // With a finish reason the text is whole, even if what should follow is not.
                None => self.reader.finish(&mut self.told).map_err(breakage)?,
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<(), Breakage> {
        self.bytes += bytes.len();
        if self.bytes > STREAM_BYTES_MAX {
            return Err(Breakage::TooLarge(STREAM_BYTES_MAX));
        }
        let framed = self.framer.push(bytes, &mut self.events);
        framed.map_err(|error| Breakage::Unreadable(error.to_string()))?;
        if !self.events.is_empty() {
            let idle = self.body.idle;
            self.since = Instant::now();
            self.limit = (idle, Breakage::Idle(idle));
        }
        Ok(())
    }
}

/// What happened to an answer that can't be decoded.
pub(crate) fn breakage(error: DecodeError) -> Breakage {
    match error {
        DecodeError::Unfinished => Breakage::Cut,
        DecodeError::Vendor(error) => Breakage::Reported(VendorAnswer {
            status: 200,
            kind: error.kind,
            code: error.code,
        }),
        DecodeError::NotTheProtocol { .. }
        | DecodeError::NoChoice
        | DecodeError::UnknownFinish
        | DecodeError::Restarted => Breakage::Unreadable(error.to_string()),
    }
}
