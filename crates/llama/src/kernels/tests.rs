//! The portable kernels against plain double-precision arithmetic, and the others against the
//! portable ones, bit for bit.

use super::activations::BLOCK;
use super::simd::{Kernel, Simd, exp};
use super::*;
use half::f16;
use proptest::prelude::*;

/// Floats of all sizes that occur, and some that should not.
fn floats(count: usize) -> impl Strategy<Value = Vec<f32>> {
    let float = prop_oneof![
        20 => -4.0f32..4.0,
        3 => -1e4f32..1e4,
        1 => proptest::sample::select(vec![0.0, -0.0, 1e-42, -1e-38, 1e18, f32::MIN_POSITIVE]),
    ];
    proptest::collection::vec(float, count)
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|x| x.to_bits()).collect()
}

fn activations(floats: &[f32], width: usize) -> Activations {
    let mut activations = Activations::default();
    activations.resize(floats.len() / width, width);
    activations.floats.copy_from_slice(floats);
    activations
}

fn product(instructions: Instructions, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
    let mut activations = activations(x, matrix.columns);
    let mut out = vec![0.0; activations.rows() * matrix.rows];
    let products = &mut [Product {
        matrix,
        out: &mut out,
    }];
    multiply(instructions, 1, &mut activations, products);
    out
}

/// Checks that all instructions give the portable product's bits, and that these are near
/// `weights` (rows, columns) times `x`, each within `tolerance` of the sum of the magnitudes.
fn check_product(matrix: &Matrix, weights: &[f32], x: &[f32], tolerance: f64) {
    let portable = product(Instructions::portable(), matrix, x);
    for instructions in Instructions::available() {
        let found = product(instructions, matrix, x);
        assert_eq!(bits(&found), bits(&portable), "{}", instructions.name());
    }
    let mut found = portable.iter();
    for x in x.chunks_exact(matrix.columns) {
        let largest = f64::from(x.iter().fold(0f32, |most, x| most.max(x.abs())));
        for row in weights.chunks_exact(matrix.columns) {
            let products = || {
                row.iter()
                    .zip(x)
                    .map(|(w, x)| f64::from(*w) * f64::from(*x))
            };
            let magnitude: f64 = row.iter().map(|w| f64::from(w.abs()) * largest).sum();
            let error = (f64::from(*found.next().unwrap()) - products().sum::<f64>()).abs();
            assert!(
                error <= tolerance * magnitude + 1e-30,
                "{error} of {magnitude}"
            );
        }
    }
}

/// Sizes that are no multiple of anything, for weights by rows and activations by tokens.
fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    (1usize..40, 1usize..70, 1usize..28)
}

proptest! {
    #[test]
    fn f32_products(
        (rows, columns, tokens, weights, x) in sizes().prop_flat_map(|(r, c, t)| {
            (Just(r), Just(c), Just(t), floats(r * c), floats(c * t))
        })
    ) {
        let _ = tokens;
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        check_product(&Matrix::from_f32(rows, columns, &bytes), &weights, &x, 1e-5);
    }

    #[test]
    fn f16_products(
        (rows, columns, weights, x) in sizes().prop_flat_map(|(r, c, t)| {
            (Just(r), Just(c), proptest::collection::vec(any::<u16>(), r * c), floats(c * t))
        })
    ) {
        let finite = |bits: &u16| f16::from_bits(*bits).is_finite();
        let weights: Vec<u16> = weights.iter().map(|w| if finite(w) { *w } else { 0 }).collect();
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let widened: Vec<f32> = weights.iter().map(|w| f16::from_bits(*w).to_f32()).collect();
        check_product(&Matrix::from_f16(rows, columns, &bytes), &widened, &x, 1e-5);
    }

    #[test]
    fn q8_0_products(
        (rows, blocks, values, scales, x) in (1usize..40, 1usize..4, 1usize..28).prop_flat_map(|(r, b, t)| {
            let values = proptest::collection::vec(any::<i8>(), r * b * BLOCK);
            let scales = proptest::collection::vec(0.001f32..0.1, r * b);
            (Just(r), Just(b), values, scales, floats(t * b * BLOCK))
        })
    ) {
        let scales: Vec<f16> = scales.into_iter().map(f16::from_f32).collect();
        let (mut bytes, mut weights) = (Vec::new(), Vec::new());
        for (values, scale) in values.chunks_exact(BLOCK).zip(scales) {
            bytes.extend(scale.to_le_bytes());
            bytes.extend(values.iter().map(|v| v.cast_unsigned()));
            weights.extend(values.iter().map(|v| scale.to_f32() * f32::from(*v)));
        }
        let matrix = Matrix::from_q8_0(rows, blocks * BLOCK, &bytes);
        // An activation is off by half a step of 1/127 of its block's largest.
        check_product(&matrix, &weights, &x, 0.5 / 127.0 + 1e-5);
        let mut row = vec![0.0; blocks * BLOCK];
        for (i, weights) in weights.chunks_exact(blocks * BLOCK).enumerate() {
            matrix.copy_row(i, &mut row);
            prop_assert_eq!(&row, weights);
        }
    }

    #[test]
    fn norms_and_gates(x in floats(3 * 37), y in floats(3 * 37), weight in floats(37)) {
        let run = |instructions: Instructions| {
            let (mut norm, mut gated, mut sum) = (x.clone(), x.clone(), x.clone());
            let epsilon = 1e-5;
            instructions.run(RmsNorm { x: &x, weight: &weight, epsilon, out: &mut norm });
            instructions.run(SwiGlu { gate: &x, up: &y, out: &mut gated });
            instructions.run(AddAssign { x: &mut sum, y: &y });
            [norm, gated, sum]
        };
        let portable = run(Instructions::portable());
        for instructions in Instructions::available() {
            for (found, expected) in run(instructions).iter().zip(&portable) {
                prop_assert_eq!(bits(found), bits(expected), "{}", instructions.name());
            }
        }
        let wide = |x: &f32| f64::from(*x);
        for ((gate, up), found) in x.iter().zip(&y).map(|(x, y)| (wide(x), wide(y))).zip(&portable[1]) {
            let expected = gate / (1.0 + (-gate).exp()) * up;
            // Beyond 88 the exponential is cut off, where the gate is 0 but for 1e-36; and below 1e-38
            // floats are coarse.
            let slack = 1e-6 * expected.abs() + 1e-30 * up.abs() + 1e-38;
            prop_assert!((f64::from(*found) - expected).abs() <= slack, "{gate} {up} {found}");
        }
    }

    #[test]
    fn attention_of_any_few_queries(
        queries in floats(9 * 24),
        keys in floats(50 * 24),
        values in floats(50 * 24),
        lengths in proptest::collection::vec(1usize..50, 9),
    ) {
        let cache = Cache::new(&keys, &values, 24);
        let mut lengths = lengths;
        lengths.sort_unstable();
        let run = |instructions: Instructions, of: std::ops::Range<usize>| {
            let mut out = vec![Lanes::ZERO; of.len() * 2];
            instructions.run(Attention {
                blocks: &cache,
                head_dim: 24,
                value_chunks: 2,
                scale: 0.2,
                queries: Queries {
                    vectors: &queries[of.start * 24..of.end * 24],
                    lengths: &lengths[of],
                    out: &mut out,
                },
                scores: &mut Vec::new(),
            });
            out.iter().flat_map(|lanes| lanes.0).map(f32::to_bits).collect::<Vec<u32>>()
        };
        let portable = run(Instructions::portable(), 0..9);
        for instructions in Instructions::available() {
            prop_assert_eq!(&run(instructions, 0..9), &portable, "{}", instructions.name());
            for i in 0..9 {
                let alone = run(instructions, i..i + 1);
                prop_assert_eq!(alone.as_slice(), &portable[i * 32..(i + 1) * 32]);
            }
        }
    }
}

