//! Embeddings: `models/MODEL:embedContent` and `:batchEmbedContents`, and Vertex' `:predict`.

mod answer;
mod outward;
mod request;

pub use answer::{encode_embedding, encode_embeddings, encode_predictions, parse_embeddings};
pub use outward::Manner;
pub use request::{parse_batch_request, parse_predict_request, parse_request};
