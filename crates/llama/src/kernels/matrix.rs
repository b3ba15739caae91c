//! Weights, repacked so that sixteen output rows lie side by side, and their product with rows of
//! activations.
//!
//! ```text
//!  file: row-major                      here: groups of 16 rows, column after column
//!  row 0  | c0 c1 c2 c3 ...             group 0 | c0 of rows 0..16 | c1 of rows 0..16 | ...
//!  row 1  | c0 c1 c2 c3 ...             group 1 | c0 of rows 16..32 | ...
//! ```
//!
//! Each lane of an accumulator is then one output row, no sum over lanes is ever needed, and a
//! column's activation is broadcast to all of them. Q8_0 goes by fours of columns, as the 8-bit
//! dot product instructions want it. Rows are padded with zeros to a multiple of sixteen.

use super::Instructions;
use super::activations::{Activations, BLOCK, QuantisedBlock};
use super::simd::{Kernel, LANES, Lanes, Simd};
use half::f16;
use std::ops::Range;

/// A matrix of weights, (rows, columns).
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    weights: Weights,
}

enum Weights {
    /// (groups, columns) of sixteen rows
    F32(Vec<Lanes>),
    /// (groups, columns) of sixteen rows
    F16(Vec<[u16; LANES]>),
    Q8(Quantised),
}

struct Quantised {
    /// (groups, blocks, 8 fours of columns, 16 rows, 4 columns), each byte `weight + 128`
    values: Vec<Values>,
    /// (groups, blocks, 16 rows), half precision
    scales: Vec<[u16; LANES]>,
}

#[derive(Clone)]
#[repr(align(64))]
struct Values([[u8; 64]; 8]);

/// Bytes of a Q8_0 block in a file: a half-precision scale and 32 signed bytes.
const Q8_0_BYTES: usize = 2 + BLOCK;

impl Matrix {
    /// From row-major little-endian `f32`.
    pub(crate) fn from_f32(rows: usize, columns: usize, bytes: &[u8]) -> Self {
        let mut packed = vec![Lanes::ZERO; rows.div_ceil(LANES) * columns];
        let (values, _) = bytes.as_chunks::<4>();
        for (row, values) in values.chunks_exact(columns).enumerate().take(rows) {
            let group = &mut packed[row / LANES * columns..][..columns];
            for (lanes, value) in group.iter_mut().zip(values) {
                lanes.0[row % LANES] = f32::from_le_bytes(*value);
            }
        }
        Self {
            rows,
            columns,
            weights: Weights::F32(packed),
        }
    }

    /// From row-major little-endian half precision.
    pub(crate) fn from_f16(rows: usize, columns: usize, bytes: &[u8]) -> Self {
        let mut packed = vec![[0; LANES]; rows.div_ceil(LANES) * columns];
        let (values, _) = bytes.as_chunks::<2>();
        for (row, values) in values.chunks_exact(columns).enumerate().take(rows) {
            let group = &mut packed[row / LANES * columns..][..columns];
            for (lanes, value) in group.iter_mut().zip(values) {
                lanes[row % LANES] = u16::from_le_bytes(*value);
            }
        }
        Self {
            rows,
            columns,
            weights: Weights::F16(packed),
        }
    }

    /// From row-major Q8_0 blocks; `columns` is a multiple of 32.
    pub(crate) fn from_q8_0(rows: usize, columns: usize, bytes: &[u8]) -> Self {
        let blocks = columns / BLOCK;
        let count = rows.div_ceil(LANES) * blocks;
        let mut values = vec![Values([[128; 64]; 8]); count];
        let mut scales = vec![[0; LANES]; count];
        let (source, _) = bytes.as_chunks::<Q8_0_BYTES>();
        for (row, source) in source.chunks_exact(blocks).enumerate().take(rows) {
            let (group, lane) = (row / LANES * blocks, row % LANES);
            for (b, [scale_low, scale_high, weights @ ..]) in source.iter().enumerate() {
                scales[group + b][lane] = u16::from_le_bytes([*scale_low, *scale_high]);
                let (fours, _) = weights.as_chunks::<4>();
                for (to, four) in values[group + b].0.iter_mut().zip(fours) {
                    to[4 * lane..][..4].copy_from_slice(&four.map(|w| w ^ 0x80));
                }
            }
        }
        Self {
            rows,
            columns,
            weights: Weights::Q8(Quantised { values, scales }),
        }
    }

    /// Whether the product wants [`Activations::quantise`] first.
    pub(crate) fn wants_quantised(&self) -> bool {
        matches!(self.weights, Weights::Q8(_))
    }

    /// Writes row `row`, widened to floats, to `to`.
    pub(crate) fn copy_row(&self, row: usize, to: &mut [f32]) {
        let lane = row % LANES;
        match &self.weights {
            Weights::F32(packed) => {
                let group = &packed[row / LANES * self.columns..][..self.columns];
                for (to, lanes) in to.iter_mut().zip(group) {
                    *to = lanes.0[lane];
                }
            }
            Weights::F16(packed) => {
                let group = &packed[row / LANES * self.columns..][..self.columns];
                for (to, lanes) in to.iter_mut().zip(group) {
                    *to = f16::from_bits(lanes[lane]).to_f32();
                }
            }
            Weights::Q8(packed) => {
                let first = row / LANES * (self.columns / BLOCK);
                for (b, to) in to.chunks_exact_mut(BLOCK).enumerate() {
                    let scale = f16::from_bits(packed.scales[first + b][lane]).to_f32();
                    for (to, four) in to.chunks_exact_mut(4).zip(&packed.values[first + b].0) {
                        for (to, w) in to.iter_mut().zip(&four[4 * lane..]) {
                            *to = scale * (i32::from(*w) - 128) as f32;
                        }
                    }
                }
            }
        }
    }
}

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
