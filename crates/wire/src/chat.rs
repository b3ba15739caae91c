//! What the chat protocols have in common: a conversation goes in, a completion comes out.
//!
//! Each protocol's module has the same pieces under the same names: `parse_request` and
//! `OutwardRequest::encode` for what goes in, `parse_completion`, `ChunkReader`,
//! `encode_completion` and `StreamEncoder` for what comes out.

mod answer;
mod error;
mod extra;
mod outward;
mod request;
mod tool;

pub use answer::{AnswerHead, DecodeError};
pub use error::{ErrorBody, VendorError};
pub use extra::Extra;
pub use outward::{Dialect, MaxTokensField, OutwardRequest, Sampling};
pub use request::{ChatRequest, Delivery, RequestedGeneration, StreamUsage};

pub(crate) use answer::not_the_protocol;
pub(crate) use request::short;
pub(crate) use tool::vendor_tool;
