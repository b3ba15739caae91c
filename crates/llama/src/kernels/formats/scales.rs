//! The scales of quantised weights, sixteen rows side by side.
//!
//! ```text
//!  Plain<k>      a block of 32:   scale (f16)                        scale * (value - 2^k)
//!  WithMinimum   a block of 32:   scale (f16), minimum (f16)         scale * value + minimum
//!  Super32       256 columns:     d (f16), m (f16), then for each 32: scale, minimum (6 bits in
//!                                 a byte)                            d * scale * value - m * minimum
//!  Super16<k>    256 columns:     d (f16), then for each 16: scale (signed byte)
//!                                                                    d * scale * (value - 2^k)
//!  Super16Minimum 256 columns:    d (f16), m (f16), then for each 16: scale and minimum (4 bits)
//! ```
//!
//! What a file packs into six bits stands in a byte here: 0.125 bits more for each weight, and
//! no time spent on unpacking it for each token.

use super::{Unpacked, array, array_mut};
use crate::kernels::simd::{LANES, Simd};

/// A way to hold scales.
pub(in crate::kernels) trait Scales {
    /// Columns that are stored together.
    const COLUMNS: usize;
    /// Bytes of these columns, of sixteen rows.
    const BYTES: usize;
    /// Scales of 32 columns: one for all, or one for each half.
    const PARTS: usize;
    /// The offset of a value is `1 << OFFSET`; `None` where there is a minimum instead.
    const OFFSET: Option<u32>;

    /// Scales of part `part` of 32-column block `block`.
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, part: usize) -> S::Float;

    /// What is added to each weight.
    #[inline(always)]
    fn minimum<S: Simd>(simd: S, _scales: &[u8], _block: usize, _part: usize) -> S::Float {
        simd.splat(0.0)
    }

    /// Stores the scales of one row of `COLUMNS` columns.
    fn put(scales: &mut [u8], row: usize, from: &Unpacked);
}

/// Bytes of sixteen half-precision numbers.
const HALVES: usize = 2 * LANES;

fn put_half(scales: &mut [u8], at: usize, row: usize, bits: [u8; 2]) {
    *array_mut(&mut scales[at..], row) = bits;
}

pub(in crate::kernels) struct Plain<const OFFSET: u32>;

impl<const OFFSET: u32> Scales for Plain<OFFSET> {
    const COLUMNS: usize = 32;
    const BYTES: usize = HALVES;
    const PARTS: usize = 1;
    const OFFSET: Option<u32> = Some(OFFSET);

    #[inline(always)]
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, _part: usize) -> S::Float {
        simd.load_f16(array::<HALVES>(scales, block))
    }

    fn put(scales: &mut [u8], row: usize, from: &Unpacked) {
        put_half(scales, 0, row, from.d);
    }
}

pub(in crate::kernels) struct WithMinimum;

impl Scales for WithMinimum {
    const COLUMNS: usize = 32;
    const BYTES: usize = 2 * HALVES;
    const PARTS: usize = 1;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, _part: usize) -> S::Float {
        simd.load_f16(array::<HALVES>(scales, 2 * block))
    }

    #[inline(always)]
    fn minimum<S: Simd>(simd: S, scales: &[u8], block: usize, _part: usize) -> S::Float {
        simd.load_f16(array::<HALVES>(scales, 2 * block + 1))
    }

    fn put(scales: &mut [u8], row: usize, from: &Unpacked) {
        put_half(scales, 0, row, from.d);
        put_half(scales, HALVES, row, from.m);
    }
}

/// The bytes of the 256 columns that block `block` of 32 is in.
#[inline(always)]
fn super_block<T: Scales>(scales: &[u8], block: usize) -> &[u8] {
    &scales[block / 8 * T::BYTES..][..T::BYTES]
}

pub(in crate::kernels) struct Super32;

impl Scales for Super32 {
    const COLUMNS: usize = 256;
    const BYTES: usize = 2 * HALVES + 8 * 2 * LANES;
    const PARTS: usize = 1;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, _part: usize) -> S::Float {
        let scales = super_block::<Self>(scales, block);
        let d = simd.load_f16(array(scales, 0));
        simd.mul(d, simd.load_u8(array(scales, 4 + block % 8 * 2)))
    }

    #[inline(always)]
    fn minimum<S: Simd>(simd: S, scales: &[u8], block: usize, _part: usize) -> S::Float {
        let scales = super_block::<Self>(scales, block);
        let m = simd.sub(simd.splat(0.0), simd.load_f16(array(scales, 1)));
        simd.mul(m, simd.load_u8(array(scales, 5 + block % 8 * 2)))
    }

    fn put(scales: &mut [u8], row: usize, from: &Unpacked) {
        put_half(scales, 0, row, from.d);
        put_half(scales, HALVES, row, from.m);
        for block in 0..8 {
            let place: &mut [u8; 2 * LANES] = array_mut(&mut scales[2 * HALVES..], block);
            place[row] = from.scales[block];
            place[LANES + row] = from.minimums[block];
        }
    }
}

pub(in crate::kernels) struct Super16<const OFFSET: u32>;

impl<const OFFSET: u32> Scales for Super16<OFFSET> {
    const COLUMNS: usize = 256;
    const BYTES: usize = HALVES + 16 * LANES;
    const PARTS: usize = 2;
    const OFFSET: Option<u32> = Some(OFFSET);

    #[inline(always)]
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, part: usize) -> S::Float {
        let scales = super_block::<Self>(scales, block);
        let d = simd.load_f16(array(scales, 0));
        simd.mul(d, simd.load_i8(array(scales, 2 + block % 8 * 2 + part)))
    }

    fn put(scales: &mut [u8], row: usize, from: &Unpacked) {
        put_half(scales, 0, row, from.d);
        for part in 0..16 {
            scales[HALVES + part * LANES + row] = from.scales[part];
        }
    }
}

pub(in crate::kernels) struct Super16Minimum;

impl Scales for Super16Minimum {
    const COLUMNS: usize = 256;
    const BYTES: usize = 2 * HALVES + 16 * LANES;
    const PARTS: usize = 2;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    fn scale<S: Simd>(simd: S, scales: &[u8], block: usize, part: usize) -> S::Float {
        let scales = super_block::<Self>(scales, block);
        let d = simd.load_f16(array(scales, 0));
        let both: &[u8; LANES] = array(scales, 4 + block % 8 * 2 + part);
        simd.mul(d, simd.load_u8(&both.map(|both| both & 15)))
    }

    #[inline(always)]
    fn minimum<S: Simd>(simd: S, scales: &[u8], block: usize, part: usize) -> S::Float {
        let scales = super_block::<Self>(scales, block);
        let m = simd.sub(simd.splat(0.0), simd.load_f16(array(scales, 1)));
        let both: &[u8; LANES] = array(scales, 4 + block % 8 * 2 + part);
        simd.mul(m, simd.load_u8(&both.map(|both| both >> 4)))
    }

    fn put(scales: &mut [u8], row: usize, from: &Unpacked) {
        put_half(scales, 0, row, from.d);
        put_half(scales, HALVES, row, from.m);
        for part in 0..16 {
            scales[2 * HALVES + part * LANES + row] = from.scales[part] | from.minimums[part] << 4;
        }
    }
}
