//! Ctrl-C in a chat: it stops the answer; pressed again, it ends the program.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llama::Cancel;

use super::screen;

/// The exit code of a program that an interrupt ended, as shells count.
const EXIT_INTERRUPTED: i32 = 130;

/// What Ctrl-C means at the moment.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<Mutex<Pressed>>);

#[derive(Default)]
struct Pressed {
    /// Stops the answer that is being written.
    answer: Option<Cancel>,
    /// How often it was pressed since the answer, or the wait for a message, began.
    times: u32,
}

impl Interrupt {
    /// Takes Ctrl-C over from the system, for as long as the program runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let listening = interrupt.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        // It waits on a thread of its own, because this one waits for the person or the model.
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let kind = tokio::signal::unix::SignalKind::interrupt();
                    let mut signal = match tokio::signal::unix::signal(kind) {
                        Ok(signal) => signal,
                        Err(error) => {
                            let _waiting = ready.send(Err(error));
                            return;
                        }
                    };
                    let _waiting = ready.send(Ok(()));
                    while signal.recv().await.is_some() {
                        listening.press();
                    }
                });
            })?;
        is_ready.recv().map_err(io::Error::other)??;
        Ok(interrupt)
    }

    /// From here on it stops this answer.
    pub(super) fn answering(&self, cancel: Cancel) {
        *self.pressed() = Pressed {
            answer: Some(cancel),
            times: 0,
        };
    }

    /// From here on a message is waited for.
    pub(super) fn waiting(&self) {
        *self.pressed() = Pressed::default();
    }

    fn press(&self) {
        let mut pressed = self.pressed();
        pressed.times += 1;
        match &pressed.answer {
            _ if pressed.times > 1 => {
                screen::line("");
                std::process::exit(EXIT_INTERRUPTED);
            }
            Some(answer) => answer.set(),
            None => {
                screen::dim("\nCtrl-C again ends the chat, and so does Ctrl-D");
                screen::prompt(screen::MESSAGE);
            }
        }
    }

    fn pressed(&self) -> MutexGuard<'_, Pressed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
