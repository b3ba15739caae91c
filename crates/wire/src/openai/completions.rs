//! Completions of a text: `/v1/completions`, the surface that was there before conversations and
//! by which editors have gaps filled.

mod answer;
mod encode;
mod request;

pub use answer::{ChunkReader, parse_completion};
pub use encode::{StreamEncoder, encode_completion};
pub use request::{encode_request, parse_request};
