//! The sequences of a step, and where their tokens stand among its rows.

use crate::kv_cache::{HeadPages, KvCache};
use crate::tokenizer::TokenId;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Tokens to append to one sequence.
pub(crate) struct Sequence<'a> {
    pub(crate) cache: &'a mut KvCache,
    /// Where it goes on after the tokens of another sequence of the same batch: how many places
    /// before this one that stands. `cache` is then a [`KvCache::follower`] of the other's, and
    /// joined with it after the step.
    pub(crate) after: Option<NonZeroUsize>,
    pub(crate) tokens: &'a [TokenId],
    /// Which of `tokens` the last layer's output is wanted for.
    pub(crate) wanted: Range<usize>,
}

/// One row of the batch.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) sequence: usize,
    pub(super) position: usize,
    pub(super) wanted: bool,
}

/// Where a sequence's tokens stand in the batch.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    /// The positions of its own tokens.
    start: usize,
    pub(super) end: usize,
    /// The row of position 0, as it were.
    row_of_zero: isize,
    /// The same of the sequence that it goes on after.
    before: isize,
}

impl Placement {
    /// The row that has a position of this sequence.
    pub(super) fn row(&self, position: usize) -> usize {
        let of_zero = if position < self.start {
            self.before
        } else {
            self.row_of_zero
        };
        (of_zero + position.cast_signed()).cast_unsigned()
    }
}

pub(super) fn places(batch: &[Sequence<'_>]) -> Vec<Placement> {
    let mut places: Vec<Placement> = Vec::with_capacity(batch.len());
    let mut first_row: isize = 0;
    for (i, sequence) in batch.iter().enumerate() {
        let before = sequence.after.map(|after| places[i - after.get()]);
        let start = before.map_or(sequence.cache.len(), |before| before.end);
        let row_of_zero = first_row - start.cast_signed();
        places.push(Placement {
            start,
            end: start + sequence.tokens.len(),
            row_of_zero,
            before: before.map_or(row_of_zero, |before| before.row_of_zero),
        });
        first_row += sequence.tokens.len().cast_signed();
    }
    places
}

/// Positions that each sequence's cache is to be filled with: those of a follower's open page
/// that the other one reads now are among its own.
pub(super) fn growth(batch: &[Sequence<'_>]) -> Vec<usize> {
    let places = places(batch);
    let caches = batch.iter().map(|sequence| sequence.cache.len());
    let ends = places.into_iter().map(|place| place.end);
    ends.zip(caches).map(|(end, filled)| end - filled).collect()
}

/// What the queries of a sequence see of one head of one layer.
pub(super) fn head_pages<'a>(
    batch: &'a [Sequence<'_>],
    sequence: usize,
    (layer, head): (usize, usize),
) -> HeadPages<'a> {
    let cache = &*batch[sequence].cache;
    match batch[sequence].after {
        Some(after) => cache.head_after(batch[sequence - after.get()].cache, layer, head),
        None => cache.head(layer, head),
    }
}

pub(super) fn rows_of(batch: &[Sequence<'_>]) -> Vec<Row> {
    let of_sequence = |((sequence, s), place): ((usize, &Sequence<'_>), Placement)| {
        let wanted = s.wanted.clone();
        (0..s.tokens.len()).map(move |i| Row {
            sequence,
            position: place.start + i,
            wanted: wanted.contains(&i),
        })
    };
    let sequences = batch.iter().enumerate().zip(places(batch));
    sequences.flat_map(of_sequence).collect()
}
