//! `tiergate serve`: an OpenAI-compatible API over HTTP/1.1.
//!
//! [`command()`] listens, makes the application ready and ends in order. A request comes in over a
//! [`connection`], passes the layers that [`router`] lists, and [`chat_completions`] hands it to
//! [`crate::answer::answer`], which runs as a task of its own in [`work`]. Whatever goes wrong
//! becomes an answer in [`error`], and there alone.

mod admission;
mod body;
mod chat_completions;
mod command;
mod connection;
mod error;
mod exchange;
mod facts;
mod models;
mod probes;
mod router;
mod server;
mod stream;
mod target;
mod work;

pub(crate) use command::command;
