//! Messages: `/v1/messages` and `/v1/messages/count_tokens`.

mod answer;
mod block;
mod chunk;
mod count;
mod encode;
mod message;
mod options;
mod outward;
mod request;
mod stream;
mod tools;
mod usage;

pub use answer::parse_completion;
pub use chunk::ChunkReader;
pub use count::{encode_count, encode_count_request, parse_count, parse_count_request};
pub use encode::encode_completion;
pub use outward::encode_request;
pub use request::parse_request;
pub use stream::StreamEncoder;

use domain::Protocol;

const PROTOCOL: Protocol = Protocol::Anthropic;
