//! The blocks of GGUF files, as ggml defines them
//! (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>).

use super::array;
use super::scales::{Plain, Scales, Super16, Super16Minimum, Super32, WithMinimum};
use super::values::{Eight, Planes, Values};

/// A block of one row, taken apart.
pub(in crate::kernels) struct Unpacked {
    /// The values, without their offset; as many as the block has columns.
    pub(super) values: [u8; 256],
    /// The block's scale, half precision.
    pub(super) d: [u8; 2],
    /// The block's minimum or the scale of its minimums, half precision.
    pub(super) m: [u8; 2],
    /// The scales within a block of 256, as bytes.
    pub(super) scales: [u8; 16],
    /// The minimums within a block of 256.
    pub(super) minimums: [u8; 16],
}

impl Unpacked {
    pub(in crate::kernels) const EMPTY: Self = Self {
        values: [0; 256],
        d: [0; 2],
        m: [0; 2],
        scales: [0; 16],
        minimums: [0; 16],
    };

    pub(in crate::kernels) fn values(&self) -> &[u8; 256] {
        &self.values
    }
}

/// A quantised format.
pub(in crate::kernels) trait Blocks {
    type Values: Values;
    type Scales: Scales;
    /// Bytes of a block in a file.
    const FILE_BYTES: usize;

    /// Takes a block of [`Scales::COLUMNS`] columns apart.
    fn unpack(block: &[u8], to: &mut Unpacked);
}

/// Sixteen bytes of two values each: the low nibbles, then the high ones.
fn nibbles(from: &[u8; 16], to: &mut Unpacked) {
    for (i, byte) in from.iter().enumerate() {
        to.values[i] = byte & 15;
        to.values[i + 16] = byte >> 4;
    }
}

/// The fifth bits of 32 values.
fn fifth_bits(from: [u8; 4], to: &mut Unpacked) {
    let bits = u32::from_le_bytes(from);
    for (i, value) in to.values[..32].iter_mut().enumerate() {
        *value |= ((bits >> i) as u8 & 1) << 4;
    }
}

pub(in crate::kernels) struct Q8_0;

impl Blocks for Q8_0 {
    type Values = Eight;
    type Scales = Plain<7>;
    const FILE_BYTES: usize = 34;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        for (value, byte) in to.values.iter_mut().zip(&block[2..34]) {
            *value = byte ^ 0x80;
        }
    }
}

pub(in crate::kernels) struct Q4_0;

impl Blocks for Q4_0 {
    type Values = Planes<4, 0>;
    type Scales = Plain<3>;
    const FILE_BYTES: usize = 18;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        nibbles(array(&block[2..], 0), to);
    }
}

pub(in crate::kernels) struct Q4_1;

impl Blocks for Q4_1 {
    type Values = Planes<4, 0>;
    type Scales = WithMinimum;
    const FILE_BYTES: usize = 20;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        to.m = *array(block, 1);
        nibbles(array(&block[4..], 0), to);
    }
}

pub(in crate::kernels) struct Q5_0;

impl Blocks for Q5_0 {
    type Values = Planes<4, 1>;
    type Scales = Plain<4>;
    const FILE_BYTES: usize = 22;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        nibbles(array(&block[6..], 0), to);
        fifth_bits(*array(&block[2..], 0), to);
    }
}

pub(in crate::kernels) struct Q5_1;

impl Blocks for Q5_1 {
    type Values = Planes<4, 1>;
    type Scales = WithMinimum;
    const FILE_BYTES: usize = 24;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        to.m = *array(block, 1);
        nibbles(array(&block[8..], 0), to);
        fifth_bits(*array(&block[4..], 0), to);
    }
}

pub(in crate::kernels) struct Q2K;

