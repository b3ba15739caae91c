//! HTTP to pools and frontiers.
//!
//! [`Egress`] owns every socket that leaves; an [`Endpoint`] is one server and model with its
//! limits; a [`Client`] completes prompts there. One call of [`Client::attempt`] or
//! [`Client::attempt_stream`] is one HTTP request and never more, so that the caller can hold
//! money before it and book after it:
//!
//! ```no_run
//! # use upstream::{Attempt, Billing, Client, UpstreamError};
//! # use tokio::time::{Instant, sleep};
//! # async fn answer(client: &Client, prompt: &domain::Prompt, generation: &domain::Generation)
//! #     -> Result<domain::Completion, UpstreamError> {
//! let mut schedule = client.schedule();
//! loop {
//!     // take a hold
//!     let attempt = Attempt {
//!         id: "attempt-1",
//!         prompt,
//!         generation,
//!         extra: None,
//!         deadline: schedule.deadline(),
//!     };
//!     match client.attempt(&attempt).await {
//!         Ok(completion) => break Ok(completion), // settle it
//!         Err(error) => {
//!             match error.billing() {
//!                 Billing::NotBilled => {} // release it
//!                 Billing::MayBeBilled => {} // keep it
//!             }
//!             match schedule.after(&error, Instant::now()) {
//!                 Some(wait) => sleep(wait).await,
//!                 None => break Err(error),
//!             }
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! [`Downloads`] fetches files, for a caller who keeps what has come and goes on from there.

#![forbid(unsafe_code)]

mod access_token;
mod address;
mod aws_account;
mod breaker;
mod classify;
mod client;
mod download;
mod egress;
mod embedding;
mod endpoint;
mod error;
mod google_account;
mod pool;
mod reading;
mod retry;
mod signature;
mod speech;

pub use address::{Address, AddressError};
pub use aws_account::{AwsAccount, AwsAccountError, AwsScope};
pub use breaker::BreakerPolicy;
pub use client::{Attempt, Client};
pub use domain::{Protocol, StreamEnd, StreamEvent};
pub use download::{Begun, Download, DownloadError, DownloadOptions, Downloads, Stop};
pub use egress::{Egress, EgressError, EgressOptions};
pub use embedding::EmbeddingAttempt;
pub use endpoint::{Endpoint, EndpointError, EndpointOptions, PlainHttp, TimeLimits};
pub use error::{Billing, Breakage, Output, Refusal, Side, Unreached, UpstreamError, VendorAnswer};
pub use google_account::{GoogleAccount, GoogleAccountError};
pub use pool::{Chosen, Pool, Prefix};
pub use reading::CompletionStream;
pub use retry::{RetryPolicy, RetrySchedule};
pub use secrecy::SecretString;
pub use speech::KeyHeader;
pub use wire::chat::{Dialect, MaxTokensField, Sampling};
