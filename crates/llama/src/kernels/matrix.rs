//! Weights, repacked so that sixteen output rows lie side by side.
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

use super::activations::BLOCK;
use super::simd::{LANES, Lanes};
use half::f16;

/// A matrix of weights, (rows, columns).
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(super) weights: Weights,
}

pub(super) enum Weights {
    /// (groups, columns) of sixteen rows
    F32(Vec<Lanes>),
    /// (groups, columns) of sixteen rows
    F16(Vec<[u16; LANES]>),
    Q8(Quantised),
}

pub(super) struct Quantised {
    /// (groups, blocks, 8 fours of columns, 16 rows, 4 columns), each byte `weight + 128`
    pub(super) values: Vec<Values>,
    /// (groups, blocks, 16 rows), half precision
    pub(super) scales: Vec<[u16; LANES]>,
}

/// A block of sixteen rows.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Values(pub(super) [[u8; 64]; 8]);

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