impl Blocks for Q2K {
    type Values = Planes<2, 0>;
    type Scales = Super16Minimum;
    const FILE_BYTES: usize = 84;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        let (scales, rest) = block.split_at(16);
        let (values, ends) = rest.split_at(64);
        to.d = *array(ends, 0);
        to.m = *array(ends, 1);
        for (i, both) in scales.iter().enumerate() {
            (to.scales[i], to.minimums[i]) = (both & 15, both >> 4);
        }
        for (i, value) in to.values.iter_mut().enumerate() {
            *value = (values[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
        }
    }
}

pub(in crate::kernels) struct Q3K;

impl Blocks for Q3K {
    type Values = Planes<2, 1>;
    type Scales = Super16<2>;
    const FILE_BYTES: usize = 110;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        let (high, rest) = block.split_at(32);
        let (low, rest) = rest.split_at(64);
        let (scales, d) = rest.split_at(12);
        to.d = *array(d, 0);
        for (i, scale) in to.scales.iter_mut().enumerate() {
            // Four bits from the first eight bytes, two from the last four; 32 stands for 0.
            let low = scales[i % 8] >> (i / 8 * 4) & 15;
            let high = scales[8 + i % 4] >> (i / 4 * 2) & 3;
            *scale = (low | high << 4).wrapping_sub(32);
        }
        for (i, value) in to.values.iter_mut().enumerate() {
            let two = (low[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
            *value = two | ((high[i % 32] >> (i / 32)) & 1) << 2;
        }
    }
}

/// Eight scales and minimums of six bits each from twelve bytes.
fn six_bit_scales(from: &[u8; 12], to: &mut Unpacked) {
    for i in 0..4 {
        to.scales[i] = from[i] & 63;
        to.minimums[i] = from[i + 4] & 63;
        to.scales[i + 4] = from[i + 8] & 15 | from[i] >> 6 << 4;
        to.minimums[i + 4] = from[i + 8] >> 4 | from[i + 4] >> 6 << 4;
    }
}

/// The value `i` of 256 in 128 bytes: 32 low nibbles, the 32 high ones of the same bytes, ...
fn nibble_of_256(from: &[u8], i: usize) -> u8 {
    from[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15
}

pub(in crate::kernels) struct Q4K;

impl Blocks for Q4K {
    type Values = Planes<4, 0>;
    type Scales = Super32;
    const FILE_BYTES: usize = 144;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        to.m = *array(block, 1);
        six_bit_scales(array(&block[4..], 0), to);
        for (i, value) in to.values.iter_mut().enumerate() {
            *value = nibble_of_256(&block[16..], i);
        }
    }
}

pub(in crate::kernels) struct Q5K;

impl Blocks for Q5K {
    type Values = Planes<4, 1>;
    type Scales = Super32;
    const FILE_BYTES: usize = 176;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        to.d = *array(block, 0);
        to.m = *array(block, 1);
        six_bit_scales(array(&block[4..], 0), to);
        let (high, low) = block[16..].split_at(32);
        for (i, value) in to.values.iter_mut().enumerate() {
            *value = nibble_of_256(low, i) | (high[i % 32] >> (i / 32) & 1) << 4;
        }
    }
}

pub(in crate::kernels) struct Q6K;

impl Blocks for Q6K {
    type Values = Planes<4, 2>;
    type Scales = Super16<5>;
    const FILE_BYTES: usize = 210;

    fn unpack(block: &[u8], to: &mut Unpacked) {
        let (low, rest) = block.split_at(128);
        let (high, rest) = rest.split_at(64);
        to.scales.copy_from_slice(&rest[..16]);
        to.d = *array(&rest[16..], 0);
        for (i, value) in to.values.iter_mut().enumerate() {
            // Of each 128: 64 low nibbles, the 64 high ones; 32 times two bits, four in a byte.
            let (of, i) = (i / 128, i % 128);
            let four = low[of * 64 + i % 64] >> (i / 64 * 4) & 15;
            let two = high[of * 32 + i % 32] >> (i / 32 * 2) & 3;
            *value = four | two << 4;
        }
    }
}
