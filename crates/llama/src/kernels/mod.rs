//! The arithmetic of the engine, and the only module that contains `unsafe`.
//!
//! Every kernel is written once, over the [`Simd`] trait, whose value type is sixteen lanes of
//! `f32`. Three types implement it: [`portable::Portable`], [`avx2::Avx2`] and
//! [`avx512::Avx512`]. A lane of one is the lane of another, a multiply-add is one rounding in all
//! three, integer dot products are exact and sums over lanes are taken in one fixed order, so
//! **all three give the same bits**. Nor does a result depend on which other rows are computed
//! beside it: every output element is one chain of operations in an order fixed by the model
//! alone. This is what makes an answer replayable, on another machine too.
//!
//! What it costs: a float dot product may not be split over several accumulators as the compiler
//! sees fit, so throughput comes from computing many rows at once (a tile of tokens by sixteen
//! output rows), and a single vector times a small matrix is bound by the latency of the adds.

mod activations;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod elementwise;
mod formats;
mod matrix;
mod panel;
mod portable;
mod product;
mod room;
mod simd;
mod sweep;
mod team;
#[cfg(test)]
mod tests;

pub(crate) use activations::{Activations, Forms};
pub(crate) use attention::{Attention, HalfLanes, KvBlocks, KvLanes, Queries};
pub(crate) use elementwise::{AddAssign, LogSumExp, RmsNorm, SwiGlu};
pub(crate) use matrix::{Matrix, MatrixPart};
pub(crate) use panel::Panel;
pub(crate) use product::{Product, multiply};
use simd::Kernel;
pub(crate) use simd::{LANES, Lanes};
pub(crate) use sweep::sweep;
pub(crate) use team::Team;

use portable::Portable;

/// The instructions that the kernels use, chosen when the program runs.
///
/// All choices give the same bits; they differ in speed only. [`Instructions::best`] is what
/// [`crate::Model`] uses unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Instructions {
    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::portable())
    }

    /// Plain Rust, without instructions beyond the target's base line.
    pub fn portable() -> Self {
        Self(Level::Portable)
    }

    /// All that this machine has, slowest first; the first is always the portable one.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            expect(unused_mut, reason = "only x86-64 has more than the portable kernels")
        )]
        let mut found = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Avx2::detect().map(|token| Self(Level::Avx2(token))));
            found.extend(avx512::Avx512::detect().map(|token| Self(Level::Avx512(token))));
        }
        found
    }

    /// `portable`, `avx2` or `avx512-vnni`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512-vnni",
        }
    }

    /// The sizes of tiles that there are kernels for, the largest first; the last is 1.
    fn tile_rows(self) -> &'static [usize] {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => &[12, 8, 4, 1],
            _ => &[4, 1],
        }
    }

    /// Runs `kernel` with these instructions.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Level::Portable => kernel.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(token) => token.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(token) => token.run(kernel),
        }
    }
}

/// What computes: with which instructions, on which threads.
#[derive(Clone, Copy)]
pub(crate) struct Compute<'a> {
    pub(crate) instructions: Instructions,
    pub(crate) team: &'a Team,
}
