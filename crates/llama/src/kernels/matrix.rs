//! Weights, repacked so that sixteen output rows lie side by side.
//!
//! ```text
//!  file: row-major                      here: groups of 16 rows, column after column
//!  row 0  | c0 c1 c2 c3 ...             group 0 | c0 of rows 0..16 | c1 of rows 0..16 | ...
//!  row 1  | c0 c1 c2 c3 ...             group 1 | c0 of rows 16..32 | ...
//! ```
//!
//! Each lane of an accumulator is then one output row, no sum over lanes is ever needed, and a
//! column's activation is broadcast to all of them. Quantised weights go by fours of columns, as
//! the 8-bit dot product wants it ([`super::formats`]); a group has first all its values, then
//! all its scales. Rows are padded with zeros to a multiple of sixteen.

use super::activations::Forms;
use super::formats::{Blocks, Floats, LINE, Scales, Unpacked, Values, with_format};
use super::portable::Portable;
use super::room::Room;
use super::simd::LANES;
use crate::gguf::TensorType;

/// A matrix of weights, (rows, columns).
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(super) kind: TensorType,
    group_bytes: usize,
    room: Room,
}

/// Bytes of sixteen rows.
fn group_bytes(kind: TensorType, columns: usize) -> usize {
    with_format!(
        kind,
        floats F => columns * LANES * F::BYTES,
        blocks B => (values_bytes::<B>(columns) + scales_bytes::<B>(columns)).next_multiple_of(LINE),
    )
}

pub(super) fn values_bytes<B: Blocks>(columns: usize) -> usize {
    columns / 32 * B::Values::BYTES
}

fn scales_bytes<B: Blocks>(columns: usize) -> usize {
    columns / B::Scales::COLUMNS * B::Scales::BYTES
}

impl Matrix {
    /// How the file stores its numbers.
    pub(crate) fn kind(&self) -> TensorType {
        self.kind
    }

    /// Bytes that the weights will take; `None` where no address space has as many.
    pub(crate) fn bytes(kind: TensorType, rows: usize, columns: usize) -> Option<usize> {
        // Less than twice the numbers' own bytes, so that one column more than fits is noticed.
        columns.checked_mul(8 * LANES)?;
        group_bytes(kind, columns).checked_mul(rows.div_ceil(LANES))
    }

    /// A matrix of zeros, to be filled through [`Matrix::parts`]. `columns` is a multiple of the
    /// format's block.
    ///
    /// # Errors
    ///
    /// The system has no such memory.
    pub(crate) fn zeroed(kind: TensorType, rows: usize, columns: usize) -> std::io::Result<Self> {
        let bytes = Self::bytes(kind, rows, columns)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        Ok(Self {
            rows,
            columns,
            kind,
            group_bytes: group_bytes(kind, columns),
            room: Room::new(bytes)?,
        })
    }

    /// The matrix in parts of a few rows, to be filled independently.
    pub(crate) fn parts(&mut self) -> impl Iterator<Item = MatrixPart<'_>> + Send {
        /// Bytes of a part: what a thread reads from the file at once.
        const PART_BYTES: usize = 1 << 20;
        let groups = (PART_BYTES / self.group_bytes).max(1);
        let (kind, rows, columns, group_bytes) =
            (self.kind, self.rows, self.columns, self.group_bytes);
        let parts = self.room.bytes_mut()[..rows.div_ceil(LANES) * group_bytes]
            .chunks_mut(groups * group_bytes);
        parts.enumerate().map(move |(i, bytes)| {
            let first_row = i * groups * LANES;
            MatrixPart {
                kind,
                first_row,
                rows: (groups * LANES).min(rows - first_row),
                columns,
                group_bytes,
                bytes,
            }
        })
    }

    /// All weights, as they lie in memory.
    pub(super) fn weights(&self) -> &[u8] {
        &self.room.bytes()[..self.rows.div_ceil(LANES) * self.group_bytes]
    }

    /// Sixteen rows.
    #[inline(always)]
    pub(super) fn group(&self, group: usize) -> &[u8] {
        &self.room.bytes()[group * self.group_bytes..][..self.group_bytes]
    }

    pub(super) fn group_bytes(&self) -> usize {
        self.group_bytes
    }

    /// Which form of the activations the product wants.
    pub(crate) fn wants(&self) -> Forms {
        let floats =
            with_format!(self.kind, floats F => F::BYTES > 0, blocks B => B::FILE_BYTES == 0);
        Forms {
            floats,
            blocks: !floats,
        }
    }

    /// Writes row `row`, as floats rounded once, to `to`.
    pub(crate) fn copy_row(&self, row: usize, to: &mut [f32]) {
        let (group, lane) = (self.group(row / LANES), row % LANES);
        with_format!(
            self.kind,
            floats F => {
                for (column, to) in to.iter_mut().enumerate() {
                    *to = F::widen(&group[(column * LANES + lane) * F::BYTES..][..F::BYTES]);
                }
            },
            blocks B => copy_quantised_row::<B>(group, lane, to),
        );
    }
}

