//! Responses: `/v1/responses`.

mod answer;
mod chunk;
mod echo;
mod encode;
mod item;
mod message;
mod outward;
mod request;
mod state;
mod stream;
mod usage;

pub use answer::parse_completion;
pub use chunk::ChunkReader;
pub use echo::Echo;
pub use encode::encode_completion;
pub use outward::encode_request;
pub use request::parse_request;
pub use state::{Keeping, encode_deleted, going_on, input_items, output_items};
pub use stream::StreamEncoder;

use domain::Protocol;

const PROTOCOL: Protocol = Protocol::OpenAiResponses;
