//! The portable kernels against plain double-precision arithmetic, and the others against the
//! portable ones, bit for bit.

#[path = "../../tests/it/support/blocks.rs"]
mod blocks;

use super::simd::{Kernel, Simd, exp};
use super::*;
use crate::gguf::TensorType;
use blocks::Quantised;
use half::{bf16, f16};
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

fn matrix(kind: TensorType, rows: usize, columns: usize, bytes: &[u8]) -> Matrix {
    let mut matrix = Matrix::zeroed(kind, rows, columns).unwrap();
    let row_bytes = bytes.len() / rows;
    for part in matrix.parts() {
        let from = &bytes[part.first_row * row_bytes..][..part.rows * row_bytes];
        part.fill(from);
    }
    matrix
}

fn kind_of(quantised: Quantised) -> TensorType {
    match quantised {
        Quantised::Q4_0 => TensorType::Q4_0,
        Quantised::Q4_1 => TensorType::Q4_1,
        Quantised::Q5_0 => TensorType::Q5_0,
        Quantised::Q5_1 => TensorType::Q5_1,
        Quantised::Q8_0 => TensorType::Q8_0,
        Quantised::Q2K => TensorType::Q2K,
        Quantised::Q3K => TensorType::Q3K,
        Quantised::Q4K => TensorType::Q4K,
        Quantised::Q5K => TensorType::Q5K,
        Quantised::Q6K => TensorType::Q6K,
    }
}

/// A panel of these rows.
fn panel(floats: &[f32], width: usize) -> Panel {
    let mut panel = Panel::default();
    panel.resize(floats.len() / width, width);
    let rows = panel.rows();
    for (i, x) in floats.iter().enumerate() {
        let (row, column) = (i / width, i % width);
        panel.strips_mut()[column / LANES * rows + row].0[column % LANES] = *x;
    }
    panel
}

fn rows_of(panel: &Panel) -> Vec<f32> {
    let mut floats = vec![0.0; panel.rows() * panel.width()];
    for (row, to) in floats.chunks_exact_mut(panel.width()).enumerate() {
        panel.copy(row, 0, to);
    }
    floats
}

