//! Rows of activations as the products want them: in tiles of a few rows, as floats and as the
//! 8-bit blocks that quantised weights multiply.
//!
//! ```text
//!  tile of 12 rows: block 0 of row 0, block 0 of row 1, ... block 0 of row 11,
//!                   block 1 of row 0, ...
//! ```
//!
//! A kernel that multiplies a tile then walks through it from its start to its end.

use super::simd::{Kernel, LANES, Lanes, Simd, sum};
use super::{Compute, Instructions};

/// Columns that share one scale.
pub(crate) const BLOCK: usize = 32;

/// 32 activations as `scale * value`, value in -127..=127.
#[derive(Clone, Copy, Default)]
pub(super) struct QuantisedBlock {
    pub(super) values: [[i8; 4]; 8],
    pub(super) scale: f32,
    /// `scale *` the sum of the values, which a block's minimum is multiplied by.
    pub(super) scaled_sum: f32,
    /// -8 and -128 times the sum of the values: what using weights as `weight + 8` or
    /// `weight + 128` adds too much, and so what their integer sum starts from.
    pub(super) starts: [i32; 2],
    /// -32 times the sum of each half.
    pub(super) half_starts: [i32; 2],
}

impl QuantisedBlock {
    /// What the integer sum of a block starts from where weights are used as `weight + 2^shift`.
    #[inline(always)]
    pub(super) fn start(&self, shift: u32) -> i32 {
        match shift {
            7 => self.starts[1],
            _ => self.starts[0] >> 3 << shift,
        }
    }

    /// The same for a half.
    #[inline(always)]
    pub(super) fn half_start(&self, half: usize, shift: u32) -> i32 {
        self.half_starts[half] >> 5 << shift
    }

    /// `scale *` the sum of a half.
    #[inline(always)]
    pub(super) fn half_scaled_sum(&self, half: usize) -> f32 {
        self.scale * (self.half_starts[half] / -32) as f32
    }
}

/// Rows that are multiplied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) first: usize,
    pub(super) rows: usize,
}

/// Which forms of the activations are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forms {
    pub(crate) floats: bool,
    pub(crate) blocks: bool,
}

/// Rows of one width, ready to be multiplied by weights.
#[derive(Default)]
pub(crate) struct Activations {
    width: usize,
    rows: usize,
    pub(super) tiles: Vec<Tile>,
    /// Tile by tile: (width, rows of the tile)
    floats: Vec<f32>,
    /// Tile by tile: (width / 32, rows of the tile)
    blocks: Vec<QuantisedBlock>,
}

impl Activations {
    /// Makes these the activations of `rows` rows of `width`, each filled by
    /// `fill(state of the row, number of the row, row)`.
    ///
    /// `state` is (rows, any width): what the caller changes with each row.
    pub(crate) fn prepare(
        &mut self,
        compute: Compute<'_>,
        (rows, width, forms): (usize, usize, Forms),
        state: &mut [f32],
        fill: impl Fn(&mut [f32], usize, &mut [f32]) + Sync,
    ) {
        (self.rows, self.width) = (rows, width);
        self.tiles.clear();
        self.tiles
            .extend(tiles(rows, compute.instructions.tile_rows()));
        if forms.floats {
            self.floats.resize(rows * width, 0.0);
        }
        if forms.blocks {
            self.blocks
                .resize(rows * (width / BLOCK), QuantisedBlock::default());
        }
        let state_width = state.len().checked_div(rows).unwrap_or(0);
        let (mut state, mut floats, mut blocks) = (
            state,
            self.floats.as_mut_slice(),
            self.blocks.as_mut_slice(),
        );
        let jobs = self.tiles.iter().map(move |tile| TileJob {
            tile: *tile,
            state: take(&mut state, tile.rows * state_width),
            floats: take(
                &mut floats,
                if forms.floats { tile.rows * width } else { 0 },
            ),
            blocks: take(
                &mut blocks,
                if forms.blocks {
                    tile.rows * (width / BLOCK)
                } else {
                    0
                },
            ),
        });
        let instructions = compute.instructions;
        compute.team.each(
            jobs,
            || vec![0.0; width],
            |row, job| job.run(instructions, row, state_width, &fill),
        );
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// (width, rows of the tile)
    #[inline(always)]
    pub(super) fn floats_of(&self, tile: Tile) -> &[f32] {
        &self.floats[tile.first * self.width..][..tile.rows * self.width]
    }

    /// (width / 32, rows of the tile)
    #[inline(always)]
    pub(super) fn blocks_of(&self, tile: Tile) -> &[QuantisedBlock] {
        let blocks = self.width / BLOCK;
        &self.blocks[tile.first * blocks..][..tile.rows * blocks]
    }
}

/// The first `count` elements; `from` keeps the rest.
fn take<'a, T>(from: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (taken, rest) = std::mem::take(from).split_at_mut(count);
    *from = rest;
    taken
}

