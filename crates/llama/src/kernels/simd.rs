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
    /// Four columns of sixteen weight rows, ready for [`Simd::dot4`].
    type Weights: Copy;

    /// Tokens computed at once against one load of weights: as many as registers allow.
    const TOKENS: usize;
    /// Query vectors computed at once against one load of keys or values.
    const QUERIES: usize;

    fn splat(self, value: f32) -> Self::Float;
    fn load(self, from: &Lanes) -> Self::Float;
    /// IEEE half precision, widened exactly.
    fn load_f16(self, from: &[u16; LANES]) -> Self::Float;
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
    /// `2^n` for whole `n` in `-126..=127`, given as `n + ROUND` (see [`exp`]).
    fn power_of_two(self, n_plus_round: Self::Float) -> Self::Float;

    /// What an integer sum starts from, given `-128 *` the sum of the activations: zero where
    /// weights are used signed, that value where they are used as `weight + 128`.
    fn dot_start(self, offset: i32) -> Self::Int;
    /// `bytes[4 * row + column]` is `weight + 128`.
    fn load_weights(self, bytes: &[u8; 64]) -> Self::Weights;
    /// `sums[row] + sum over column of weights[row][column] * activations[column]`, exact.
    fn dot4(self, sums: Self::Int, weights: Self::Weights, activations: [i8; 4]) -> Self::Int;
    fn to_float(self, sums: Self::Int) -> Self::Float;
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

/// The largest lane.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, value: S::Float) -> f32 {
    let mut lanes = Lanes::ZERO;
    simd.store(value, &mut lanes);
    let mut most = lanes.0[0];
    for lane in lanes.0 {
        most = if lane > most { lane } else { most };
    }
    most
}
