//! `tiergate serve`: the vendors' protocols over HTTP/1.1.
//!
//! [`command()`] listens, makes the application ready and ends in order. A request comes in over a
//! [`connection`], passes the layers that [`router`] lists, and [`chat`] reads it as its [`surface`]
//! says and hands it to [`crate::answer::answer`], which runs as a task of its own in [`work`].
//! Whatever goes wrong becomes an answer in [`error`], and there alone; [`vendor`] writes it in
//! the client's protocol.

mod admission;
mod batches;
mod body;
mod call;
mod chat;
mod command;
mod connection;
mod count_tokens;
mod decisions;
mod embeddings;
mod error;
mod exchange;
mod facts;
mod file_folder;
mod files;
mod google;
mod keep;
mod models;
mod probes;
mod responses;
mod router;
mod server;
mod stream;
mod surface;
mod target;
mod vendor;
mod work;

pub(crate) use command::command;
