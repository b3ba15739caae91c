//! The product of weights with rows of activations, in tiles of a few tokens by sixteen rows that
//! stay in registers.

use super::Instructions;
use super::activations::{Activations, BLOCK, QuantisedBlock};
use super::matrix::{Matrix, Quantised, Weights};
use super::simd::{Kernel, LANES, Lanes, Simd};
use std::ops::Range;

/// One matrix times the activations: `out` is (activation rows, matrix rows).
pub(crate) struct Product<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) out: &'a mut [f32],
}

/// Computes the products of several matrices with the same activations, on `threads` threads.
///
/// The activations are quantised first where a matrix wants it. How the rows are cut among
/// threads cannot change a bit of the result.
pub(crate) fn multiply(
    instructions: Instructions,
    threads: usize,
    activations: &mut Activations,
    products: &mut [Product<'_>],
) {
    if products.iter().any(|p| p.matrix.wants_quantised()) {
        activations.quantise(instructions);
    }
    for product in products {
        let groups = product.matrix.rows.div_ceil(LANES);
        let work = product.matrix.rows * product.matrix.columns * activations.rows();
        let threads = threads.min(groups).min(work / WORK_PER_THREAD);
        if threads <= 1 {
            let part = Part {
                matrix: product.matrix,
                activations,
                groups: 0..groups,
                out: product.out,
            };
            instructions.run(part);
        } else {
            multiply_on_threads(instructions, threads, activations, product);
        }
    }
}

/// Multiply-adds below which another thread costs more than it saves (about 20 microseconds).
const WORK_PER_THREAD: usize = 1 << 20;

fn multiply_on_threads(
    instructions: Instructions,
    threads: usize,
    activations: &Activations,
    product: &mut Product<'_>,
) {
    let matrix = product.matrix;
    let groups = matrix.rows.div_ceil(LANES);
    let cuts: Vec<Range<usize>> = (0..threads)
        .map(|t| groups * t / threads..groups * (t + 1) / threads)
        .collect();
    let width = |cut: &Range<usize>| (cut.end * LANES).min(matrix.rows) - cut.start * LANES;
    let part = |groups: Range<usize>| {
        let mut out = vec![0.0; width(&groups) * activations.rows()];
        instructions.run(Part {
            matrix,
            activations,
            groups,
            out: &mut out,
        });
        out
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = cuts[1..]
            .iter()
            .map(|cut| (cut, scope.spawn(|| part(cut.clone()))))
            .collect();
        let mut place = |cut: &Range<usize>, from: Vec<f32>| {
            let rows = product.out.chunks_exact_mut(matrix.rows);
            for (to, from) in rows.zip(from.chunks_exact(width(cut))) {
                to[cut.start * LANES..][..from.len()].copy_from_slice(from);
            }
        };
        place(&cuts[0], part(cuts[0].clone()));
        for (cut, thread) in others {
            match thread.join() {
                Ok(out) => place(cut, out),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
}

/// The product with some groups of a matrix's rows; `out` is (activation rows, their rows).
struct Part<'a> {
    matrix: &'a Matrix,
    activations: &'a Activations,
    groups: Range<usize>,
    out: &'a mut [f32],
}

/// Groups of rows whose weights should stay in the second-level cache while all tokens pass.
const GROUPS_AT_ONCE: usize = 8;

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.matrix.columns;
        match &self.matrix.weights {
            Weights::F32(packed) => {
                let weights = |g: usize| Floats32(&packed[g * columns..][..columns]);
                over_tiles(
                    simd,
                    self.bounds(),
                    self.out,
                    FloatTile(self.activations, weights),
                );
            }
            Weights::F16(packed) => {
                let weights = |g: usize| Floats16(&packed[g * columns..][..columns]);
                over_tiles(
                    simd,
                    self.bounds(),
                    self.out,
                    FloatTile(self.activations, weights),
                );
            }
            Weights::Q8(packed) => {
                let tile = QuantisedTile {
                    packed,
                    activations: self.activations,
                };
                over_tiles(simd, self.bounds(), self.out, tile);
            }
        }
    }
}

/// What [`over_tiles`] walks over.
struct Bounds {
    tokens: usize,
    groups: Range<usize>,
    /// Output rows, without the padding of the last group.
    rows: usize,
}

impl Part<'_> {
    #[inline(always)]
    fn bounds(&self) -> Bounds {
        let end = (self.groups.end * LANES).min(self.matrix.rows);
        Bounds {
            tokens: self.activations.rows(),
            groups: self.groups.clone(),
            rows: end - self.groups.start * LANES,
        }
    }
}

/// The inner loop of one kind of weights: `N` tokens from `token` on times one group of rows.
trait Tile<S: Simd> {
    fn compute<const N: usize>(&self, simd: S, token: usize, group: usize) -> [S::Float; N];
}

