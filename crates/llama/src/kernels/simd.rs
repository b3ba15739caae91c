//! Sixteen lanes of `f32`, and the integer dot product that quantised weights need.

/// Lanes in a value: output rows in a matrix product, positions or dimensions in attention.
pub(crate) const LANES: usize = 16;

/// Sixteen floats on a cache line of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// Work that is generic over the instructions; see [`super::Instructions::run`].
pub(crate) trait Kernel {
    type Output;
    /// Implementations are `#[inline(always)]`, and so is what they call in an inner loop: only
    /// code inlined into the function that enables the instructions is compiled for them.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// One instruction set. A value of the type is the proof that the machine has it.
pub(crate) trait Simd: Copy {
    /// Sixteen `f32`.
    type Float: Copy;
    /// Sixteen `i32`.
    type Int: Copy;
    /// 64 bytes: four columns of sixteen weight rows, `4 * row + column`.
    type Bytes: Copy;
    /// The same of 8-bit weights, ready for [`Simd::dot4_wide`].
    type Wide: Copy;

    /// Tokens computed at once against one load of weights: as many as registers allow.
    const TOKENS: usize;
    /// Query vectors computed at once against one load of keys or values.
    const QUERIES: usize;
    /// Pages of keys loaded at once.
    const PAGES: usize;

    fn splat(self, value: f32) -> Self::Float;
    fn load(self, from: &Lanes) -> Self::Float;
    /// Little-endian `f32`.
    fn load_f32(self, from: &[u8; 64]) -> Self::Float;
    /// Little-endian IEEE half precision, widened exactly.
    fn load_f16(self, from: &[u8; 32]) -> Self::Float;
    /// Little-endian `bfloat16`: the upper half of an `f32`.
    fn load_bf16(self, from: &[u8; 32]) -> Self::Float;
    fn load_u8(self, from: &[u8; 16]) -> Self::Float;
    fn load_i8(self, from: &[u8; 16]) -> Self::Float;
    fn store(self, value: Self::Float, to: &mut Lanes);
    fn add(self, a: Self::Float, b: Self::Float) -> Self::Float;
    fn sub(self, a: Self::Float, b: Self::Float) -> Self::Float;
    fn mul(self, a: Self::Float, b: Self::Float) -> Self::Float;
    fn div(self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a * b + c` with one rounding.
    fn mul_add(self, a: Self::Float, b: Self::Float, c: Self::Float) -> Self::Float;
    /// `if a > b { a } else { b }`, so `b` where either is NaN.
    fn max(self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// `if a < b { a } else { b }`, so `b` where either is NaN.
    fn min(self, a: Self::Float, b: Self::Float) -> Self::Float;
    fn abs(self, a: Self::Float) -> Self::Float;
    /// The largest lane; any where one is NaN.
    fn largest(self, value: Self::Float) -> f32;
    /// Sixteen floats in -127..=127 rounded to nearest, ties to even, and their sum.
    fn to_i8(self, value: Self::Float) -> ([i8; LANES], i32);
    /// `2^n` for whole `n` in `-126..=127`, given as `n + ROUND` (see [`exp`]).
    fn power_of_two(self, n_plus_round: Self::Float) -> Self::Float;

    fn load_bytes(self, from: &[u8; 64]) -> Self::Bytes;
    /// `(byte >> shift) & mask` of each byte; `mask` has at most `8 - shift` bits.
    fn shift_right(self, bytes: Self::Bytes, shift: u32, mask: u8) -> Self::Bytes;
    /// `(byte << shift) & mask` of each byte; `mask` has no bit below `shift`.
    fn shift_left(self, bytes: Self::Bytes, shift: u32, mask: u8) -> Self::Bytes;
    fn or(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// What an integer sum starts from.
    fn dot_start(self, value: i32) -> Self::Int;
    /// `sums[row] + sum over column of weights[row][column] * activations[column]`, exact, for
    /// weights up to 63.
    fn dot4(self, sums: Self::Int, weights: Self::Bytes, activations: [i8; 4]) -> Self::Int;
    /// As [`Simd::dot_start`] for [`Simd::dot4_wide`], given `-128 *` the sum of the activations:
    /// that where weights are used as `weight + 128`, zero where they are used signed.
    fn dot_start_wide(self, value: i32) -> Self::Int;
    /// Bytes that are `weight + 128`.
    fn load_wide(self, from: &[u8; 64]) -> Self::Wide;
    /// As [`Simd::dot4`] for weights of 8 bits.
    fn dot4_wide(self, sums: Self::Int, weights: Self::Wide, activations: [i8; 4]) -> Self::Int;
    fn to_float(self, sums: Self::Int) -> Self::Float;
    /// Asks for the cache line a way ahead of what is being read; out of bounds is no matter.
    fn prefetch(self, from: &[u8], ahead: usize);
}

/// 1.5 * 2^23: adding it to a float below 2^22 rounds that to a whole number, ties to even, and
/// leaves the number in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// `e^x` for `x` clamped to -87..=88, within 2 units in the last place.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; the Taylor polynomial of degree 7 leaves a relative
/// error below 6e-9 there.
#[inline(always)]
#[expect(
    clippy::excessive_precision,
    reason = "ln 2 is split into two floats on purpose"
)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Float) -> S::Float {
    // In this order of arguments a NaN stays one.
    let x = simd.min(simd.splat(88.0), simd.max(simd.splat(-87.0), x));
    let shifted = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(shifted, simd.splat(ROUND));
    let r = simd.mul_add(n, simd.splat(-0.693_359_375), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    let mut p = simd.splat(1.0 / 5040.0);
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = simd.mul_add(p, r, simd.splat(c));
    }
    simd.mul(p, simd.power_of_two(shifted))
}

/// The sum of the lanes, always in the order of this tree.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, value: S::Float) -> f32 {
    let mut lanes = Lanes::ZERO;
    simd.store(value, &mut lanes);
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes.0[i] += lanes.0[i + width];
        }
        width /= 2;
    }
    lanes.0[0]
}
