//! A vendor to test against: a real HTTP server that speaks the protocols of OpenAI (chat, completions,
//! responses, embeddings), Anthropic and Google (AI Studio and Vertex), answers from given answers with a stated rate of wrong ones, keeps a bill of its own and fails on demand.
//!
//! ```no_run
//! # async fn start() -> Result<(), standin::StandinError> {
//! use standin::{AnswerSet, Answers, Standin, StandinOptions};
//!
//! let labels = vec!["up".to_owned(), "down".to_owned()];
//! let known = [("gold gains $2".to_owned(), "up".to_owned())];
//! let answers = Answers::new(vec![AnswerSet::new(labels, known)]);
//! let running = Standin::start(StandinOptions::new(answers)).await?;
//! println!("{}", running.url());
//! running.shutdown().await;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod answers;
mod embedding;
mod fault;
pub mod journal;
mod loopback;
mod refusal;
mod reply;
mod routes;
mod server;
mod surface;
mod tokens;
mod writing;

pub use answers::{AnswerSet, Answers};
pub use fault::{Fault, FaultError, FaultRule, When};
pub use loopback::own_address;
pub use server::{Pace, RunningStandin, Standin, StandinError, StandinOptions};
