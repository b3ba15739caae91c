//! What is done to each element of a row: normalisation, the gate of the feed-forward network,
//! the residual sum; and what logits are normalised by.

use super::panel::Panel;
use super::simd::{Kernel, LANES, Lanes, Simd, exp, sum};

/// `out = x / sqrt(mean(x^2) + epsilon) * weight` for a row (Zhang and Sennrich 2019, "Root Mean
/// Square Layer Normalization", eq. 4).
pub(crate) struct RmsNorm<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) epsilon: f32,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut squares = simd.splat(0.0);
        for chunk in self.x.chunks(LANES) {
            let lanes = simd.load(&padded(chunk));
            squares = simd.mul_add(lanes, lanes, squares);
        }
        let mean = sum(simd, squares) / self.weight.len() as f32;
        let factor = 1.0 / (mean + self.epsilon).sqrt();
        for ((out, x), weight) in self.out.iter_mut().zip(self.x).zip(self.weight) {
            *out = x * factor * weight;
        }
    }
}

/// `out = gate * sigmoid(gate) * up`, elementwise, for row `row` of both (Shazeer 2020, "GLU
/// Variants Improve Transformer").
pub(crate) struct SwiGlu<'a> {
    pub(crate) gate: &'a Panel,
    pub(crate) up: &'a Panel,
    pub(crate) row: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let one = simd.splat(1.0);
        let inputs = self.gate.row(self.row).zip(self.up.row(self.row));
        for ((gate, up), out) in inputs.zip(self.out.chunks_mut(LANES)) {
            let x = simd.load(gate);
            let denominator = simd.add(one, exp(simd, simd.sub(simd.splat(0.0), x)));
            let silu = simd.div(x, denominator);
            let mut lanes = Lanes::ZERO;
            simd.store(simd.mul(silu, simd.load(up)), &mut lanes);
            out.copy_from_slice(&lanes.0[..out.len()]);
        }
    }
}

/// `x += y`, elementwise, with row `row` of `y`.
pub(crate) struct AddAssign<'a> {
    pub(crate) x: &'a mut [f32],
    pub(crate) y: &'a Panel,
    pub(crate) row: usize,
}

impl Kernel for AddAssign<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (x, y) in self.x.chunks_mut(LANES).zip(self.y.row(self.row)) {
            for (x, y) in x.iter_mut().zip(y.0) {
                *x += y;
            }
        }
    }
}

/// `ln(sum(exp(logits)))`, of logits in sixteens of which the last is padded with negative
/// infinity. Exponentials are of single precision and added up in single precision a thousand at
/// a time, then in double: within 1e-6 of the true value.
pub(crate) struct LogSumExp<I> {
    pub(crate) logits: I,
}

impl<I: Iterator<Item = Lanes> + Clone> Kernel for LogSumExp<I> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        /// Sixteens that are added up in single precision.
        const CHUNK: usize = 64;
        let mut most = simd.splat(f32::NEG_INFINITY);
        for lanes in self.logits.clone() {
            most = simd.max(simd.load(&lanes), most);
        }
        let most = simd.largest(most);
        let mut total = 0.0;
        let mut sums = simd.splat(0.0);
        for (i, lanes) in self.logits.enumerate() {
            // A NaN stays one; what was left out adds nothing worth telling.
            let weight = exp(simd, simd.sub(simd.load(&lanes), simd.splat(most)));
            sums = simd.add(sums, weight);
            if i % CHUNK == CHUNK - 1 {
                total += f64::from(sum(simd, sums));
                sums = simd.splat(0.0);
            }
        }
        total += f64::from(sum(simd, sums));
        f64::from(most) + total.ln()
    }
}

/// Up to sixteen floats, with zeros after them.
#[inline(always)]
fn padded(floats: &[f32]) -> Lanes {
    let mut lanes = Lanes::ZERO;
    if let Some(all) = floats.first_chunk::<LANES>() {
        lanes.0 = *all;
    } else {
        lanes.0[..floats.len()].copy_from_slice(floats);
    }
    lanes
}