#[inline(always)]
fn over_tiles<S: Simd, T: Tile<S>>(simd: S, bounds: Bounds, out: &mut [f32], tile: T) {
    let Bounds {
        tokens,
        groups,
        rows,
    } = bounds;
    let mut first = groups.start;
    while first < groups.end {
        let last = (first + GROUPS_AT_ONCE).min(groups.end);
        let mut token = 0;
        while token < tokens {
            let count = S::TOKENS.min(tokens - token);
            for group in first..last {
                let column = (group - groups.start) * LANES;
                let to = Target {
                    out: &mut out[token * rows..],
                    rows,
                    column,
                };
                tile_of(simd, count, (token, group), &tile, to);
            }
            token += count;
        }
        first = last;
    }
}

struct Target<'a> {
    out: &'a mut [f32],
    rows: usize,
    column: usize,
}

#[inline(always)]
fn tile_of<S: Simd, T: Tile<S>>(
    simd: S,
    count: usize,
    (token, group): (usize, usize),
    tile: &T,
    to: Target<'_>,
) {
    macro_rules! by_count {
        ($($n:literal)*) => {
            match count {
                $($n if $n <= S::TOKENS => {
                    write(simd, tile.compute::<$n>(simd, token, group), to);
                })*
                _ => unreachable!("a tile has 1 to S::TOKENS tokens"),
            }
        };
    }
    by_count!(1 2 3 4 5 6 7 8 9 10 11 12);
}

#[inline(always)]
fn write<S: Simd, const N: usize>(simd: S, sums: [S::Float; N], to: Target<'_>) {
    let width = LANES.min(to.rows - to.column);
    for (row, sum) in to.out.chunks_mut(to.rows).zip(sums) {
        let mut lanes = Lanes::ZERO;
        simd.store(sum, &mut lanes);
        row[to.column..][..width].copy_from_slice(&lanes.0[..width]);
    }
}

/// Columns of sixteen rows that widen to floats.
trait FloatColumns<S: Simd>: Copy {
    fn columns(self) -> usize;
    fn load(self, simd: S, column: usize) -> S::Float;
}

#[derive(Clone, Copy)]
struct Floats32<'a>(&'a [Lanes]);

impl<S: Simd> FloatColumns<S> for Floats32<'_> {
    #[inline(always)]
    fn columns(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load(self, simd: S, column: usize) -> S::Float {
        simd.load(&self.0[column])
    }
}

#[derive(Clone, Copy)]
struct Floats16<'a>(&'a [[u16; LANES]]);

impl<S: Simd> FloatColumns<S> for Floats16<'_> {
    #[inline(always)]
    fn columns(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load(self, simd: S, column: usize) -> S::Float {
        simd.load_f16(&self.0[column])
    }
}

struct FloatTile<'a, F>(&'a Activations, F);

impl<S: Simd, C: FloatColumns<S>, F: Fn(usize) -> C> Tile<S> for FloatTile<'_, F> {
    #[inline(always)]
    fn compute<const N: usize>(&self, simd: S, token: usize, group: usize) -> [S::Float; N] {
        let weights = (self.1)(group);
        let columns = weights.columns();
        let rows: [&[f32]; N] =
            std::array::from_fn(|i| &self.0.floats[(token + i) * columns..][..columns]);
        let mut sums = [simd.splat(0.0); N];
        for column in 0..columns {
            let weight = weights.load(simd, column);
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = simd.mul_add(weight, simd.splat(row[column]), *sum);
            }
        }
        sums
    }
}

struct QuantisedTile<'a> {
    packed: &'a Quantised,
    activations: &'a Activations,
}

impl<S: Simd> Tile<S> for QuantisedTile<'_> {
    #[inline(always)]
    fn compute<const N: usize>(&self, simd: S, token: usize, group: usize) -> [S::Float; N] {
        let blocks = self.activations.width / BLOCK;
        let values = &self.packed.values[group * blocks..][..blocks];
        let scales = &self.packed.scales[group * blocks..][..blocks];
        let rows: [&[QuantisedBlock]; N] =
            std::array::from_fn(|i| &self.activations.blocks[(token + i) * blocks..][..blocks]);
        let mut sums = [simd.splat(0.0); N];
        for b in 0..blocks {
            let mut dots: [S::Int; N] = std::array::from_fn(|i| simd.dot_start(rows[i][b].offset));
            for (j, bytes) in values[b].0.iter().enumerate() {
                let weights = simd.load_weights(bytes);
                for (dot, row) in dots.iter_mut().zip(rows) {
                    *dot = simd.dot4(*dot, weights, row[b].values[j]);
                }
            }
            let scale = simd.load_f16(&scales[b]);
            for ((sum, dot), row) in sums.iter_mut().zip(dots).zip(rows) {
                let scale = simd.mul(scale, simd.splat(row[b].scale));
                *sum = simd.mul_add(simd.to_float(dot), scale, *sum);
            }
        }
        sums
    }
}
