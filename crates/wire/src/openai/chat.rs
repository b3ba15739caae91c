//! Chat completions: `/v1/chat/completions`.

mod answer;
mod encode;
mod extra;
mod outward;
mod request;
mod usage;

pub use answer::{ChunkReader, DecodeError, Piece, StreamEnd, parse_completion};
pub use encode::{AnswerHead, StreamEncoder, encode_completion};
pub use extra::Extra;
pub use outward::{Dialect, MaxTokensField, OutwardRequest, Sampling};
pub use request::{ChatRequest, Delivery, RequestedGeneration, StreamUsage, parse_request};
