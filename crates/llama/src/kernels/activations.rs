//! Rows of activations as the products want them: in tiles of a few rows, as floats and as the
//! 8-bit blocks that quantised weights multiply.
//!
//! ```text
//!  tile of 12 rows: block 0 of row 0, block 0 of row 1, ... block 0 of row 11,
//!                   block 1 of row 0, ...
//! ```
//!
//! A kernel that multiplies a tile then walks through it from its start to its end.

use super::simd::{Kernel, ROUND, Simd};
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
    /// -1 * the sum of the values: what using weights as `weight + offset` adds too much.
    pub(super) negated_sum: i32,
    /// The same of each half.
    pub(super) negated_halves: [i32; 2],
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
                    floats: row.as_chunks().0,
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
    floats: &'a [[f32; BLOCK]],
    blocks: &'a mut [QuantisedBlock],
    step: usize,
}

impl Kernel for Quantise<'_> {
    type Output = ();

    // Plain Rust that the compiler vectorises for the instructions enabled around it; each
    // operation is exact or rounds once, so that the lanes' order cannot matter.
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (floats, block) in self
            .floats
            .iter()
            .zip(self.blocks.iter_mut().step_by(self.step))
        {
            let mut magnitude = 0u32;
            for x in floats {
                // Magnitudes order like their bits, infinity and NaN above all.
                magnitude = magnitude.max(x.to_bits() & 0x7fff_ffff);
            }
            let (scale, inverse) = scale_and_inverse(f32::from_bits(magnitude));
            let mut values = [0i32; BLOCK];
            for (x, value) in floats.iter().zip(&mut values) {
                let shifted = x * inverse + ROUND;
                let whole = shifted.to_bits().wrapping_sub(ROUND.to_bits());
                // What does not fit comes from infinity or NaN, and its scale is NaN.
                *value = i32::from(whole as i8);
            }
            let (fours, _) = values.as_chunks::<4>();
            for (to, four) in block.values.iter_mut().zip(fours) {
                *to = four.map(|value| value as i8);
            }
            let negated = |half: &[i32]| -half.iter().sum::<i32>();
            block.negated_halves = [negated(&values[..BLOCK / 2]), negated(&values[BLOCK / 2..])];
            block.negated_sum = block.negated_halves[0] + block.negated_halves[1];
            block.scale = scale;
            block.scaled_sum = scale * -(block.negated_sum as f32);
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
