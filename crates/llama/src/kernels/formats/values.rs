//! The values of quantised weights: thirty-two columns of sixteen rows.
//!
//! The 8-bit dot product takes a register of four columns by sixteen rows, byte `4 * row +
//! column`: a *four*. A block of 32 columns has eight fours. Where a value has fewer bits than a
//! byte, several fours share a line of 64 bytes, each in its own bits, and where it has five or
//! six, the upper bits have lines of their own:
//!
//! ```text
//!  8 bits   8 lines   | four i is line i
//!  4 bits   4 lines   | four i is in line i / 2, in the low nibbles for even i, the high for odd
//!  2 bits   2 lines   | four i is in line i / 4, at bit 2 * (i % 4)
//!  1 bit    1 line    | four i is at bit i
//!  6 bits: the lines of 4 bits, then those of 2;  5: of 4, then of 1;  3: of 2, then of 1
//! ```

use super::array;
use crate::kernels::simd::Simd;

/// A way to hold values.
pub(in crate::kernels) trait Values {
    /// Bytes of 32 columns of sixteen rows.
    const BYTES: usize;

    /// Four columns of sixteen rows, ready to be multiplied.
    type Four<S: Simd>: Copy;

    /// Four `i` (0..8) of a block.
    fn four<S: Simd>(simd: S, block: &[u8], i: usize) -> Self::Four<S>;

    /// What the integer sum of a block starts from, given minus the weights' offset times the sum
    /// of the activations; the values are used as they are.
    #[inline(always)]
    fn start<S: Simd>(simd: S, start: i32) -> S::Int {
        simd.dot_start(start)
    }

    fn dot<S: Simd>(simd: S, sums: S::Int, four: Self::Four<S>, activations: [i8; 4]) -> S::Int;

    /// Fills a block that is zero from its eight fours.
    fn pack(fours: &[[u8; LINE]; 8], block: &mut [u8]);

    /// A value of a block.
    fn get(block: &[u8], row: usize, column: usize) -> u8;
}

pub(in crate::kernels) const LINE: usize = 64;

/// Where `bits` bits of a value are: the byte's index and the shift.
#[inline(always)]
const fn place(bits: usize, row: usize, column: usize) -> (usize, usize) {
    let (four, per_line) = (column / 4, 8 / bits);
    (
        four / per_line * LINE + 4 * row + column % 4,
        four % per_line * bits,
    )
}

/// Adds the `bits` bits from bit `from` on of each value.
fn pack_bits(fours: &[[u8; LINE]; 8], (from, bits): (usize, usize), plane: &mut [u8]) {
    let (lines, _) = plane.as_chunks_mut::<LINE>();
    let mask = ((1u16 << bits) - 1) as u8;
    for (i, four) in fours.iter().enumerate() {
        let (per_line, shift) = (8 / bits, i % (8 / bits) * bits);
        for (to, value) in lines[i / per_line].iter_mut().zip(four) {
            *to |= ((value >> from) & mask) << shift;
        }
    }
}

fn get_bits(plane: &[u8], bits: usize, (row, column): (usize, usize)) -> u8 {
    let (byte, shift) = place(bits, row, column);
    (plane[byte] >> shift) & ((1u16 << bits) - 1) as u8
}

/// The bits of four `i` of a plane, moved to bit `to` of each byte.
#[inline(always)]
fn field<S: Simd>(simd: S, plane: &[u8], bits: usize, i: usize, to: usize) -> S::Bytes {
    let per_line = 8 / bits;
    let line = simd.load_bytes(array::<LINE>(plane, i / per_line));
    let (from, mask) = (i % per_line * bits, ((1 << bits) - 1) << to);
    if from >= to {
        simd.shift_right(line, (from - to) as u32, mask as u8)
    } else {
        simd.shift_left(line, (to - from) as u32, mask as u8)
    }
}

/// Whole bytes, `weight + 128`.
pub(in crate::kernels) struct Eight;

impl Values for Eight {
    const BYTES: usize = 8 * LINE;
    type Four<S: Simd> = S::Wide;

    #[inline(always)]
    fn four<S: Simd>(simd: S, block: &[u8], i: usize) -> S::Wide {
        simd.load_wide(array::<LINE>(block, i))
    }

    #[inline(always)]
    fn start<S: Simd>(simd: S, start: i32) -> S::Int {
        simd.dot_start_wide(start)
    }

    #[inline(always)]
    fn dot<S: Simd>(simd: S, sums: S::Int, four: S::Wide, activations: [i8; 4]) -> S::Int {
        simd.dot4_wide(sums, four, activations)
    }

    fn pack(fours: &[[u8; LINE]; 8], block: &mut [u8]) {
        block.copy_from_slice(fours.as_flattened());
    }

    fn get(block: &[u8], row: usize, column: usize) -> u8 {
        block[place(8, row, column).0]
    }
}

/// A plane of `LOW` bits and, where `HIGH` is not 0, one of the bits above.
pub(in crate::kernels) struct Planes<const LOW: usize, const HIGH: usize>;

impl<const LOW: usize, const HIGH: usize> Planes<LOW, HIGH> {
    /// Bytes of the lower plane.
    const LOW_BYTES: usize = LOW * LINE;
}

impl<const LOW: usize, const HIGH: usize> Values for Planes<LOW, HIGH> {
    const BYTES: usize = (LOW + HIGH) * LINE;
    type Four<S: Simd> = S::Bytes;

    #[inline(always)]
    fn four<S: Simd>(simd: S, block: &[u8], i: usize) -> S::Bytes {
        let low = field(simd, block, LOW, i, 0);
        if HIGH == 0 {
            return low;
        }
        simd.or(low, field(simd, &block[Self::LOW_BYTES..], HIGH, i, LOW))
    }

    #[inline(always)]
    fn dot<S: Simd>(simd: S, sums: S::Int, four: S::Bytes, activations: [i8; 4]) -> S::Int {
        simd.dot4(sums, four, activations)
    }

    fn pack(fours: &[[u8; LINE]; 8], block: &mut [u8]) {
        let (low, high) = block.split_at_mut(Self::LOW_BYTES);
        pack_bits(fours, (0, LOW), low);
        if HIGH > 0 {
            pack_bits(fours, (LOW, HIGH), high);
        }
    }

    fn get(block: &[u8], row: usize, column: usize) -> u8 {
        let (low, high) = block.split_at(Self::LOW_BYTES);
        let value = get_bits(low, LOW, (row, column));
        if HIGH == 0 {
            return value;
        }
        value | get_bits(high, HIGH, (row, column)) << LOW
    }
}