fn copy_quantised_row<B: Blocks>(group: &[u8], lane: usize, to: &mut [f32]) {
    let (values, scales) = group.split_at(values_bytes::<B>(to.len()));
    let part_columns = 32 / B::Scales::PARTS;
    for (block, to) in to.chunks_exact_mut(32).enumerate() {
        let values = &values[block * B::Values::BYTES..][..B::Values::BYTES];
        for (part, to) in to.chunks_exact_mut(part_columns).enumerate() {
            let scale = B::Scales::scale(Portable, scales, block, part)[lane];
            let minimum = B::Scales::minimum(Portable, scales, block, part)[lane];
            for (column, to) in to.iter_mut().enumerate() {
                let value = i32::from(B::Values::get(values, lane, part * part_columns + column));
                *to = match B::Scales::OFFSET {
                    Some(shift) => scale * (value - (1 << shift)) as f32,
                    None => scale * value as f32 + minimum,
                };
            }
        }
    }
}

/// A few rows of a matrix that are to be filled.
pub(crate) struct MatrixPart<'a> {
    kind: TensorType,
    /// The first row, and how many there are.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    columns: usize,
    group_bytes: usize,
    bytes: &'a mut [u8],
}

impl MatrixPart<'_> {
    /// Repacks the rows from `source`, as they stand in the file.
    pub(crate) fn fill(self, source: &[u8]) {
        let row_bytes = source.len() / self.rows;
        let sources = source.chunks(LANES * row_bytes);
        for (group, rows) in self.bytes.chunks_exact_mut(self.group_bytes).zip(sources) {
            with_format!(
                self.kind,
                floats F => {
                    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
                        let numbers = row.chunks_exact(F::BYTES);
                        let places = group.chunks_exact_mut(LANES * F::BYTES);
                        for (place, number) in places.zip(numbers) {
                            place[lane * F::BYTES..][..F::BYTES].copy_from_slice(number);
                        }
                    }
                },
                blocks B => fill_group::<B>(group, rows, self.columns),
            );
        }
    }
}

fn fill_group<B: Blocks>(group: &mut [u8], rows: &[u8], columns: usize) {
    let (values, scales) = group.split_at_mut(values_bytes::<B>(columns));
    let scales = scales.chunks_exact_mut(B::Scales::BYTES);
    let values = values.chunks_exact_mut(B::Scales::COLUMNS / 32 * B::Values::BYTES);
    let row_bytes = columns / B::Scales::COLUMNS * B::FILE_BYTES;
    let mut unpacked = Unpacked::EMPTY;
    for (i, (values, scales)) in values.zip(scales).enumerate() {
        let mut fours = [[[0; LINE]; 8]; 8];
        for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
            B::unpack(&row[i * B::FILE_BYTES..][..B::FILE_BYTES], &mut unpacked);
            B::Scales::put(scales, lane, &unpacked);
            let from = unpacked.values().as_chunks::<4>().0;
            for (four, from) in fours.as_flattened_mut().iter_mut().zip(from) {
                four[4 * lane..][..4].copy_from_slice(from);
            }
        }
        for (block, fours) in values.chunks_exact_mut(B::Values::BYTES).zip(&fours) {
            B::Values::pack(fours, block);
        }
    }
}
