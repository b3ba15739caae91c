//! What a text is about, as a vector.

use super::Session;
use crate::error::RequestError;
use crate::tokenizer::TokenId;

/// Which tokens' outputs make an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all.
    Mean,
    /// The last token's.
    Last,
}

impl Session {
    /// What a text of these tokens is about, as a vector of length 1, (dim): the last layer's
    /// outputs, of all tokens or of the last. The session is then the sequence of these tokens.
    ///
    /// # Errors
    ///
    /// As [`Session::prefill`], and [`RequestError::EmptyPrompt`].
    pub fn embed(
        &mut self,
        tokens: &[TokenId],
        pooling: Pooling,
    ) -> Result<Vec<f32>, RequestError> {
        if tokens.is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        self.check(tokens, 0)?;
        self.truncate(0);
        let outputs = self.read(tokens, |block| match pooling {
            Pooling::Mean => 0..block,
            Pooling::Last => 0..0,
        })?;
        let dim = self.model.config.dim;
        let mut sums = vec![0.0f64; dim];
        for output in outputs.chunks_exact(dim) {
            for (sum, x) in sums.iter_mut().zip(output) {
                *sum += f64::from(*x);
            }
        }
        Ok(normalised(&sums))
    }
}

/// The vector of length 1 in this direction.
pub(crate) fn normalised(sums: &[f64]) -> Vec<f32> {
    let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
    sums.iter().map(|x| (x / length) as f32).collect()
}
