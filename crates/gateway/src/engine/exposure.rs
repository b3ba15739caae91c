//! A test of the worker's walls from within: it enters them and then tries what it should not be
//! able to do.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::protocol::{Source, Start};
use super::sandbox;
use super::worker::Memory;
use crate::terminal::say;

/// `tiergate engine-exposure MODEL`: one line for each attempt, and what came of it.
///
/// # Errors
/// When the walls can't be put up.
pub(crate) fn command(model: &Path) -> anyhow::Result<ExitCode> {
    let memory = Memory::of(&Start {
        source: Source::File(model.to_owned()),
        threads: 1,
        queue_max: 1,
        kv_bytes: None,
    });
    let beyond = memory.keeps.memory_bytes + 1;
    let lacking = sandbox::enter(&memory.keeps)?;
    for gap in lacking {
        say(format_args!("lacking: {gap}"));
    }
    let folder = Path::new(".")
        .join(model)
        .parent()
        .map_or(PathBuf::new(), Path::to_owned);
    tell("read the model", || std::fs::File::open(model));
    tell("write the model", || {
        std::fs::OpenOptions::new().append(true).open(model)
    });
    tell("list the model's folder", || std::fs::read_dir(&folder));
    tell("read another file", || std::fs::read("/etc/passwd"));
    tell("read the system's state", || std::fs::read("/proc/meminfo"));
    tell("make a file", || {
        std::fs::write(folder.join("made-by-the-engine"), "x")
    });
    tell("listen on TCP", || TcpListener::bind("127.0.0.1:0"));
    tell("make a socket", UnixDatagram::unbound);
    tell("connect to a socket", || {
        UnixStream::connect(folder.join("none"))
    });
    tell("start a program", || Command::new("/bin/true").status());
    tell("signal its parent", || {
        let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
        Ok(rustix::process::test_kill_process(parent)?)
    });
    tell("start a thread", || {
        let thread = std::thread::Builder::new().spawn(|| ())?;
        thread.join().map_err(|_| io::Error::other("it broke"))
    });
    tell("take memory beyond its limit", || {
        let bytes = usize::try_from(beyond).map_err(io::Error::other)?;
        let mut much: Vec<u8> = Vec::new();
        much.try_reserve_exact(bytes).map_err(io::Error::other)
    });
    Ok(ExitCode::SUCCESS)
}

fn tell<T>(what: &str, attempt: impl FnOnce() -> io::Result<T>) {
    match attempt() {
        Ok(_) => say(format_args!("{what}: done")),
        Err(error) => say(format_args!("{what}: refused ({error})")),
    }
}
