//! What a chat shows: answers on the standard output, all else on the standard error, so that a
//! pipe gets answers alone.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use crate::terminal;

/// The sign that a message is waited for.
pub(super) const MESSAGE: &str = ">";

/// Asks for a message, where somebody is there to be asked.
pub(super) fn prompt(sign: &str) {
    if io::stdin().is_terminal() {
        let mut screen = io::stderr().lock();
        let _closed = write!(screen, "{sign} ").and_then(|()| screen.flush());
    }
}

/// A piece of an answer, at once. A model may write anything; what would steer the terminal is
/// shown as a sign.
pub(super) fn piece(text: &str) {
    let plain = |c: char| {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    let text: String = text.chars().map(plain).collect();
    let mut screen = io::stdout().lock();
    // A reader who has closed the pipe wants no more.
    let _closed = screen
        .write_all(text.as_bytes())
        .and_then(|()| screen.flush());
}

/// The end of a line of an answer.
pub(super) fn line(text: impl Display) {
    terminal::say(text);
}

/// A line about how it goes, less bright than the rest.
pub(super) fn dim(text: impl Display) {
    let plain = !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain {
        terminal::complain(text);
    } else {
        terminal::complain(format_args!("\x1b[2m{text}\x1b[0m"));
    }
}
