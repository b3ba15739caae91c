//! The way of an answer from the engine's thread to who asked.
//!
//! The engine never waits for a reader. Text lies here until it is fetched; where more than
//! [`UNREAD_BYTES`] lie, the request takes no part in steps until some is fetched (it keeps its
//! place and, while there is room, its keys and values), so that a slow reader delays itself
//! alone. Who does not want pieces gets the whole text at the end and is never waited for.

use super::inbox::Inbox;
use super::request::Answered;
use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::generate::WrittenToken;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Text that may lie unread before its writing pauses.
const UNREAD_BYTES: usize = 4096;

/// Called when there is something to fetch.
pub(super) type Notify = Box<dyn Fn() + Send + Sync>;

/// An answer on its way. Dropping it withdraws the request, which then leaves the engine within
/// one step.
pub struct Answer {
    outbox: Arc<Outbox>,
    inbox: Arc<Inbox>,
}

/// What comes of a request: pieces of text, if it wants them, and then its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A piece of the text, which follows the pieces before it.
    Text(Piece),
    /// The end; nothing follows.
    End(Result<Answered, RequestError>),
}

/// A piece of a text that is being written.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Piece {
    /// The text, never empty.
    pub text: String,
    /// The tokens written since the piece before, control tokens included. Their bytes can be
    /// more than the text's: what may yet be taken back comes with a later piece.
    pub tokens: Vec<WrittenToken>,
}

impl Answer {
    pub(super) fn new(outbox: Arc<Outbox>, inbox: Arc<Inbox>) -> Self {
        Self { outbox, inbox }
    }

    /// Waits for the next event. After the end it is [`RequestError::Cancelled`] for ever.
    pub fn next_event(&mut self) -> Event {
        let mut kept = self.outbox.lock();
        loop {
            if let Some(event) = self.fetch(&mut kept) {
                return event;
            }
            let woken = self.outbox.changed.wait(kept);
            kept = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next event, if it has come.
    pub fn try_next(&mut self) -> Option<Event> {
        let mut kept = self.outbox.lock();
        self.fetch(&mut kept)
    }

    /// Waits for the end; pieces of text on the way are passed over.
    ///
    /// # Errors
    ///
    /// What the request came to grief on.
    pub fn wait(mut self) -> Result<Answered, RequestError> {
        loop {
            if let Event::End(result) = self.next_event() {
                return result;
            }
        }
    }

    fn fetch(&self, kept: &mut Kept) -> Option<Event> {
        if !kept.piece.text.is_empty() {
            let paused = kept.piece.text.len() > UNREAD_BYTES;
            let piece = std::mem::take(&mut kept.piece);
            if paused {
                self.inbox.ring();
            }
            return Some(Event::Text(piece));
        }
        match std::mem::replace(&mut kept.end, End::Fetched) {
            End::Open => {
                kept.end = End::Open;
                None
            }
            End::Come(result) => Some(Event::End(result.map(|answered| *answered))),
            End::Fetched => Some(Event::End(Err(RequestError::Cancelled))),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if matches!(self.outbox.lock().end, End::Open) {
            self.outbox.gone.set();
            self.inbox.ring();
        }
    }
}

/// What lies between the engine and a reader.
pub(super) struct Outbox {
    kept: Mutex<Kept>,
    changed: Condvar,
    notify: Option<Notify>,
    /// Set when the reader has gone.
    pub(super) gone: Cancel,
}

struct Kept {
    piece: Piece,
    end: End,
}

enum End {
    Open,
    Come(Result<Box<Answered>, RequestError>),
    Fetched,
}

impl Outbox {
    pub(super) fn new(notify: Option<Notify>) -> Self {
        Self {
            kept: Mutex::new(Kept {
                piece: Piece::default(),
                end: End::Open,
            }),
            changed: Condvar::new(),
            notify,
            gone: Cancel::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much lies unread that no more is to be written.
    pub(super) fn is_full(&self) -> bool {
        self.lock().piece.text.len() > UNREAD_BYTES
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.check().is_err()
    }

    pub(super) fn put(&self, text: &str, tokens: Vec<WrittenToken>) {
        let mut kept = self.lock();
        kept.piece.text.push_str(text);
        kept.piece.tokens.extend(tokens);
        drop(kept);
        self.tell();
    }

    pub(super) fn end(&self, result: Result<Answered, RequestError>) {
        self.lock().end = End::Come(result.map(Box::new));
        self.tell();
    }

    fn tell(&self) {
        self.changed.notify_all();
        if let Some(notify) = &self.notify
            && catch_unwind(AssertUnwindSafe(notify)).is_err()
        {
            // A reader who breaks on the news gets no more of it; the engine goes on.
            self.gone.set();
        }
    }
}
