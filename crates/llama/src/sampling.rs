//! Choosing a token from logits.
//!
//! ```text
//!  logits + bias - penalties ─► grammar ─► top k ─► / temperature ─► typical ─► top p ─► min p ─► one of them
//! ```
//!
//! Each rule looks at the probabilities that the rules before it left.

use crate::grammar::{Allowed, Grammar};
use crate::kernels::Instructions;
use crate::probability::log_normaliser_of;
use crate::tokenizer::TokenId;
use std::collections::HashMap;

/// Which tokens may be chosen, and how likely. The default leaves the model's probabilities alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Only so many of the most probable; 0 is no limit.
    pub top_k: usize,
    /// Only the most probable that together have this probability, 0 to 1; at least one.
    pub top_p: f64,
    /// Only those at least this many times as probable as the most probable, 0 to 1.
    pub min_p: f64,
    /// Only those whose surprise is nearest to the expected one and that together have this
    /// probability, 0 to 1 (Meister et al. 2023, "Locally Typical Sampling").
    pub typical_p: f64,
    /// What logits of tokens in the prompt or the answer are divided by where positive, multiplied
    /// by where negative (Keskar et al. 2019, "CTRL"); 1 changes nothing.
    pub repetition_penalty: f32,
    /// Taken from a token's logit for each time that it is in the answer.
    pub frequency_penalty: f32,
    /// Taken from the logit of each token that is in the answer.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens; negative infinity forbids one.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// How many of the most probable tokens to report beside the chosen one.
    pub alternatives: usize,
    /// What the text must be.
    pub grammar: Option<Grammar>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            alternatives: 0,
            grammar: None,
        }
    }
}

/// A token that was chosen.
pub(crate) struct Chosen {
    pub(crate) token: TokenId,
    /// The natural logarithm of its probability by the model alone, at temperature 1.
    pub(crate) log_probability: f64,
    /// The most probable tokens by the model alone, with the same of theirs.
    pub(crate) alternatives: Vec<(TokenId, f64)>,
}

/// Chooses tokens, the same ones from the same seed and logits.
pub(crate) struct Sampler {
    rules: Sampling,
    temperature: f64,
    random: SplitMix64,
    instructions: Instructions,
    /// How often each token is in the answer.
    answer: HashMap<TokenId, u32>,
}

/// A token that may be chosen, and its logit or its weight.
type Candidate = (TokenId, f64);

impl Sampler {
    /// `temperature` 0 always chooses the most probable token.
    pub(crate) fn new(
        rules: Sampling,
        (temperature, seed): (f64, u64),
        instructions: Instructions,
    ) -> Self {
        Self {
            rules,
            temperature,
            random: SplitMix64(seed),
            instructions,
            answer: HashMap::new(),
        }
    }

    /// The next token after `read`, the prompt and the answer so far. Of equally probable tokens
    /// the greedy choice is the lowest number.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        read: &[TokenId],
        allowed: Option<&Allowed>,
    ) -> Chosen {
        let mut adjusted = self.adjusted(logits, read);
        if let Some(allowed) = allowed {
            allowed.apply(&mut adjusted);
        }
        let token = if self.temperature == 0.0 {
            most_probable(&adjusted) as TokenId
        } else {
            self.at_temperature(&adjusted)
        };
        *self.answer.entry(token).or_insert(0) += 1;
        let normaliser = log_normaliser_of(self.instructions, logits);
        let mut alternatives = Vec::new();
        if self.rules.alternatives > 0 {
            alternatives = candidates(logits);
            keep_largest(&mut alternatives, self.rules.alternatives);
        }
        for (_, logit) in &mut alternatives {
            *logit -= normaliser;
        }
        Chosen {
            token,
            log_probability: f64::from(logits[token as usize]) - normaliser,
            alternatives,
        }
    }

    /// The logits after biases and penalties.
    fn adjusted(&self, logits: &[f32], read: &[TokenId]) -> Vec<f32> {
        let rules = &self.rules;
        let mut adjusted = logits.to_vec();
        for (token, bias) in &rules.logit_bias {
            if let Some(logit) = adjusted.get_mut(*token as usize) {
                *logit += bias;
            }
        }
        for (token, count) in &self.answer {
            adjusted[*token as usize] -=
                rules.presence_penalty + rules.frequency_penalty * *count as f32;
        }
        if rules.repetition_penalty != 1.0 {
            let mut tokens = read.to_vec();
            tokens.extend(self.answer.keys());
            tokens.sort_unstable();
            tokens.dedup();
            for token in tokens {
                let logit = &mut adjusted[token as usize];
                if *logit > 0.0 {
                    *logit /= rules.repetition_penalty;
                } else {
                    *logit *= rules.repetition_penalty;
                }
            }
        }
        adjusted
    }

    fn at_temperature(&mut self, logits: &[f32]) -> TokenId {
        let best = most_probable(logits);
        let most = f64::from(logits[best]);
        let mut candidates = candidates(logits);
        if self.rules.top_k > 0 {
            keep_largest(&mut candidates, self.rules.top_k);
        }
        for (_, logit) in &mut candidates {
            *logit = ((*logit - most) / self.temperature).exp();
        }
        if self.rules.typical_p < 1.0 {
            keep_typical(&mut candidates, self.rules.typical_p);
        }
        if self.rules.top_p < 1.0 {
            keep_nucleus(&mut candidates, self.rules.top_p);
        }
        if self.rules.min_p > 0.0 {
            let largest = candidates.iter().map(|(_, weight)| *weight);
            let least = self.rules.min_p * largest.fold(0.0, f64::max);
            candidates.retain(|(_, weight)| *weight >= least);
        }
        // In the order of their numbers, whatever order the rules left them in.
        candidates.sort_unstable_by_key(|(token, _)| *token);
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.unit() * total;
        for (token, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        // Rounding left a trifle over.
        best as TokenId
    }
}

fn candidates(logits: &[f32]) -> Vec<Candidate> {
    (0..)
        .zip(logits)
        .map(|(token, logit)| (token, f64::from(*logit)))
        .collect()
}

/// The largest first, equals by their number.
fn larger(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the `count` largest, in order.
fn keep_largest(candidates: &mut Vec<Candidate>, count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, larger);
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(larger);
}

/// Keeps the largest weights that together are at least `share` of all.
fn keep_nucleus(candidates: &mut Vec<Candidate>, share: f64) {
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    // Weights so small that all of their kind together are less than what is to go need no
    // sorting: they go.
    let least = total * (1.0 - share) / candidates.len() as f64;
    candidates.retain(|(_, weight)| *weight >= least);
    candidates.sort_unstable_by(larger);
    keep_until(candidates, share * total);
}

/// Keeps the weights whose surprise is nearest to the expected one.
fn keep_typical(candidates: &mut Vec<Candidate>, share: f64) {
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    let surprise = |weight: f64| -(weight / total).ln();
    let expected: f64 = candidates
        .iter()
        .filter(|(_, weight)| *weight > 0.0)
        .map(|(_, weight)| weight / total * surprise(*weight))
        .sum();
    let distance = |candidate: &Candidate| (surprise(candidate.1) - expected).abs();
    candidates.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    keep_until(candidates, share * total);
}

/// Keeps the first candidates that together weigh at least `enough`; at least one.
fn keep_until(candidates: &mut Vec<Candidate>, enough: f64) {
    let mut sum = 0.0;
    let needed = candidates.iter().position(|(_, weight)| {
        sum += weight;
        sum >= enough
    });
    if let Some(last) = needed {
        candidates.truncate(last + 1);
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
