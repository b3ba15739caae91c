//! A call of the handle, on its way to the thread that writes and back.

use tokio::sync::oneshot;

use crate::error::{Fault, LedgerError};
use crate::writer::{Books, Work};

/// What the thread is to book, and where its answer goes.
pub(super) struct Command<I, T, U> {
    input: I,
    applied: Option<T>,
    apply: fn(&Books<'_>, &I) -> Result<T, Fault>,
    finish: fn(I, T) -> U,
    reply: oneshot::Sender<Result<U, LedgerError>>,
}

/// Where the caller waits for what comes of its command.
pub(super) type Answer<U> = oneshot::Receiver<Result<U, LedgerError>>;

impl<I, T, U> Command<I, T, U> {
    /// A command, and where its answer comes: what `finish` makes of the input and of what `apply`
    /// gives back.
    pub(super) fn new(
        input: I,
        apply: fn(&Books<'_>, &I) -> Result<T, Fault>,
        finish: fn(I, T) -> U,
    ) -> (Self, Answer<U>) {
        let (reply, answer) = oneshot::channel();
        let command = Self {
            input,
            applied: None,
            apply,
            finish,
            reply,
        };
        (command, answer)
    }
}

impl<I: Send, T: Send, U: Send> Work for Command<I, T, U> {
    fn apply(&mut self, books: &Books<'_>) -> Result<(), Fault> {
        self.applied = Some((self.apply)(books, &self.input)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), LedgerError>) {
        let answer = match (outcome, self.applied) {
            (Ok(()), Some(applied)) => Ok((self.finish)(self.input, applied)),
            (Err(error), _) => Err(error),
            (Ok(()), None) => unreachable!("a command that succeeded was applied"),
        };
        // Where the caller is gone, a hold in the answer is dropped here and so released.
        let _caller_may_be_gone = self.reply.send(answer);
    }
}
