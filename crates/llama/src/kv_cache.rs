//! The keys and values of the positions read so far, in pages.
//!
//! ```text
//!  page = 16 positions, all layers:   layer 0: kv head 0: keys   | head_dim  x 16 positions
//!                                                         values | 16 positions x value_chunks x 16
//!                                              kv head 1: ...
//!                                     layer 1: ...
//! ```
//!
//! Keys are transposed so that the sixteen lanes of a kernel are sixteen positions. Pages are
//! shared by reference: a copy of a cache costs one pointer for each page, and the first write to
//! a shared page (only ever the last, half-filled one) copies that page alone.

use crate::kernels::{KvBlocks, LANES, Lanes};
use std::sync::Arc;

/// The sizes of a page, the same for all pages of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageShape {
    pub(crate) n_layers: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) value_dim: usize,
}

impl PageShape {
    pub(crate) fn value_chunks(self) -> usize {
        self.value_dim.div_ceil(LANES)
    }

    fn lanes_per_head(self) -> usize {
        self.head_dim + LANES * self.value_chunks()
    }

    fn lanes(self) -> usize {
        self.n_layers * self.n_kv_heads * self.lanes_per_head()
    }

    fn offset(self, layer: usize, head: usize) -> usize {
        (layer * self.n_kv_heads + head) * self.lanes_per_head()
    }
}

/// One sequence's keys and values.
#[derive(Clone)]
pub(crate) struct KvCache {
    shape: PageShape,
    pages: Vec<Arc<Vec<Lanes>>>,
    len: usize,
}

impl KvCache {
    pub(crate) fn new(shape: PageShape) -> Self {
        Self {
            shape,
            pages: Vec::new(),
            len: 0,
        }
    }

    /// Positions that are filled.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for `count` more positions; they count as filled after [`KvCache::advance`].
    pub(crate) fn reserve(&mut self, count: usize) {
        let pages = (self.len + count).div_ceil(LANES);
        while self.pages.len() < pages {
            self.pages
                .push(Arc::new(vec![Lanes::ZERO; self.shape.lanes()]));
        }
        // The copies, if any, are made here and not in the middle of a layer.
        for page in &mut self.pages[self.len / LANES..pages] {
            Arc::make_mut(page);
        }
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.len += count;
    }

    /// Forgets all positions from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.pages.truncate(self.len.div_ceil(LANES));
    }

    /// Writes one position of a layer: `keys` (n_kv_heads, head_dim), `values`
    /// (n_kv_heads, value_dim). The position must have been reserved.
    pub(crate) fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let shape = self.shape;
        let slot = position % LANES;
        let page = Arc::make_mut(&mut self.pages[position / LANES]);
        let keys = keys.chunks_exact(shape.head_dim);
        let values = values.chunks_exact(shape.value_dim);
        for (head, (key, value)) in keys.zip(values).enumerate() {
            let room = &mut page[shape.offset(layer, head)..][..shape.lanes_per_head()];
            let (key_room, value_room) = room.split_at_mut(shape.head_dim);
            for (lanes, k) in key_room.iter_mut().zip(key) {
                lanes.0[slot] = *k;
            }
            let chunks = shape.value_chunks();
            let value_room = &mut value_room[slot * chunks..][..chunks];
            for (lanes, v) in value_room.iter_mut().zip(value.chunks(LANES)) {
                lanes.0[..v.len()].copy_from_slice(v);
            }
        }
    }

    /// What attention reads for one head of one layer.
    pub(crate) fn head(&self, layer: usize, head: usize) -> HeadPages<'_> {
        HeadPages {
            shape: self.shape,
            pages: &self.pages,
            offset: self.shape.offset(layer, head),
        }
    }
}

/// One head of one layer of a cache.
#[derive(Clone, Copy)]
pub(crate) struct HeadPages<'a> {
    shape: PageShape,
    pages: &'a [Arc<Vec<Lanes>>],
    offset: usize,
}

impl KvBlocks for HeadPages<'_> {
    #[inline(always)]
    fn keys(&self, page: usize) -> &[Lanes] {
        &self.pages[page][self.offset..][..self.shape.head_dim]
    }

    #[inline(always)]
    fn values(&self, page: usize) -> &[Lanes] {
        let start = self.offset + self.shape.head_dim;
        &self.pages[page][start..][..LANES * self.shape.value_chunks()]
    }
}
