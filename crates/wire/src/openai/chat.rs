//! Chat completions: `/v1/chat/completions`.

mod answer;
mod chunk;
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
pub use encode::encode_completion;
pub use outward::encode_request;
pub use request::parse_request;
pub use stream::StreamEncoder;

pub(crate) use answer::finish_reason;
pub(crate) use encode::finish_reason as finish_reason_name;
pub(crate) use message::media_at;
pub(crate) use options::{read_answer_schema, read_effort};
pub(crate) use outward::{address, answer_schema, effort, sampling};
pub(crate) use request::{read_generation, read_stream_usage};
pub(crate) use tools::take_function;
pub(crate) use usage::{read_usage, usage_body};
