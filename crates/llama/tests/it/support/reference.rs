//! The Llama forward pass in double precision, one token at a time, as plainly as can be.

use super::gguf::File;
use super::tiny::{self, Shape};
use std::collections::HashMap;

pub(crate) struct Reference {
    shape: Shape,
    tensors: HashMap<String, Vec<f64>>,
}

impl Reference {
    pub(crate) fn new(file: &File, shape: &Shape) -> Self {
        let tensors = file
            .tensors
            .iter()
            .map(|t| (t.name.clone(), t.read_back()))
            .collect();
        Self {
            shape: shape.clone(),
            tensors,
        }
    }

    /// Logits after each token, (tokens, vocabulary).
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f64> {
        let s = &self.shape;
        let mut keys = vec![Vec::new(); s.n_layers];
        let mut values = vec![Vec::new(); s.n_layers];
        let mut out = Vec::new();
        for (position, token) in tokens.iter().enumerate() {
            let embedding = &self.tensors["token_embd.weight"];
            let mut x = embedding[*token as usize * s.dim..][..s.dim].to_vec();
            for layer in 0..s.n_layers {
                let weight = |part: &str| &self.tensors[&format!("blk.{layer}.{part}.weight")];
                let h = norm(&x, weight("attn_norm"));
                let q = self.rotate(multiply(weight("attn_q"), &h), position);
                keys[layer].push(self.rotate(multiply(weight("attn_k"), &h), position));
                values[layer].push(multiply(weight("attn_v"), &h));
                let mixed = self.attend(&q, &keys[layer], &values[layer]);
                add(&mut x, &multiply(weight("attn_output"), &mixed));
                let h = norm(&x, weight("ffn_norm"));
                let gate = multiply(weight("ffn_gate"), &h);
                let up = multiply(weight("ffn_up"), &h);
                let gated: Vec<f64> = gate
                    .iter()
                    .zip(&up)
                    .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                    .collect();
                add(&mut x, &multiply(weight("ffn_down"), &gated));
            }
            let h = norm(&x, &self.tensors["output_norm.weight"]);
            out.extend(multiply(
                self.tensors.get("output.weight").unwrap_or(embedding),
                &h,
            ));
        }
        out
    }

    fn rotate(&self, mut x: Vec<f64>, position: usize) -> Vec<f64> {
        let s = &self.shape;
        let factors = self.tensors.get("rope_freqs.weight");
        for head in x.chunks_mut(s.head_dim) {
            for i in 0..s.rope_dim / 2 {
                let exponent = -2.0 * i as f64 / s.rope_dim as f64;
                let mut angle = position as f64 * f64::from(s.rope_base).powf(exponent);
                angle /= factors.map_or(1.0, |factors| factors[i]);
                let (scale, length) = self.scale(i);
                angle /= scale;
                let (a, b) = (head[2 * i] * length, head[2 * i + 1] * length);
                head[2 * i] = a * angle.cos() - b * angle.sin();
                head[2 * i + 1] = a * angle.sin() + b * angle.cos();
            }
        }
        x
    }

    /// By what pair `i` turns slower than it would, and how much longer a turned pair is: for YaRN
    /// as Hugging Face's library computes it.
    fn scale(&self, i: usize) -> (f64, f64) {
        let s = &self.shape;
        let scale = s.rope_scale.map_or(1.0, f64::from);
        if !s.rope_yarn {
            return (scale, 1.0);
        }
        let dim = s.rope_dim as f64;
        let pair = |rotations: f64| {
            let ratio = tiny::YARN_CONTEXT as f64 / (rotations * 2.0 * std::f64::consts::PI);
            dim * ratio.ln() / (2.0 * f64::from(s.rope_base).ln())
        };
        let (low, high) = (pair(32.0).floor().max(0.0), pair(1.0).ceil().min(dim - 1.0));
        let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        (1.0 / (ramp / scale + (1.0 - ramp)), 0.1 * scale.ln() + 1.0)
    }

    fn attend(&self, q: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
        let s = &self.shape;
        let mut out = Vec::new();
        for head in 0..s.n_heads {
            let kv = head * s.n_kv_heads / s.n_heads;
            let q = &q[head * s.head_dim..][..s.head_dim];
            let scores: Vec<f64> = keys
                .iter()
                .map(|k| dot(q, &k[kv * s.head_dim..][..s.head_dim]) / (s.head_dim as f64).sqrt())
                .collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|x| (x - most).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mut mixed = vec![0.0; s.value_dim];
            for (weight, v) in weights.iter().zip(values) {
                for (m, v) in mixed.iter_mut().zip(&v[kv * s.value_dim..]) {
                    *m += weight / sum * v;
                }
            }
            out.extend(mixed);
        }
        out
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn multiply(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| dot(row, x)).collect()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn norm(x: &[f64], weight: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let factor = 1.0 / (mean + f64::from(1e-5f32)).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * factor * w).collect()
}
