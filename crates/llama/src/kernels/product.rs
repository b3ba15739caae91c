//! The product of weights with rows of activations, in tiles of a few rows by sixteen outputs
//! that stay in registers.

use super::Compute;
use super::activations::{Activations, QuantisedBlock, Tile};
use super::formats::{Blocks, Floats, Scales, Values, with_format};
use super::matrix::{Matrix, values_bytes};
use super::panel::Panel;
use super::simd::{Kernel, LANES, Lanes, Simd};
use std::ops::Range;

/// One matrix times the activations: `out` becomes (activation rows, matrix rows).
pub(crate) struct Product<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) out: &'a mut Panel,
}

/// Computes the products of several matrices with the same activations, which must have been
/// prepared in the forms that the matrices want.
pub(crate) fn multiply(
    compute: Compute<'_>,
    activations: &Activations,
    products: Vec<Product<'_>>,
) {
    let rows = activations.rows();
    if rows == 0 {
        return;
    }
    let parts = products.into_iter().flat_map(|Product { matrix, out }| {
        out.resize(rows, matrix.rows);
        let groups = (PART_BYTES / matrix.group_bytes()).clamp(1, GROUPS_MAX);
        let parts = out.strips_mut().chunks_mut(groups * rows);
        parts.enumerate().map(move |(i, out)| Part {
            matrix,
            activations,
            groups: i * groups..i * groups + out.len() / rows,
            out,
        })
    });
    let instructions = compute.instructions;
    compute
        .team
        .each(parts, || (), |(), part| instructions.run(part));
}

/// Bytes of weights that a thread takes at once: few enough that they stay in its second-level
/// cache while all rows of activations pass, and that no thread waits long for another's last.
pub(super) const PART_BYTES: usize = 256 << 10;
const GROUPS_MAX: usize = 16;

/// The product with some groups of a matrix's rows; `out` is (groups, activation rows).
struct Part<'a> {
    matrix: &'a Matrix,
    activations: &'a Activations,
    groups: Range<usize>,
    out: &'a mut [Lanes],
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.activations.rows();
        for tile in &self.activations.tiles {
            let strips = self.out.chunks_exact_mut(rows);
            for (group, strip) in self.groups.clone().zip(strips) {
                let out = &mut strip[tile.first..][..tile.rows];
                let group = self.matrix.group(group);
                with_format!(
                    self.matrix.kind,
                    floats F => float_tile::<S, F>(simd, self.activations, *tile, group, out),
                    blocks B => quantised_tile::<S, B>(simd, self.activations, *tile, group, out),
                );
            }
        }
    }
}

#[inline(always)]
fn float_tile<S: Simd, F: Floats>(
    simd: S,
    activations: &Activations,
    tile: Tile,
    group: &[u8],
    out: &mut [Lanes],
) {
    let floats = activations.floats_of(tile);
    let group = (group, comes_first(tile));
    match out.len() {
        1 => float_rows::<S, F, 1>(simd, floats, group, out),
        4 => float_rows::<S, F, 4>(simd, floats, group, out),
        8 if S::TOKENS >= 8 => float_rows::<S, F, 8>(simd, floats, group, out),
        12 if S::TOKENS >= 12 => float_rows::<S, F, 12>(simd, floats, group, out),
        rows => unreachable!("no tile has {rows} rows"),
    }
}

