//! From what an answer brings to one raw confidence.
//!
//! Never a model's own words about its confidence: only what it computed on the way.

use domain::LabelProbabilities;

use crate::elementary::exp;

/// What an answer brings that says how far it can be relied on.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// A probability for each label (`classify`, `flag`).
    Labels(LabelProbabilities),
    /// The log-probabilities of a free text's tokens.
    Tokens(TokenLogProbabilities),
}

impl Evidence {
    /// The raw confidence, 0 to 1: the likeliest label's probability, or the geometric mean of
    /// the tokens' probabilities. It ranks answers of one tier; it is no probability of being
    /// right, and scores of different tiers can't be compared.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        match self {
            Self::Labels(probabilities) => probabilities.top().1.clamp(0.0, 1.0),
            Self::Tokens(tokens) => exp(tokens.mean()).clamp(0.0, 1.0),
        }
    }
}

/// Log-probabilities of the tokens that a tier wrote: at least one, each a number of at most 0.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogProbabilities {
    mean: f64,
    /// As they were written; (n_tokens).
    in_order: Vec<f64>,
    /// Ascending; (n_tokens).
    sorted: Vec<f64>,
    /// The probability that the model gives its own answer of being right.
    self_check: Option<f64>,
}

/// Why numbers are no log-probabilities of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// There are none.
    #[error("no token's log-probability; an answer without tokens brings no evidence")]
    Empty,
    /// One is NaN or above 0.
    #[error("token {0}: its log-probability is no number of at most 0")]
    NotALogProbability(usize),
}

impl TokenLogProbabilities {
    /// A rounding error above 0 that is forgiven and read as 0.
    const ROUNDING: f64 = 1e-3;

    /// The checked log-probabilities (natural logarithms). Minus infinity is allowed.
    ///
    /// # Errors
    /// When there are none, or one is NaN or greater than 0 by more than a rounding error.
    pub fn new(log_probabilities: &[f64]) -> Result<Self, TokensError> {
        if log_probabilities.is_empty() {
            return Err(TokensError::Empty);
        }
        let fault = |x: &f64| x.is_nan() || *x > Self::ROUNDING;
        if let Some(index) = log_probabilities.iter().position(fault) {
            return Err(TokensError::NotALogProbability(index));
        }
        Ok(Self::checked(
            log_probabilities.iter().map(|x| x.min(0.0)).collect(),
        ))
    }

    fn checked(in_order: Vec<f64>) -> Self {
        // In the order of the text, not the sorted one: the sum's order is part of its value.
        let mean = in_order.iter().sum::<f64>() / in_order.len() as f64;
        let mut sorted = in_order.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            mean,
            in_order,
            sorted,
            self_check: None,
        }
    }

    /// The same with the probability, 0 to 1, that the model gives its answer of being right when
    /// it is asked; `None` where it was not.
    #[must_use]
    pub fn with_self_check(self, self_check: Option<f64>) -> Self {
        Self { self_check, ..self }
    }

    /// The probability that the model gives its own answer of being right, where it was asked.
    #[must_use]
    pub fn self_check(&self) -> Option<f64> {
        self.self_check
    }

    /// What was known when so many tokens were written, nothing of a self-check; the whole text's
    /// tokens where there are no more.
    ///
    /// # Panics
    /// When `tokens` is zero.
    #[must_use]
    pub fn first(&self, tokens: usize) -> Self {
        assert!(
            tokens > 0,
            "nothing is known of an answer before its first token"
        );
        let end = tokens.min(self.in_order.len());
        Self::checked(self.in_order[..end].to_vec())
    }

    /// The mean log-probability of a token.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// How many tokens there are; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a token")]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The log-probability below which the share `at` of the tokens lies (nearest rank); 0 is
    /// the least likely token, 1 the likeliest.
    ///
    /// # Panics
    /// When `at` is outside 0 to 1.
    #[must_use]
    pub fn quantile(&self, at: f64) -> f64 {
        assert!((0.0..=1.0).contains(&at), "a quantile is between 0 and 1");
        let last = self.sorted.len() - 1;
        self.sorted[(at * last as f64).round() as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn confidence_is_the_top_probability_or_the_geometric_mean() {
        let labels = Evidence::Labels(LabelProbabilities::from_logits(&[0.0, 3.0_f64.ln()]));
        assert!((labels.confidence() - 0.75).abs() < 1e-12);
        let tokens = TokenLogProbabilities::new(&[0.25_f64.ln(), 1.0_f64.ln()]).unwrap();
        assert!((Evidence::Tokens(tokens).confidence() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn only_log_probabilities_are_taken() {
        assert_eq!(TokenLogProbabilities::new(&[]), Err(TokensError::Empty));
        for wrong in [f64::NAN, 0.5, f64::INFINITY] {
            let fault = TokenLogProbabilities::new(&[-1.0, wrong]);
            assert_eq!(fault, Err(TokensError::NotALogProbability(1)), "{wrong}");
        }
        let never = TokenLogProbabilities::new(&[f64::NEG_INFINITY]).unwrap();
        assert_eq!(Evidence::Tokens(never).confidence(), 0.0);
    }

    proptest! {
        #[test]
        fn confidence_is_a_share_and_quantiles_ascend(
            logs in proptest::collection::vec(-60.0_f64..=0.0, 1..50)
        ) {
            let tokens = TokenLogProbabilities::new(&logs).unwrap();
            let quantiles: Vec<f64> =
                (0..=10).map(|tenth| tokens.quantile(f64::from(tenth) / 10.0)).collect();
            prop_assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert_eq!(tokens.len(), logs.len());
            for n in 1..=logs.len() + 1 {
                let known = &logs[..n.min(logs.len())];
                prop_assert_eq!(tokens.first(n), TokenLogProbabilities::new(known).unwrap());
            }
            let confidence = Evidence::Tokens(tokens).confidence();
            prop_assert!((0.0..=1.0).contains(&confidence));
        }
    }
}
