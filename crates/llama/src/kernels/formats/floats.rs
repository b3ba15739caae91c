//! Weights stored as floats: a column of sixteen rows side by side, as many bytes as in the file.

use super::array;
use crate::kernels::simd::{LANES, Simd};
use half::{bf16, f16};

/// A float format.
pub(in crate::kernels) trait Floats {
    /// Bytes of a number.
    const BYTES: usize;

    /// Column `column` of sixteen rows.
    fn load<S: Simd>(simd: S, group: &[u8], column: usize) -> S::Float;
    /// A number, widened exactly.
    fn widen(number: &[u8]) -> f32;
}

pub(in crate::kernels) struct F32;
pub(in crate::kernels) struct F16;
pub(in crate::kernels) struct BF16;

impl Floats for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn load<S: Simd>(simd: S, group: &[u8], column: usize) -> S::Float {
        simd.load_f32(array::<{ 4 * LANES }>(group, column))
    }

    fn widen(number: &[u8]) -> f32 {
        f32::from_le_bytes(*array(number, 0))
    }
}

impl Floats for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn load<S: Simd>(simd: S, group: &[u8], column: usize) -> S::Float {
        simd.load_f16(array::<{ 2 * LANES }>(group, column))
    }

    fn widen(number: &[u8]) -> f32 {
        f16::from_le_bytes(*array(number, 0)).to_f32()
    }
}

impl Floats for BF16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn load<S: Simd>(simd: S, group: &[u8], column: usize) -> S::Float {
        simd.load_bf16(array::<{ 2 * LANES }>(group, column))
    }

    fn widen(number: &[u8]) -> f32 {
        bf16::from_le_bytes(*array(number, 0)).to_f32()
    }
}
