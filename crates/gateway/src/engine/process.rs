//! One worker process, as the program sees it.

use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use super::protocol::{About, FromWorker, Message as _, Start, ToWorker};

/// The hidden command that makes a process a worker.
const COMMAND: &str = "engine-worker";

/// A worker that has loaded its model. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) socket: Arc<UnixStream>,
    pub(super) from: BufReader<UnixStream>,
}

/// Why a worker did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcess {
    /// It says that its model can't be loaded.
    #[error("{0}")]
    Unloadable(String),
    /// It ended before it was ready.
    #[error("the engine's process ended while it loaded the model ({0})")]
    Ended(ExitStatus),
    /// It could not be started or spoken to.
    #[error("the engine's process can't be started: {0}")]
    Io(#[from] io::Error),
}

impl Process {
    /// Starts a worker and waits until its model is loaded. `tell` gets its socket at once, by
    /// which another thread can end it.
    pub(super) fn launch(
        start: &Start,
        tell: impl FnOnce(&Arc<UnixStream>),
    ) -> Result<(Self, About), NoProcess> {
        let (ours, theirs) = UnixStream::pair()?;
        // The program file itself, even if another one has its name by now.
        let own = std::path::Path::new("/proc/self/exe");
        let own = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe()?
        };
        let mut command = Command::new(own);
        command
            .arg(COMMAND)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Keys are in the program's environment.
            .env_clear();
        let child = command.spawn()?;
        // The worker's end is open in the worker alone, so that its death ends ours.
        drop(command);
        let socket = Arc::new(ours);
        tell(&socket);
        let from = BufReader::new(socket.try_clone()?);
        let mut process = Self {
            child,
            socket,
            from,
        };
        ToWorker::Start(start.clone()).send(&mut &*process.socket)?;
        match FromWorker::receive(&mut process.from)? {
            Some(FromWorker::Ready(about)) => Ok((process, about)),
            Some(FromWorker::Unloadable(message)) => Err(NoProcess::Unloadable(message)),
            Some(_) => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            None => Err(NoProcess::Ended(process.child.wait()?)),
        }
    }

    /// Ends it, and says how it ended.
    pub(super) fn end(mut self) -> String {
        let _ended_already = self.child.kill();
        let status = self.child.wait();
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}