/// `floats` (columns, N) times sixteen rows of float weights.
#[inline(always)]
fn float_rows<S: Simd, F: Floats, const N: usize>(
    simd: S,
    floats: &[f32],
    (group, comes_first): (&[u8], bool),
    out: &mut [Lanes],
) {
    let mut sums = [simd.splat(0.0); N];
    let (columns, _) = floats.as_chunks::<N>();
    for (column, activations) in columns.iter().enumerate() {
        if comes_first {
            simd.prefetch(group, PREFETCH_BYTES + column * LANES * F::BYTES);
        }
        let weight = F::load(simd, group, column);
        for (sum, x) in sums.iter_mut().zip(activations) {
            *sum = simd.mul_add(weight, simd.splat(*x), *sum);
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        simd.store(sum, out);
    }
}

#[inline(always)]
fn quantised_tile<S: Simd, B: Blocks>(
    simd: S,
    activations: &Activations,
    tile: Tile,
    group: &[u8],
    out: &mut [Lanes],
) {
    let blocks = activations.blocks_of(tile);
    let group = (group, comes_first(tile));
    match out.len() {
        1 => quantised_rows::<S, B, 1>(simd, blocks, group, out),
        4 => quantised_rows::<S, B, 4>(simd, blocks, group, out),
        8 if S::TOKENS >= 8 => quantised_rows::<S, B, 8>(simd, blocks, group, out),
        12 if S::TOKENS >= 12 => quantised_rows::<S, B, 12>(simd, blocks, group, out),
        rows => unreachable!("no tile has {rows} rows"),
    }
}

/// Whether this tile brings the weights from memory; those after it find them in the cache.
fn comes_first(tile: Tile) -> bool {
    tile.first == 0
}

/// How far ahead of what is read the first tile asks for weights: its arithmetic is over before
/// they would come by themselves.
pub(super) const PREFETCH_BYTES: usize = 4096;

/// `blocks` (columns / 32, N) times sixteen rows of quantised weights, which come from memory where
/// this tile `comes_first`.
#[inline(always)]
fn quantised_rows<S: Simd, B: Blocks, const N: usize>(
    simd: S,
    blocks: &[QuantisedBlock],
    (group, comes_first): (&[u8], bool),
    out: &mut [Lanes],
) {
    let (blocks, _) = blocks.as_chunks::<N>();
    let (values, scales) = group.split_at(values_bytes::<B>(blocks.len() * 32));
    let mut sums = [simd.splat(0.0); N];
    for (b, (activations, values)) in blocks
        .iter()
        .zip(values.chunks_exact(B::Values::BYTES))
        .enumerate()
    {
        if comes_first {
            for line in (0..B::Values::BYTES).step_by(super::formats::LINE) {
                simd.prefetch(values, PREFETCH_BYTES + line);
            }
            // A group's scales are a short stream of their own, which the machine would discover
            // anew each time: those of the next group.
            let at = b * 32 * B::Scales::BYTES / B::Scales::COLUMNS;
            simd.prefetch(scales, group.len() + at);
        }
        for part in 0..B::Scales::PARTS {
            let dots = dots::<S, B, N>(simd, activations, values, part);
            let scale = B::Scales::scale(simd, scales, b, part);
            for ((sum, dot), x) in sums.iter_mut().zip(dots).zip(activations) {
                let scale = simd.mul(scale, simd.splat(x.scale));
                *sum = simd.mul_add(simd.to_float(dot), scale, *sum);
            }
            if B::Scales::OFFSET.is_none() {
                let minimum = B::Scales::minimum(simd, scales, b, part);
                for (sum, x) in sums.iter_mut().zip(activations) {
                    let scaled_sum = match B::Scales::PARTS {
                        1 => x.scaled_sum,
                        _ => x.half_scaled_sum(part),
                    };
                    *sum = simd.mul_add(minimum, simd.splat(scaled_sum), *sum);
                }
            }
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        simd.store(sum, out);
    }
}

/// The exact dot products of one part of a block.
#[inline(always)]
fn dots<S: Simd, B: Blocks, const N: usize>(
    simd: S,
    activations: &[QuantisedBlock; N],
    values: &[u8],
    part: usize,
) -> [S::Int; N] {
    // Loops and no closures: a closure is compiled by itself, without the instructions enabled
    // here, wherever the compiler does not inline it.
    let mut dots = [simd.dot_start(0); N];
    if let Some(shift) = B::Scales::OFFSET {
        for (dot, x) in dots.iter_mut().zip(activations) {
            let start = match B::Scales::PARTS {
                1 => x.start(shift),
                _ => x.half_start(part, shift),
            };
            *dot = B::Values::start(simd, start);
        }
    }
    let fours = 8 / B::Scales::PARTS;
    for i in part * fours..(part + 1) * fours {
        let four = B::Values::four(simd, values, i);
        for (dot, x) in dots.iter_mut().zip(activations) {
            *dot = B::Values::dot(simd, *dot, four, x.values[i]);
        }
    }
    dots
}
