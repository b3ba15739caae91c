//! The signals that ask the program to stop.
//!
//! A terminal sends them to every process in its foreground, a service manager to every one of the
//! service: to the program, which finishes what is in work, and to the engine's processes, by which
//! it does so.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives interrupts (Ctrl-C) and terminations.
#[derive(Debug)]
pub(crate) struct Stopping {
    interrupt: Signal,
    terminate: Signal,
}

impl Stopping {
    /// Takes these signals over from the system, which would end the program.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them.
    ///
    /// # Cancel safety
    /// No signal is lost.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Has this process take no notice of them, from now on until it ends: another one tells it when to.
///
/// # Errors
/// When the system refuses.
pub(crate) fn leave_to_parent() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _entered = runtime.enter();
    // A signal that was once listened to doesn't end the process any more, even when nobody listens.
    Stopping::listen().map(drop)
}
