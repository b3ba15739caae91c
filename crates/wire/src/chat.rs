//! What the chat protocols have in common: a conversation goes in, a completion comes out.
//!
//! Each protocol's module has the same pieces under the same names: `parse_request` and
//! `OutwardRequest::encode` for what goes in, `parse_completion`, `ChunkReader`,
//! `encode_completion` and `StreamEncoder` for what comes out. [`Form`] and [`ChunkReader`] with
//! its functions choose among them by protocol.

mod answer;
mod client;
mod error;
mod extra;
mod loss;
mod outward;
mod request;
pub(crate) mod rules;
mod told;
mod tool;
mod unpriced;
mod vendor;

pub use answer::{AnswerHead, DecodeError};
pub use client::{Form, StreamEncoder};
pub use error::{ErrorBody, VendorError};
pub use extra::Extra;
pub use loss::Lossy;
pub use outward::{Dialect, MaxTokensField, Naming, OutwardRequest, Sampling};
pub use vendor::{ChunkReader, Surface, encode_request, parse_completion};

pub use request::{ChatRequest, Delivery, RequestedGeneration, StreamUsage};

pub(crate) use answer::not_the_protocol;
pub(crate) use loss::says_something;
pub(crate) use request::COMPLETIONS_MAX;
pub(crate) use tool::vendor_tool;
