//! The kernels' instructions in plain Rust: the twin that the others must equal, and what runs on
//! machines without them. `mul_add` is one rounding on every machine; where the processor has no
//! such instruction it is slow, and right.

use super::simd::{LANES, Lanes, ROUND, Simd};
use half::f16;

/// Plain Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    type Float = [f32; LANES];
    type Int = [i32; LANES];
    type Weights = [[i32; 4]; LANES];

    const TOKENS: usize = 4;
    const QUERIES: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Float {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::Float {
        from.0
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::Float {
        each(|i| f16::from_bits(from[i]).to_f32())
    }

    #[inline(always)]
    fn store(self, value: Self::Float, to: &mut Lanes) {
        to.0 = value;
    }

    #[inline(always)]
    fn add(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Float, b: Self::Float, c: Self::Float) -> Self::Float {
        each(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::Float, b: Self::Float) -> Self::Float {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn power_of_two(self, n_plus_round: Self::Float) -> Self::Float {
        each(|i| {
            let n = n_plus_round[i].to_bits().wrapping_sub(ROUND.to_bits());
            f32::from_bits(n.wrapping_add(127) << 23)
        })
    }

    #[inline(always)]
    fn dot_start(self, _offset: i32) -> Self::Int {
        [0; LANES]
    }

    #[inline(always)]
    fn load_weights(self, bytes: &[u8; 64]) -> Self::Weights {
        std::array::from_fn(|row| {
            std::array::from_fn(|column| i32::from(bytes[4 * row + column]) - 128)
        })
    }

    #[inline(always)]
    fn dot4(self, sums: Self::Int, weights: Self::Weights, activations: [i8; 4]) -> Self::Int {
        std::array::from_fn(|row| {
            let products: [i32; 4] =
                std::array::from_fn(|i| weights[row][i] * i32::from(activations[i]));
            sums[row] + products[0] + products[1] + products[2] + products[3]
        })
    }

    #[inline(always)]
    fn to_float(self, sums: Self::Int) -> Self::Float {
        each(|i| sums[i] as f32)
    }
}
