//! Pages that are being filled.

use super::PageShape;
use crate::kernels::{HalfLanes, KvLanes, LANES, Lanes};

/// A page that is being filled.
pub(crate) struct OpenPage<'a> {
    shape: PageShape,
    /// Its first position that is not filled.
    first: usize,
    room: Room<'a>,
}

pub(super) enum Room<'a> {
    Half(&'a mut [HalfLanes]),
    Single(&'a mut [Lanes]),
}

impl<'a> OpenPage<'a> {
    pub(super) fn new(shape: PageShape, first: usize, room: Option<Room<'a>>) -> Option<Self> {
        Some(Self {
            shape,
            first,
            room: room?,
        })
    }

    /// The positions that are to be written, if the sequence ends at `end`.
    pub(crate) fn positions(&self, end: usize) -> std::ops::Range<usize> {
        self.first..end.min((self.first / LANES + 1) * LANES)
    }

    /// Writes one position of a layer: `keys` (n_kv_heads, head_dim), `values`
    /// (n_kv_heads, value_dim).
    pub(crate) fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let place = (self.shape, layer, position % LANES);
        match &mut self.room {
            Room::Half(page) => write(page, place, keys, values),
            Room::Single(page) => write(page, place, keys, values),
        }
    }
}

fn write<L: KvLanes>(
    page: &mut [L],
    (shape, layer, slot): (PageShape, usize, usize),
    keys: &[f32],
    values: &[f32],
) {
    let keys = keys.chunks_exact(shape.head_dim);
    let values = values.chunks_exact(shape.value_dim);
    for (head, (key, value)) in keys.zip(values).enumerate() {
        let room = &mut page[shape.offset(layer, head)..][..shape.lanes_per_head()];
        let (key_room, value_room) = room.split_at_mut(shape.head_dim);
        for (lanes, k) in key_room.iter_mut().zip(key) {
            lanes.set(slot, *k);
        }
        let chunks = shape.value_chunks();
        let value_room = &mut value_room[slot * chunks..][..chunks];
        for (lanes, v) in value_room.iter_mut().zip(value.chunks(LANES)) {
            for (lane, v) in v.iter().enumerate() {
                lanes.set(lane, *v);
            }
        }
    }
}
