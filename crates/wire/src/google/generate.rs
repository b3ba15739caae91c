//! Generating content: `models/MODEL:generateContent`, `:streamGenerateContent`, `:countTokens`.

mod answer;
mod chunk;
mod count;
mod encode;
mod finish;
mod message;
mod options;
mod outward;
mod part;
mod partial;
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
pub use stream::{Framing, StreamEncoder};

use domain::Protocol;

const PROTOCOL: Protocol = Protocol::Google;
/// What the name of a tool call begins with that had none: this protocol's calls need none, and
/// those of all others do.
const NAMELESS: &str = "gcall_";
