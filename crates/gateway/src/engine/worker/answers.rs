//! Answers on their way to the program.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llama::{Answer, Event, Model};

use super::work::{Told, end, piece};
use crate::engine::protocol::{Asked, End, FromWorker, Message as _, WINDOW};

/// What the writer is told.
pub(super) enum News {
    /// There may be something to send of this request.
    More(u64),
    /// It has ended without the engine's taking it.
    Ended(u64, End),
}

/// A request whose end was not sent.
pub(super) struct Line {
    /// None until the engine has taken it.
    pub(super) answer: Option<Answer>,
    told: Told,
    /// Pieces of text that may be sent before one is fetched.
    window: usize,
}

/// All requests whose end was not sent.
pub(super) type Lines = Mutex<HashMap<u64, Line>>;

pub(super) fn locked(lines: &Lines) -> MutexGuard<'_, HashMap<u64, Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// One for a request that has come.
    pub(super) fn of(asked: &Asked) -> Self {
        Self {
            answer: None,
            told: Told::of(&asked.work),
            window: WINDOW,
        }
    }

    /// So many pieces were fetched.
    pub(super) fn make_room(&mut self, pieces: usize) {
        self.window = self.window.saturating_add(pieces).min(WINDOW);
    }

    /// What may be sent now, if anything.
    fn next(&mut self) -> Option<(Event, Told)> {
        if self.window == 0 {
            return None;
        }
        let event = self.answer.as_mut()?.try_next()?;
        self.window -= usize::from(matches!(event, Event::Text(_)));
        Some((event, self.told))
    }
}

/// Writes answers until nobody is left who tells of any, or the socket ends.
pub(super) fn write(
    (lines, model): (&Lines, &Model),
    told: &Receiver<News>,
    mut to: BufWriter<File>,
) {
    loop {
        let news = match told.try_recv() {
            Ok(news) => news,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                // What was written goes out before this thread waits.
                if to.flush().is_err() {
                    return;
                }
                match told.recv() {
                    Ok(news) => news,
                    Err(_) => return,
                }
            }
        };
        let sent = match news {
            News::More(id) => send((lines, model), id, &mut to),
            News::Ended(id, end) => match locked(lines).remove(&id) {
                Some(_line) => FromWorker::End(id, end).send(&mut to),
                None => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Sends what there is of a request and may be sent.
fn send((lines, model): (&Lines, &Model), id: u64, to: &mut BufWriter<File>) -> io::Result<()> {
    loop {
        let event = locked(lines).get_mut(&id).and_then(Line::next);
        match event {
            None => return Ok(()),
            Some((Event::Text(written), told)) => {
                FromWorker::Text(id, piece(model, written, told)).send(to)?;
            }
            Some((Event::End(result), told)) => {
                locked(lines).remove(&id);
                return FromWorker::End(id, end(model, result, told)).send(to);
            }
        }
    }
}
