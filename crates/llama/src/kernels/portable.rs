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
    type Bytes = [u8; 64];
    /// `weight + 128`, as they come.
    type Wide = [u8; 64];

    const TOKENS: usize = 4;
    const QUERIES: usize = 1;
    const PAGES: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Float {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::Float {
        from.0
    }

    #[inline(always)]
    fn load_f32(self, from: &[u8; 64]) -> Self::Float {
        let (fours, _) = from.as_chunks::<4>();
        each(|i| f32::from_le_bytes(fours[i]))
    }

    #[inline(always)]
    fn load_f16(self, from: &[u8; 32]) -> Self::Float {
        let (pairs, _) = from.as_chunks::<2>();
        each(|i| f16::from_le_bytes(pairs[i]).to_f32())
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u8; 32]) -> Self::Float {
        let (pairs, _) = from.as_chunks::<2>();
        each(|i| f32::from_bits(u32::from(u16::from_le_bytes(pairs[i])) << 16))
    }

    #[inline(always)]
    fn load_u8(self, from: &[u8; 16]) -> Self::Float {
        each(|i| f32::from(from[i]))
    }

    #[inline(always)]
    fn load_i8(self, from: &[u8; 16]) -> Self::Float {
        each(|i| f32::from(from[i].cast_signed()))
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
    fn abs(self, a: Self::Float) -> Self::Float {
        each(|i| a[i].abs())
    }

    #[inline(always)]
    fn largest(self, value: Self::Float) -> f32 {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        value.into_iter().fold(value[0], larger)
    }

    #[inline(always)]
    fn to_i8(self, value: Self::Float) -> ([i8; LANES], i32) {
        let whole = |i: usize| (value[i] + ROUND).to_bits().wrapping_sub(ROUND.to_bits());
        let bytes: [i8; LANES] = std::array::from_fn(|i| whole(i) as i8);
        (bytes, bytes.iter().map(|byte| i32::from(*byte)).sum())
    }

    #[inline(always)]
    fn power_of_two(self, n_plus_round: Self::Float) -> Self::Float {
        each(|i| {
            let n = n_plus_round[i].to_bits().wrapping_sub(ROUND.to_bits());
            f32::from_bits(n.wrapping_add(127) << 23)
        })
    }

    #[inline(always)]
    fn load_bytes(self, from: &[u8; 64]) -> [u8; 64] {
        *from
    }

    #[inline(always)]
    fn shift_right(self, bytes: [u8; 64], shift: u32, mask: u8) -> [u8; 64] {
        bytes.map(|byte| (byte >> shift) & mask)
    }

    #[inline(always)]
    fn shift_left(self, bytes: [u8; 64], shift: u32, mask: u8) -> [u8; 64] {
        bytes.map(|byte| (byte << shift) & mask)
    }

    #[inline(always)]
    fn or(self, a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn dot_start(self, value: i32) -> Self::Int {
        [value; LANES]
    }

    #[inline(always)]
    fn dot4(self, sums: Self::Int, weights: [u8; 64], activations: [i8; 4]) -> Self::Int {
        let activations = activations.map(i32::from);
        std::array::from_fn(|row| {
            (0..4).fold(sums[row], |sum, i| {
                sum.wrapping_add(i32::from(weights[4 * row + i]) * activations[i])
            })
        })
    }

    #[inline(always)]
    fn dot_start_wide(self, value: i32) -> Self::Int {
        self.dot_start(value)
    }

    #[inline(always)]
    fn load_wide(self, from: &[u8; 64]) -> [u8; 64] {
        *from
    }

    #[inline(always)]
    fn dot4_wide(self, sums: Self::Int, weights: [u8; 64], activations: [i8; 4]) -> Self::Int {
        self.dot4(sums, weights, activations)
    }

    #[inline(always)]
    fn to_float(self, sums: Self::Int) -> Self::Float {
        each(|i| sums[i] as f32)
    }

    #[inline(always)]
    fn prefetch(self, _from: &[u8], _ahead: usize) {}
}
