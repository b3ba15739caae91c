//! Logits against a forward pass in double precision that shares no code with the engine.

use crate::support::blocks::Quantised;
use crate::support::gguf::{File, Stored, Tensor};
use crate::support::reference::Reference;
use crate::support::tiny::{self, Random, Shape};
use llama::{Instructions, Model};
use std::path::Path;
use std::sync::Arc;

/// The largest difference, relative to the root mean square of the expected logits.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square: f64 = expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64;
    let largest = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f64::from(*f) - e).abs())
        .fold(0.0, f64::max);
    largest / square.sqrt()
}

fn check_file(file: &File, shape: &Shape, tolerance: f64) {
    let tokens = Random(7).tokens(50, shape.vocabulary);
    let expected = Reference::new(file, shape).logits(&tokens);
    let bytes = file.bytes();
    for instructions in Instructions::available() {
        let model = Model::from_bytes("tiny", &bytes)
            .unwrap()
            .with_instructions(instructions);
        let found = Arc::new(model).logits(&tokens).unwrap();
        let error = error(&found, &expected);
        assert!(
            error < tolerance,
            "{}: {error} of {shape:?}",
            instructions.name()
        );
    }
}

fn check(shape: Shape, tolerance: f64) {
    check_file(&tiny::model(&shape), &shape, tolerance);
}

/// Single precision adds an error of about 2^-24 * sqrt(operations in a chain) in each of a few
/// hundred steps; 1e-4 is what the engine promises.
const F32: f64 = 1e-4;

/// Activations are rounded to 1/254 of the largest of 32, an error of about 0.3 % of a typical
/// one in each product; the sums' errors add up over the layers' four products in sequence, and
/// the largest of thousands of logits is some four standard deviations out.
const Q8_0: f64 = 0.12;

/// Keys and values in half precision are off by up to 2^-12 of themselves, independently of each
/// other; a few such errors meet in each logit.
const HALF_CACHE: f64 = 5e-3;

#[test]
fn f32_grouped_heads() {
    check(Shape::default(), F32);
}

#[test]
fn f32_own_head_and_scaled_rope() {
    check(
        Shape {
            tied: false,
            rope_freqs: true,
            rope_scale: Some(4.0),
            seed: 2,
            ..Shape::default()
        },
        F32,
    );
}

#[test]
fn f32_yarn() {
    check(
        Shape {
            rope_scale: Some(8.0),
            rope_yarn: true,
            seed: 3,
            ..Shape::default()
        },
        F32,
    );
}

#[test]
fn f32_odd_sizes() {
    let shape = Shape {
        dim: 36,
        n_layers: 3,
        n_heads: 6,
        n_kv_heads: 3,
        head_dim: 10,
        value_dim: 19,
        rope_dim: 8,
        hidden_dim: 50,
        rope_base: 500_000.0,
        seed: 3,
        ..Shape::default()
    };
    check(shape, F32);
}

#[test]
fn f32_wide_heads() {
    for (head_dim, value_dim) in [(128, 128), (80, 80), (48, 112)] {
        let shape = Shape {
            n_heads: 2,
            n_kv_heads: 1,
            head_dim,
            value_dim,
            rope_dim: 32,
            ..Shape::default()
        };
        check(shape, F32);
    }
}

#[test]
fn f16() {
    // The weights are widened exactly, so that the error is that of the cache.
    check(
        Shape {
            stored: Stored::F16,
            seed: 4,
            ..Shape::default()
        },
        HALF_CACHE,
    );
}

#[test]
fn q8_0() {
    for (seed, tied) in [(5, true), (6, false)] {
        let shape = Shape {
            stored: Stored::Q8_0,
            seed,
            tied,
            ..Shape::default()
        };
        check(shape, Q8_0);
    }
}

#[test]
fn bf16() {
    let shape = Shape {
        stored: Stored::BF16,
        seed: 5,
        ..Shape::default()
    };
    check(shape, HALF_CACHE);
}

#[test]
fn every_quantised_format() {
    for kind in Quantised::ALL {
        let shape = Shape {
            dim: 256,
            hidden_dim: 256,
            n_heads: 4,
            head_dim: 64,
            value_dim: 64,
            rope_dim: 64,
            stored: Stored::Blocks(kind),
            tied: false,
            ..Shape::default()
        };
        check(shape, Q8_0);
    }
}

#[test]
fn stories260k() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models/stories260K.bin");
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not here", path.display());
        return;
    };
    let (file, shape) = stories(&bytes);
    check_file(&file, &shape, F32);
}

/// llama2.c's checkpoint: seven numbers and the weights, kind by kind. Its own rotation tables at
/// the end are left out.
fn stories(bytes: &[u8]) -> (File, Shape) {
    let numbers: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let size = |i: usize| numbers[i] as usize;
    let (dim, hidden_dim, n_layers, n_heads) = (size(0), size(1), size(2), size(3));
    let head_dim = dim / n_heads;
    let shape = Shape {
        dim,
        hidden_dim,
        n_layers,
        n_heads,
        n_kv_heads: size(4),
        head_dim,
        value_dim: head_dim,
        rope_dim: head_dim,
        vocabulary: size(5),
        context: size(6),
        ..Shape::default()
    };
    let mut file = File::default();
    tiny::sizes(&mut file, &shape);
    tiny::vocabulary(&mut file);
    let mut at = 7;
    let mut take = |name: String, rows: usize, columns: usize| {
        let floats = &numbers[at..at + rows * columns];
        at += rows * columns;
        let numbers = floats.iter().map(|bits| f32::from_bits(*bits)).collect();
        file.tensors.push(Tensor {
            name,
            columns,
            numbers,
            stored: Stored::F32,
        });
    };
    let kv = shape.n_kv_heads * head_dim;
    take("token_embd.weight".into(), shape.vocabulary, dim);
    let kinds = [
        ("attn_norm", 1, dim),
        ("attn_q", dim, dim),
        ("attn_k", kv, dim),
        ("attn_v", kv, dim),
        ("attn_output", dim, dim),
        ("ffn_norm", 1, dim),
        ("ffn_gate", hidden_dim, dim),
        ("ffn_down", dim, hidden_dim),
        ("ffn_up", hidden_dim, dim),
    ];
    for (kind, rows, columns) in kinds {
        for layer in 0..n_layers {
            take(format!("blk.{layer}.{kind}.weight"), rows, columns);
        }
    }
    take("output_norm.weight".into(), 1, dim);
    (file, shape)
}