fn product(instructions: Instructions, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
    let team = Team::alone();
    let compute = Compute {
        instructions,
        team: &team,
    };
    let width = matrix.columns;
    let mut activations = Activations::default();
    let shape = (x.len() / width, width, matrix.wants());
    let fill = |_: &mut [f32], row: usize, to: &mut [f32]| {
        to.copy_from_slice(&x[row * width..][..width]);
    };
    activations.prepare(compute, shape, &mut [], fill);
    let mut out = Panel::default();
    let products = vec![Product {
        matrix,
        out: &mut out,
    }];
    multiply(compute, &activations, products);
    rows_of(&out)
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
        check_product(&matrix(TensorType::F32, rows, columns, &bytes), &weights, &x, 1e-5);
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
        check_product(&matrix(TensorType::F16, rows, columns, &bytes), &widened, &x, 1e-5);
    }

    #[test]
    fn bf16_products(
        (rows, columns, weights, x) in sizes().prop_flat_map(|(r, c, t)| {
            (Just(r), Just(c), floats(r * c), floats(c * t))
        })
    ) {
        let weights: Vec<bf16> = weights.into_iter().map(bf16::from_f32).collect();
        let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let widened: Vec<f32> = weights.iter().map(|w| w.to_f32()).collect();
        check_product(&matrix(TensorType::BF16, rows, columns, &bytes), &widened, &x, 1e-5);
    }

    #[test]
    fn quantised_products(
        kind in proptest::sample::select(Quantised::ALL.to_vec()),
        (rows, blocks, tokens) in (1usize..40, 1usize..4, 1usize..28),
        seed in any::<u64>(),
        some in floats(97),
    ) {
        let (_, numbers, _) = kind.shape();
        let columns = blocks * numbers;
        let x: Vec<f32> = some.iter().copied().cycle().take(tokens * columns).collect();
        let mut random = seed;
        let bytes = kind.random(rows * blocks, 1.0, || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            (random >> 40) as u8
        });
        let matrix = matrix(kind_of(kind), rows, columns, &bytes);
        // What is stored is exactly what the file says, rounded once.
        let weights: Vec<f32> = kind.weights(&bytes).into_iter().map(|w| w as f32).collect();
        let mut row = vec![0.0; columns];
        for (i, expected) in weights.chunks_exact(columns).enumerate() {
            matrix.copy_row(i, &mut row);
            prop_assert_eq!(&row, expected, "{:?} row {}", kind, i);
        }
        // An activation is off by half a step of 1/127 of its block's largest. Where a weight is
        // the difference of two larger numbers, their size counts.
        check_product(&matrix, &weights, &x, 0.5 / 127.0 + 1e-4);
    }

    #[test]
    fn norms_and_gates(x in floats(3 * 37), y in floats(3 * 37), weight in floats(37)) {
        let (gate, up) = (panel(&x, 37), panel(&y, 37));
        let run = |instructions: Instructions| {
            let (mut norm, mut gated, mut sum) = (x.clone(), x.clone(), x.clone());
            let epsilon = 1e-5;
            for row in 0..3 {
                let range = row * 37..(row + 1) * 37;
                let (x, weight, out) = (&x[range.clone()], weight.as_slice(), &mut norm[range.clone()]);
                instructions.run(RmsNorm { x, weight, epsilon, out });
                let (gate, up, out) = (&gate, &up, &mut gated[range.clone()]);
                instructions.run(SwiGlu { gate, up, row, out });
                instructions.run(AddAssign { x: &mut sum[range], y: up, row });
            }
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
    fn the_normaliser_of_logits(logits in proptest::collection::vec(-30f32..30.0, 1..3000)) {
        let expected = crate::probability::log_sum_exp(&logits);
        let found = crate::probability::log_normaliser_of(Instructions::portable(), &logits);
        prop_assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        let panel = panel(&logits, logits.len());
        for instructions in Instructions::available() {
            let of_row = crate::probability::log_normaliser(instructions, panel.row(0), logits.len());
            prop_assert_eq!(of_row.to_bits(), found.to_bits(), "{}", instructions.name());
        }
    }

    #[test]
    fn attention_of_any_few_queries(
        queries in proptest::collection::vec(-4f32..4.0, 9 * 24),
        keys in proptest::collection::vec(-4f32..4.0, 200 * 24),
        values in floats(200 * 24),
        lengths in proptest::collection::vec(1usize..200, 9),
    ) {
        let mut lengths = lengths;
        lengths.sort_unstable();
        let single = Cache::<Lanes>::new(&keys, &values, 24);
        check_attention(&single, &queries, &lengths)?;
        let half = Cache::<HalfLanes>::new(&keys, &values, 24);
        check_attention(&half, &queries, &lengths)?;
        let found = attend(Instructions::best(), &single, (&queries, &lengths));
        for (i, length) in lengths.iter().enumerate() {
            let query = &queries[i * 24..][..24];
            let dot = |key: &[f32]| query.iter().zip(key).map(|(q, k)| f64::from(q * k)).sum::<f64>();
            let weights: Vec<f64> = keys.chunks_exact(24).take(*length).map(|k| (0.2 * dot(k)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for d in 0..24 {
                let parts = || weights.iter().enumerate().map(|(p, w)| w / sum * f64::from(values[p * 24 + d]));
                let size: f64 = parts().map(f64::abs).sum();
                let error = (f64::from(found[i * 32 + d]) - parts().sum::<f64>()).abs();
                prop_assert!(error <= 1e-5 * size + 1e-36, "{error} of {size}");
            }
        }
    }
}

/// All instructions give the portable bits, and each query alone what it gives among others.
fn check_attention<L: KvLanes>(
    cache: &Cache<L>,
    queries: &[f32],
    lengths: &[usize],
) -> Result<(), TestCaseError> {
    let portable = bits(&attend(Instructions::portable(), cache, (queries, lengths)));
    for instructions in Instructions::available() {
        let found = bits(&attend(instructions, cache, (queries, lengths)));
        prop_assert_eq!(&found, &portable, "{}", instructions.name());
        for i in 0..lengths.len() {
            let one = (&queries[i * 24..][..24], &lengths[i..=i]);
            let alone = bits(&attend(instructions, cache, one));
            prop_assert_eq!(alone.as_slice(), &portable[i * 32..(i + 1) * 32]);
        }
    }
    Ok(())
}

/// (queries, 32)
fn attend<L: KvLanes>(
    instructions: Instructions,
    cache: &Cache<L>,
    (vectors, lengths): (&[f32], &[usize]),
) -> Vec<f32> {
    let mut out = vec![Lanes::ZERO; lengths.len() * 2];
    instructions.run(Attention {
        blocks: cache,
        head_dim: 24,
        value_chunks: 2,
        scale: 0.2,
        queries: Queries {
            vectors,
            lengths,
            out: &mut out,
        },
    });
    out.iter().flat_map(|lanes| lanes.0).collect()
}

/// Keys and values in pages, as [`crate::kv_cache`] lays them out; what is not filled is NaN, and
/// must not be seen.
struct Cache<L> {
    keys: Vec<Vec<L>>,
    values: Vec<Vec<L>>,
}

impl<L: KvLanes> Cache<L> {
    fn new(keys: &[f32], values: &[f32], width: usize) -> Self {
        let positions = keys.len() / width;
        let pages = positions.div_ceil(LANES);
        let mut empty = L::ZERO;
        (0..LANES).for_each(|lane| empty.set(lane, f32::NAN));
        let mut cache = Self {
            keys: vec![vec![empty; width]; pages],
            values: vec![vec![L::ZERO; LANES * width.div_ceil(LANES)]; pages],
        };
        for position in 0..positions {
            let (page, slot) = (position / LANES, position % LANES);
            for d in 0..width {
                cache.keys[page][d].set(slot, keys[position * width + d]);
                let chunk = slot * width.div_ceil(LANES) + d / LANES;
                cache.values[page][chunk].set(d % LANES, values[position * width + d]);
            }
        }
        cache
    }
}

impl<L: KvLanes> KvBlocks for &Cache<L> {
    type Lanes = L;

    fn keys(&self, page: usize) -> &[L] {
        &self.keys[page]
    }

    fn values(&self, page: usize) -> &[L] {
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
    let matrix = matrix(TensorType::Q8_0, 16, 32, &bytes);
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
