//! Rows of activations, as floats and as the 8-bit blocks that quantised weights multiply.

use super::Instructions;
use super::simd::{Kernel, ROUND, Simd};

/// Columns that share one scale, in weights (Q8_0) and in activations.
pub(crate) const BLOCK: usize = 32;

/// Rows of one width, ready to be multiplied by weights.
#[derive(Default)]
pub(crate) struct Activations {
    /// Columns of a row.
    pub(crate) width: usize,
    /// (rows, width)
    pub(crate) floats: Vec<f32>,
    pub(crate) blocks: Vec<QuantisedBlock>,
}

/// 32 activations as `scale * value`, value in -127..=127.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct QuantisedBlock {
    pub(crate) values: [[i8; 4]; 8],
    pub(crate) scale: f32,
    /// -128 * the sum of the values: what using weights as `weight + 128` adds too much, negated.
    pub(crate) offset: i32,
}

impl Activations {
    /// Room for `rows` rows of `width`; the contents are whatever they were.
    pub(crate) fn resize(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.floats.resize(rows * width, 0.0);
        self.blocks.clear();
    }

    pub(crate) fn rows(&self) -> usize {
        self.floats.len().checked_div(self.width).unwrap_or(0)
    }

    /// Fills `blocks` from `floats`: each block of 32 is divided by its largest magnitude / 127
    /// and rounded to nearest, ties to even, as llama.cpp does for Q8_0 weights.
    /// Does nothing where that was done since [`Activations::resize`].
    pub(crate) fn quantise(&mut self, instructions: Instructions) {
        if !self.blocks.is_empty() {
            return;
        }
        self.blocks
            .resize(self.floats.len() / BLOCK, QuantisedBlock::default());
        let (floats, _) = self.floats.as_chunks();
        instructions.run(Quantise {
            floats,
            blocks: &mut self.blocks,
        });
    }
}

struct Quantise<'a> {
    floats: &'a [[f32; BLOCK]],
    blocks: &'a mut [QuantisedBlock],
}

impl Kernel for Quantise<'_> {
    type Output = ();

    // Plain Rust that the compiler vectorises for the instructions enabled around it; each
    // operation is exact or rounds once, so that the lanes' order cannot matter.
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (floats, block) in self.floats.iter().zip(self.blocks) {
            let mut magnitude = 0u32;
            for x in floats {
                // Magnitudes order like their bits, infinity and NaN above all.
                magnitude = magnitude.max(x.to_bits() & 0x7fff_ffff);
            }
            let (scale, inverse) = scale_and_inverse(f32::from_bits(magnitude));
            let mut values = [0i32; BLOCK];
            for (x, value) in floats.iter().zip(&mut values) {
                let shifted = x * inverse + ROUND;
                *value = shifted
                    .to_bits()
                    .wrapping_sub(ROUND.to_bits())
                    .cast_signed();
            }
            let (fours, _) = values.as_chunks::<4>();
            for (to, four) in block.values.iter_mut().zip(fours) {
                *to = four.map(|value| value as i8);
            }
            block.scale = scale;
            block.offset = values
                .iter()
                .fold(0i32, |sum, v| sum.wrapping_sub(v.wrapping_mul(128)));
        }
    }
}

/// The scale of a block whose largest magnitude is given, and its inverse. What is too small for
/// an inverse counts as zero; infinity or NaN make the scale NaN and so all that is computed from
/// the block, whatever its values.
#[inline(always)]
fn scale_and_inverse(magnitude: f32) -> (f32, f32) {
    let scale = magnitude / 127.0;
    if !scale.is_finite() {
        (f32::NAN, 0.0)
    } else if scale < f32::MIN_POSITIVE {
        (0.0, 0.0)
    } else {
        (scale, 1.0 / scale)
    }
}
