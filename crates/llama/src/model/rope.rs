//! How far positions turn queries and keys, from the file's metadata.

use super::Config;
use super::config::{CONTEXT_MAX, fault};
use super::source::Source;
use super::weights::{ReadFault, vector};
use crate::error::{Fault, Parsed, Place, quoted};
use crate::gguf::Gguf;
use std::f64::consts::TAU;

/// How fast each pair of a head's dimensions turns.
///
/// Pair `i` turns by `base^(-2i / rope_dim)` for each position (Su et al. 2021, "RoFormer",
/// section 3.2.2), divided by `rope_freqs.weight[i]` where the file has them, and then scaled as
/// the file says.
pub(crate) struct RopeFrequencies {
    /// Radians for each position, (rope_dim / 2).
    pub(crate) radians: Vec<f64>,
    /// What a turned query or key is multiplied by.
    pub(crate) magnitude: f64,
}

impl RopeFrequencies {
    pub(super) fn read(
        file: &Gguf<'_>,
        source: &Source<'_>,
        config: &Config,
    ) -> Result<Self, ReadFault> {
        let base = Self::base(file)?;
        let scaling = Scaling::read(file, config, base)?;
        let pairs = config.rope_dim / 2;
        let factors = rope_factors(file, source, pairs)?;
        let factor = |i: usize| factors.as_ref().map_or(1.0, |all| f64::from(all[i]));
        let frequency = |i: usize| {
            let plain = base.powf(-2.0 * i as f64 / config.rope_dim as f64);
            scaling.scaled(plain / factor(i), i)
        };
        Ok(Self {
            radians: (0..pairs).map(frequency).collect(),
            magnitude: scaling.magnitude(),
        })
    }

    /// The base of the frequencies.
    pub(super) fn base(file: &Gguf<'_>) -> Parsed<f64> {
        Ok(positive(file, "rope.freq_base")?.unwrap_or(10_000.0))
    }
}

/// How frequencies are made slower for more positions than a model was first trained for.
enum Scaling {
    /// All by this factor.
    Linear(f64),
    /// Yet another RoPE extensioN (Peng et al. 2023, "YaRN", sections 3.2 to 3.4): slow pairs by
    /// the factor, fast ones not at all, and those between by a share that grows with the pair's
    /// number. With the numbers of llama.cpp, whose files these are.
    Yarn {
        factor: f64,
        /// Below it a pair keeps its frequency.
        low: f64,
        /// From it on a pair is scaled wholly.
        high: f64,
        /// The share of what is kept that is kept; 1 for YaRN as in the paper.
        kept: f64,
        magnitude: f64,
    },
}

impl Scaling {
    fn read(file: &Gguf<'_>, config: &Config, base: f64) -> Parsed<Self> {
        const KEY: &str = "llama.rope.scaling.type";
        let factor = positive(file, "rope.scaling.factor")?;
        match file.string(KEY)? {
            None => {
                let linear = positive(file, "rope.scale_linear")?.or(factor);
                Ok(Self::Linear(linear.unwrap_or(1.0)))
            }
            Some("none") => Ok(Self::Linear(1.0)),
            Some("linear") => Ok(Self::Linear(factor.unwrap_or(1.0))),
            Some("yarn") => Self::yarn(file, config, (base, factor.unwrap_or(1.0))),
            Some(other) => {
                let message = format!(
                    "rope scaling {} is not supported; none, linear and yarn are",
                    quoted(other)
                );
                Err(Fault::unsupported(Place::Key(KEY.into()), message))
            }
        }
    }

    fn yarn(file: &Gguf<'_>, config: &Config, (base, factor): (f64, f64)) -> Parsed<Self> {
        const MULTIPLIER: &str = "llama.rope.scaling.yarn_log_multiplier";
        if file.float(MULTIPLIER)?.is_some_and(|it| it != 0.0) {
            let message = "a multiplier of its own for the logarithm is not supported; none is";
            return Err(Fault::unsupported(Place::Key(MULTIPLIER.into()), message));
        }
        if base == 1.0 {
            let message = "1 turns all pairs alike, and YaRN has nothing to go by".to_owned();
            return Err(fault("rope.freq_base", message));
        }
        let context = match file.usize("llama.rope.scaling.original_context_length")? {
            None => config.context_tokens,
            Some(n) if (1..=CONTEXT_MAX).contains(&n) => n,
            Some(n) => {
                let message = format!("{n} is outside 1 to {CONTEXT_MAX}");
                return Err(fault("rope.scaling.original_context_length", message));
            }
        };
        let number = |key: &str, default: f64| -> Parsed<f64> {
            let found = positive(file, &format!("rope.scaling.{key}"))?;
            Ok(found.unwrap_or(default))
        };
        // The pair that turns so often within the first context.
        let pair = |turns: f64| {
            config.rope_dim as f64 * (context as f64 / (turns * TAU)).ln() / (2.0 * base.ln())
        };
        let (fast, slow) = (
            number("yarn_beta_fast", 32.0)?,
            number("yarn_beta_slow", 1.0)?,
        );
        Ok(Self::Yarn {
            factor,
            low: pair(fast).floor().max(0.0),
            high: pair(slow).ceil().min(config.rope_dim as f64 - 1.0),
            kept: number("yarn_ext_factor", 1.0)?,
            magnitude: number("attn_factor", 1.0)? * (1.0 + 0.1 * factor.max(1.0).ln()),
        })
    }

    /// The frequency of pair `i`.
    fn scaled(&self, plain: f64, i: usize) -> f64 {
        match self {
            Self::Linear(factor) => plain / factor,
            Self::Yarn {
                factor,
                low,
                high,
                kept,
                ..
            } => {
                /// The least width of what lies between.
                const WIDTH: f64 = 0.001;
                let along = (i as f64 - low) / (high - low).max(WIDTH);
                let kept = (1.0 - along.clamp(0.0, 1.0)) * kept;
                plain / factor * (1.0 - kept) + plain * kept
            }
        }
    }

    fn magnitude(&self) -> f64 {
        match self {
            Self::Linear(_) => 1.0,
            Self::Yarn { magnitude, .. } => *magnitude,
        }
    }
}

fn positive(file: &Gguf<'_>, key: &str) -> Parsed<Option<f64>> {
    match file.float(&format!("llama.{key}"))? {
        Some(x) if x <= 0.0 => Err(fault(key, format!("{x} must be greater than 0"))),
        other => Ok(other),
    }
}

fn rope_factors(
    file: &Gguf<'_>,
    source: &Source<'_>,
    pairs: usize,
) -> Result<Option<Vec<f32>>, ReadFault> {
    const NAME: &str = "rope_freqs.weight";
    if file.tensor(NAME).is_none() {
        return Ok(None);
    }
    let factors = vector(file, source, NAME, pairs)?;
    if factors
        .iter()
        .all(|factor| factor.is_finite() && *factor > 0.0)
    {
        return Ok(Some(factors));
    }
    let message = "a factor is not greater than 0";
    Err(Fault::malformed(Place::Tensor(NAME.into()), message).into())
}