/// Cuts rows into tiles of the sizes that there are kernels for, the largest first.
fn tiles(rows: usize, sizes: &'static [usize]) -> impl Iterator<Item = Tile> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let left = rows - first;
        let rows = *sizes.iter().find(|size| **size <= left)?;
        first += rows;
        Some(Tile {
            first: first - rows,
            rows,
        })
    })
}

/// One tile to be filled.
struct TileJob<'a> {
    tile: Tile,
    state: &'a mut [f32],
    floats: &'a mut [f32],
    blocks: &'a mut [QuantisedBlock],
}

impl TileJob<'_> {
    fn run(
        self,
        instructions: Instructions,
        row: &mut [f32],
        state_width: usize,
        fill: &impl Fn(&mut [f32], usize, &mut [f32]),
    ) {
        let rows = self.tile.rows;
        for i in 0..rows {
            let state = &mut self.state[i * state_width..][..state_width];
            fill(state, self.tile.first + i, row);
            if !self.floats.is_empty() {
                for (to, from) in self.floats[i..].iter_mut().step_by(rows).zip(&*row) {
                    *to = *from;
                }
            }
            if !self.blocks.is_empty() {
                instructions.run(Quantise {
                    floats: row.as_chunks().0.as_chunks().0,
                    blocks: &mut self.blocks[i..],
                    step: rows,
                });
            }
        }
    }
}

/// Fills every `step`th block: each 32 floats are divided by their largest magnitude / 127 and
/// rounded to nearest, ties to even.
struct Quantise<'a> {
    floats: &'a [[Chunk; 2]],
    blocks: &'a mut [QuantisedBlock],
    step: usize,
}

type Chunk = [f32; LANES];

impl Kernel for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let blocks = self.blocks.iter_mut().step_by(self.step);
        for (floats, block) in self.floats.iter().zip(blocks) {
            let (low, high) = (simd.load(&Lanes(floats[0])), simd.load(&Lanes(floats[1])));
            let most = simd.largest(simd.max(simd.abs(low), simd.abs(high)));
            // Zero, but where a number is infinite or none.
            let zero = simd.splat(0.0);
            let poison = sum(simd, simd.mul_add(high, zero, simd.mul(low, zero)));
            let (scale, inverse) = scale_and_inverse(most + poison);
            let inverse = simd.splat(inverse);
            let (low, low_sum) = simd.to_i8(simd.mul(low, inverse));
            let (high, high_sum) = simd.to_i8(simd.mul(high, inverse));
            for (to, four) in block.values.iter_mut().zip(low.as_chunks().0) {
                *to = *four;
            }
            for (to, four) in block.values[4..].iter_mut().zip(high.as_chunks().0) {
                *to = *four;
            }
            // What overflows comes from infinity or NaN, and its scale is NaN.
            let whole = low_sum.wrapping_add(high_sum);
            block.starts = [whole.wrapping_mul(-8), whole.wrapping_mul(-128)];
            block.half_starts = [low_sum.wrapping_mul(-32), high_sum.wrapping_mul(-32)];
            block.scale = scale;
            block.scaled_sum = scale * whole as f32;
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
