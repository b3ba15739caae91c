//! A model's sizes, from the file's metadata.

use crate::error::{Fault, Parsed, Place, quoted};
use crate::gguf::{Gguf, Value};
use crate::session::Pooling;

/// The sizes of a Llama model, with the names of the Llama papers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Width of the residual stream.
    pub dim: usize,
    /// Layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a query or key.
    pub head_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
    /// Width of the feed-forward network.
    pub hidden_dim: usize,
    /// Positions that the model was trained for.
    pub context_tokens: usize,
    /// Rows of the embedding, at least the tokenizer's tokens.
    pub vocabulary: usize,
    /// Epsilon of the root-mean-square normalisation.
    pub norm_epsilon: f32,
    /// Dimensions of a head that are rotated; even.
    pub rope_dim: usize,
    /// Which tokens' outputs make an embedding: what the file says, otherwise the mean.
    pub pooling: Pooling,
}

/// No model comes near: a guard for the arithmetic below.
const SIZE_MAX: usize = 1 << 24;
pub(super) const CONTEXT_MAX: usize = 1 << 30;

impl Config {
    pub(super) fn read(file: &Gguf<'_>) -> Parsed<Self> {
        check_architecture(file)?;
        let dim = size(file, "embedding_length")?;
        let n_heads = size(file, "attention.head_count")?;
        let n_kv_heads = optional(file, "attention.head_count_kv", n_heads)?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            let message = format!("{n_kv_heads} key heads do not divide {n_heads} query heads");
            return Err(fault("attention.head_count_kv", message));
        }
        let head_dim = optional(file, "attention.key_length", dim / n_heads)?;
        let value_dim = optional(file, "attention.value_length", head_dim)?;
        let rope_dim = optional(file, "rope.dimension_count", head_dim)?;
        if !rope_dim.is_multiple_of(2) || rope_dim > head_dim {
            let message =
                format!("{rope_dim} must be even and no greater than the head's {head_dim}");
            return Err(fault("rope.dimension_count", message));
        }
        let epsilon = file
            .float("llama.attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| {
                fault(
                    "attention.layer_norm_rms_epsilon",
                    "the file lacks it".into(),
                )
            })?;
        if !(0.0..1.0).contains(&epsilon) {
            let message = format!("{epsilon} is outside 0 to 1");
            return Err(fault("attention.layer_norm_rms_epsilon", message));
        }
        let context_tokens = size_up_to(file, "context_length", CONTEXT_MAX)?;
        let embedding = file.tensor("token_embd.weight").ok_or_else(|| {
            let message = "the file lacks it; convert the model again";
            Fault::malformed(Place::Tensor("token_embd.weight".into()), message)
        })?;
        Ok(Self {
            dim,
            n_layers: size(file, "block_count")?,
            n_heads,
            n_kv_heads,
            head_dim,
            value_dim,
            hidden_dim: size(file, "feed_forward_length")?,
            context_tokens,
            vocabulary: embedding.rows,
            norm_epsilon: epsilon as f32,
            rope_dim,
            pooling: pooling(file)?,
        })
    }
}

fn check_architecture(file: &Gguf<'_>) -> Parsed<()> {
    const KEY: &str = "general.architecture";
    let unsupported =
        |key: &str, message: String| Err(Fault::unsupported(Place::Key(key.into()), message));
    match file.string(KEY)? {
        Some("llama") => {}
        Some(other) => {
            let message = format!("architecture {} is not supported; llama is", quoted(other));
            return unsupported(KEY, message);
        }
        None => {
            let message = "the file lacks it; give a language model in GGUF format";
            return Err(Fault::malformed(Place::Key(KEY.into()), message));
        }
    }
    match file.usize("llama.expert_count")? {
        None | Some(0) => Ok(()),
        Some(n) => {
            let message = format!("a mixture of {n} experts is not supported; dense models are");
            unsupported("llama.expert_count", message)
        }
    }
}

/// The pooling, by llama.cpp's numbers.
fn pooling(file: &Gguf<'_>) -> Parsed<Pooling> {
    const KEY: &str = "llama.pooling_type";
    match file.usize(KEY)? {
        None | Some(0 | 1) => Ok(Pooling::Mean),
        Some(3) => Ok(Pooling::Last),
        Some(other) => {
            let message = format!(
                "pooling {other} is not supported; 0 (none), 1 (mean) and 3 (last token) are"
            );
            Err(Fault::unsupported(Place::Key(KEY.into()), message))
        }
    }
}

pub(super) fn fault(key: &str, message: String) -> Fault {
    Fault::malformed(Place::Key(format!("llama.{key}")), message)
}

fn size(file: &Gguf<'_>, key: &str) -> Parsed<usize> {
    size_up_to(file, key, SIZE_MAX)
}

fn size_up_to(file: &Gguf<'_>, key: &str, max: usize) -> Parsed<usize> {
    match file.usize(&format!("llama.{key}"))? {
        Some(n) if (1..=max).contains(&n) => Ok(n),
        Some(n) => Err(fault(key, format!("{n} is outside 1 to {max}"))),
        None => Err(fault(
            key,
            "the file lacks it; convert the model again".into(),
        )),
    }
}

/// A size that has a default. (Some architectures give one for each layer; this one does not.)
fn optional(file: &Gguf<'_>, key: &str, default: usize) -> Parsed<usize> {
    match file.value(&format!("llama.{key}")) {
        None if default > 0 => Ok(default),
        None => Err(fault(
            key,
            "the file lacks it and the other sizes do not imply it".into(),
        )),
        Some(Value::Array(_)) => {
            let place = Place::Key(format!("llama.{key}"));
            Err(Fault::unsupported(
                place,
                "a value for each layer is not supported; one value is",
            ))
        }
        Some(_) => size(file, key),
    }
}
