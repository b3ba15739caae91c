//! The stand-in's embeddings: vectors drawn from the texts, the same for the same text.

use domain::PromptTokens;
use sha2::{Digest, Sha256};
use wire::embedding::{EmbeddingRequest, EmbeddingText, Embeddings};

use crate::answers::{number, unit};
use crate::tokens::pieces;

/// How many numbers a vector has that nobody asked to have more or fewer.
const DIMENSIONS: u32 = 8;
/// Most numbers of a vector.
const DIMENSIONS_MAX: u32 = 4_096;

/// The vectors of these texts, each of length 1.
pub(crate) fn embed(model: &str, request: &EmbeddingRequest) -> Embeddings {
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS).min(DIMENSIONS_MAX);
    let vectors = request.texts.iter().map(|text| vector(text, dimensions));
    Embeddings {
        vectors: vectors.collect(),
        prompt: Some(tokens(request)),
        model: model.to_owned(),
    }
}

/// The tokens of these texts.
pub(crate) fn tokens(request: &EmbeddingRequest) -> PromptTokens {
    let count = |text: &EmbeddingText| match text {
        EmbeddingText::Plain(text) => pieces(text).count() as u64,
        EmbeddingText::Tokens(tokens) => tokens.len() as u64,
    };
    PromptTokens(request.texts.iter().map(count).sum())
}

fn vector(text: &EmbeddingText, dimensions: u32) -> Vec<f32> {
    let bytes = match text {
        EmbeddingText::Plain(text) => text.as_bytes().to_vec(),
        EmbeddingText::Tokens(tokens) => tokens.iter().flat_map(|it| it.to_le_bytes()).collect(),
    };
    let draw = |index: u32| {
        let mut hash = Sha256::new();
        hash.update(index.to_le_bytes());
        hash.update(&bytes);
        unit(number(&hash.finalize())) - 0.5
    };
    let drawn: Vec<f64> = (0..dimensions).map(draw).collect();
    let length = drawn.iter().map(|it| it * it).sum::<f64>().sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "vectors are made of numbers of 32 bits"
    )]
    drawn.iter().map(|it| (it / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::embedding::Encoding;

    #[test]
    fn the_same_text_has_the_same_vector_of_length_one() {
        let request = EmbeddingRequest {
            model: "m".into(),
            texts: vec!["a".into(), "b".into(), "a".into()],
            dimensions: Some(16),
            task: None,
            encoding: Encoding::Numbers,
        };
        let vectors = embed("m", &request).vectors;
        assert_eq!(vectors[0], vectors[2]);
        assert_ne!(vectors[0], vectors[1]);
        let length: f32 = vectors[1].iter().map(|it| it * it).sum();
        assert!((length - 1.0).abs() < 1e-5 && vectors[1].len() == 16);
    }
}
