//! What a matrix product gives: rows of floats, cut into strips of sixteen columns.
//!
//! ```text
//!  strip 0: row 0 | c0 .. c15      A thread that has sixteen rows of a matrix writes one strip,
//!           row 1 | c0 .. c15      from its start to its end, so that threads share no slice and
//!           ...                    every store is one aligned cache line.
//!  strip 1: row 0 | c16 .. c31
//! ```

use super::simd::{LANES, Lanes};

/// (rows, width), in strips; the last is padded.
#[derive(Default)]
pub(crate) struct Panel {
    rows: usize,
    width: usize,
    lanes: Vec<Lanes>,
}

impl Panel {
    /// Room for `rows` rows of `width`; the contents are whatever they were.
    pub(crate) fn resize(&mut self, rows: usize, width: usize) {
        (self.rows, self.width) = (rows, width);
        let lanes = rows * width.div_ceil(LANES);
        // What is too long is not shortened, so that no row is cleared twice.
        if self.lanes.len() < lanes {
            self.lanes.resize(lanes, Lanes::ZERO);
        }
    }

    /// (strips, rows)
    pub(super) fn strips_mut(&mut self) -> &mut [Lanes] {
        &mut self.lanes[..self.rows * self.width.div_ceil(LANES)]
    }

    /// Writes the columns from `first` on of a row to `to`.
    #[inline]
    pub(crate) fn copy(&self, row: usize, first: usize, to: &mut [f32]) {
        let mut column = first;
        let mut to = to;
        while !to.is_empty() {
            let (strip, lane) = (column / LANES, column % LANES);
            let count = to.len().min(LANES - lane);
            let (now, later) = to.split_at_mut(count);
            now.copy_from_slice(&self.lanes[strip * self.rows + row].0[lane..][..count]);
            to = later;
            column += count;
        }
    }

    /// The sixteens of a row, the last padded.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = &Lanes> + Clone {
        let strips = self.width.div_ceil(LANES);
        (0..strips).map(move |strip| &self.lanes[strip * self.rows + row])
    }

    /// One number.
    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        self.lanes[column / LANES * self.rows + row].0[column % LANES]
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }
}
