//! Choosing a token from logits.

use crate::kernels::Instructions;
use crate::probability::log_normaliser_of;
use crate::tokenizer::TokenId;

/// Chooses tokens, the same ones from the same seed and logits.
pub(crate) struct Sampler {
    temperature: f64,
    random: SplitMix64,
    instructions: Instructions,
}

impl Sampler {
    /// `temperature` 0 always chooses the most probable token.
    pub(crate) fn new(temperature: f64, seed: u64, instructions: Instructions) -> Self {
        Self {
            temperature,
            random: SplitMix64(seed),
            instructions,
        }
    }

    /// A token, and the natural logarithm of its probability at temperature 1. Of equally
    /// probable tokens the greedy choice is the lowest number.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> (TokenId, f64) {
        let token = if self.temperature == 0.0 {
            most_probable(logits)
        } else {
            self.at_temperature(logits)
        };
        (
            token as TokenId,
            f64::from(logits[token]) - log_normaliser_of(self.instructions, logits),
        )
    }

    fn at_temperature(&mut self, logits: &[f32]) -> usize {
        let most = f64::from(logits[most_probable(logits)]);
        let weight = |logit: &f32| ((f64::from(*logit) - most) / self.temperature).exp();
        let total: f64 = logits.iter().map(weight).sum();
        let mut left = self.random.unit() * total;
        for (token, logit) in logits.iter().enumerate() {
            left -= weight(logit);
            if left < 0.0 {
                return token;
            }
        }
        // Rounding left a trifle over.
        most_probable(logits)
    }
}

fn most_probable(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

/// Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators", figure 13: small,
/// and any seed will do.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0 (included) to 1 (excluded), 53 bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