/// Keys and values in pages, as [`crate::kv_cache`] lays them out; what is not filled is NaN, and
/// must not be seen.
struct Cache {
    keys: Vec<Vec<Lanes>>,
    values: Vec<Vec<Lanes>>,
}

impl Cache {
    fn new(keys: &[f32], values: &[f32], width: usize) -> Self {
        let positions = keys.len() / width;
        let pages = positions.div_ceil(LANES);
        let empty = Lanes([f32::NAN; LANES]);
        let mut cache = Self {
            keys: vec![vec![empty; width]; pages],
            values: vec![vec![Lanes::ZERO; LANES * width.div_ceil(LANES)]; pages],
        };
        for position in 0..positions {
            let (page, slot) = (position / LANES, position % LANES);
            for d in 0..width {
                cache.keys[page][d].0[slot] = keys[position * width + d];
                let chunk = slot * width.div_ceil(LANES) + d / LANES;
                cache.values[page][chunk].0[d % LANES] = values[position * width + d];
            }
        }
        cache
    }
}

impl KvBlocks for &Cache {
    fn keys(&self, page: usize) -> &[Lanes] {
        &self.keys[page]
    }

    fn values(&self, page: usize) -> &[Lanes] {
        &self.values[page]
    }
}

/// `e^x` of sixteen lanes.
struct Exp(Lanes);

impl Kernel for Exp {
    type Output = Lanes;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Lanes {
        let mut out = Lanes::ZERO;
        simd.store(exp(simd, simd.load(&self.0)), &mut out);
        out
    }
}

#[test]
fn the_exponential_is_right_over_its_range_and_keeps_nan() {
    let inputs: Vec<f32> = (0..280_000).map(|i| i as f32 * 6.25e-4 - 87.0).collect();
    for instructions in Instructions::available() {
        for lanes in inputs.as_chunks().0 {
            let found = instructions.run(Exp(Lanes(*lanes)));
            for (x, found) in lanes.iter().zip(found.0) {
                let expected = f64::from(x.clamp(-87.0, 88.0)).exp();
                let error = (f64::from(found) / expected - 1.0).abs();
                assert!(
                    error < 2.4e-7,
                    "{}: e^{x} is off by {error}",
                    instructions.name()
                );
            }
        }
        assert!(
            instructions
                .run(Exp(Lanes([f32::NAN; LANES])))
                .0
                .iter()
                .all(|x| x.is_nan())
        );
    }
}

#[test]
fn an_infinite_activation_makes_its_products_nan() {
    let bytes: Vec<u8> = (0..34 * 16).map(|i| (i % 100) as u8 / 2).collect();
    let matrix = Matrix::from_q8_0(16, 32, &bytes);
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut x = [1.0; 32];
        x[5] = bad;
        for instructions in Instructions::available() {
            assert!(
                product(instructions, &matrix, &x)
                    .iter()
                    .all(|y| y.is_nan())
            );
        }
    }
}
