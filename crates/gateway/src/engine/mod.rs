//! The embedded engine in a process of its own.
//!
//! ```text
//!  gateway                                          tiergate engine-worker
//!  tier::local ─► Worker ─► writer thread ─┐      ┌─► reader ─► preparers ─► llama::Engine
//!       ▲           │                      socket                              │
//!       └───────────┴── supervisor thread ◄┘      └── writer ◄─────────────────┘
//! ```
//!
//! The worker is the same program. Before it looks at the model file it gives up the network, all
//! files but the model's, and memory beyond a limit ([`sandbox`]). What breaks it, a hostile file
//! included, fails the requests that are in it; the supervisor then starts it again.

mod codec;
mod exposure;
mod measure;
mod process;
mod protocol;
mod sandbox;
mod supervisor;
mod worker;

pub(crate) use exposure::command as exposure_command;
pub(crate) use measure::command as measure_command;
pub(crate) use protocol::{
    About, CallsAtOnce, Chat, Choice, End, FaultKind, Load, Piece, Prompt, Source, Start, Token,
    Usage, Work, Writing, Written,
};
pub(crate) use supervisor::{Call, Health, NotStarted, Worker};
pub(crate) use worker::command as worker_command;
