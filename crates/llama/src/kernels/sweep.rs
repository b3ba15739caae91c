//! Reading weights and computing next to nothing: what memory allows at most.

use super::formats::LINE;
use super::product::{PART_BYTES, PREFETCH_BYTES};
use super::simd::{Kernel, Lanes, Simd};
use super::{Compute, Matrix};

/// Reads all bytes of `matrices` once, on all threads, as decoding does, and gives back how many
/// they were. No token can be computed in less time than this takes.
pub(crate) fn sweep<'a>(
    compute: Compute<'_>,
    matrices: impl Iterator<Item = &'a Matrix> + Clone + Send,
) -> u64 {
    let bytes = matrices.clone().map(|matrix| matrix.weights().len() as u64);
    let parts = matrices.flat_map(|matrix| matrix.weights().chunks(PART_BYTES));
    let instructions = compute.instructions;
    compute.team.each(
        parts,
        || (),
        |(), part| {
            // Nobody wants it, but without that nothing would be read.
            std::hint::black_box(instructions.run(Sweep(part)));
        },
    );
    bytes.sum()
}

struct Sweep<'a>(&'a [u8]);

impl Kernel for Sweep<'_> {
    type Output = Lanes;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Lanes {
        let mut sums = simd.dot_start(0);
        for line in self.0.as_chunks::<LINE>().0 {
            simd.prefetch(line, PREFETCH_BYTES);
            sums = simd.dot4(sums, simd.shift_right(simd.load_bytes(line), 2, 63), [1; 4]);
        }
        let mut read = Lanes::ZERO;
        simd.store(simd.to_float(sums), &mut read);
        read
    }
}
