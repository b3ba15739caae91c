//! What is done to each element of a row: normalisation, the gate of the feed-forward network,
//! the residual sum.

use super::simd::{Kernel, LANES, Lanes, Simd, exp, sum};

/// `out = x / sqrt(mean(x^2) + epsilon) * weight` for each row (Zhang and Sennrich 2019,
/// "Root Mean Square Layer Normalization", eq. 4). `x` and `out` are (rows, weight.len()).
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
        let width = self.weight.len();
        for (x, out) in self
            .x
            .chunks_exact(width)
            .zip(self.out.chunks_exact_mut(width))
        {
            let mut squares = simd.splat(0.0);
            for chunk in x.chunks(LANES) {
                let lanes = simd.load(&padded(chunk));
                squares = simd.mul_add(lanes, lanes, squares);
            }
            let mean = sum(simd, squares) / width as f32;
            let factor = 1.0 / (mean + self.epsilon).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(self.weight) {
                *out = x * factor * weight;
            }
        }
    }
}

/// `out = gate * sigmoid(gate) * up`, elementwise (Shazeer 2020, "GLU Variants Improve
/// Transformer").
pub(crate) struct SwiGlu<'a> {
    pub(crate) gate: &'a [f32],
    pub(crate) up: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let one = simd.splat(1.0);
        let inputs = self.gate.chunks(LANES).zip(self.up.chunks(LANES));
        for ((gate, up), out) in inputs.zip(self.out.chunks_mut(LANES)) {
            let x = simd.load(&padded(gate));
            let denominator = simd.add(one, exp(simd, simd.sub(simd.splat(0.0), x)));
            let silu = simd.div(x, denominator);
            let mut lanes = Lanes::ZERO;
            simd.store(simd.mul(silu, simd.load(&padded(up))), &mut lanes);
            out.copy_from_slice(&lanes.0[..out.len()]);
        }
    }
}

/// `x += y`, elementwise.
pub(crate) struct AddAssign<'a> {
    pub(crate) x: &'a mut [f32],
    pub(crate) y: &'a [f32],
}

impl Kernel for AddAssign<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (x, y) in self.x.iter_mut().zip(self.y) {
            *x += y;
        }
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
