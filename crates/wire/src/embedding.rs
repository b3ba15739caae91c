//! What the protocols of embeddings have in common: texts go in, vectors come out.

use std::fmt;

use domain::PromptTokens;

/// A client's request for embeddings. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// What the client asks to be answered by.
    pub model: String,
    /// The texts, at least one.
    pub texts: Vec<String>,
    /// How many numbers a vector shall have; at least 1.
    pub dimensions: Option<u32>,
    /// What the vectors are for, in Google's words, for example `RETRIEVAL_QUERY`.
    pub task: Option<String>,
    /// How vectors are written in the answer.
    pub encoding: Encoding,
}

/// How vectors are written in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As lists of numbers.
    #[default]
    Numbers,
    /// As base64 of their bytes, four to a number, the lowest first.
    Base64,
}

/// The embeddings of some texts.
#[derive(Clone, PartialEq)]
pub struct Embeddings {
    /// One vector for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens read, where the vendor tells them.
    pub prompt: Option<PromptTokens>,
    /// The vendor's name of the model; empty when it does not say.
    pub model: String,
}

impl fmt::Debug for EmbeddingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.texts.iter().map(String::len).sum();
        f.debug_struct("EmbeddingRequest")
            .field("model", &self.model)
            .field("texts", &self.texts.len())
            .field("bytes", &bytes)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings")
            .field("vectors", &self.vectors.len())
            .field("prompt", &self.prompt)
            .field("model", &self.model)
            .finish()
    }
}
