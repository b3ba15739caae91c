//! Caches that go on where another one will be after a step.
//!
//! ```text
//!  before the step:  prompt  [ page 0 ][ page 1 ][ p..    ]   . reserved, filled in the step
//!                    label                       [ pl     ]   p copied or written, l its own
//!  after it:         label   [ page 0 ][ page 1 ][ pl     ]   whole pages are the prompt's
//! ```

use super::{HeadLanes, HeadPages, KvCache, LANES, Page, Pages};
use std::sync::Arc;

impl KvCache {
    /// A cache that goes on where this one will be after `count` more positions. It has no pages
    /// but those that will not be whole by then; with [`KvCache::join`] it gets the others.
    pub(crate) fn follower(&self, count: usize) -> Self {
        let absent = (self.len + count) / LANES;
        let len = self.len.max(absent * LANES);
        // A page that is filled in part now and still then.
        let open = |pages: usize| {
            let end = self.len.div_ceil(LANES).min(pages);
            absent.min(end)..end
        };
        Self {
            shape: self.shape,
            pages: match &self.pages {
                Pages::Half(pages) => Pages::Half(pages[open(pages.len())].to_vec()),
                Pages::Single(pages) => Pages::Single(pages[open(pages.len())].to_vec()),
            },
            absent,
            len,
            count: self.count.clone(),
        }
    }

    /// Pages that a follower after `count` more positions makes for `own` positions of its own.
    pub(crate) fn follower_pages(&self, count: usize, own: usize) -> usize {
        let end = self.len + count;
        (end + own).div_ceil(LANES) - end / LANES
    }

    /// Takes over the pages of the cache that this one follows, which has filled them.
    pub(crate) fn join(&mut self, before: &Self) {
        match (&mut self.pages, &before.pages) {
            (Pages::Half(pages), Pages::Half(before)) => join(pages, &before[..self.absent]),
            (Pages::Single(pages), Pages::Single(before)) => join(pages, &before[..self.absent]),
            _ => unreachable!("one model's pages have one precision"),
        }
        self.absent = 0;
    }

    /// What attention reads for one head of one layer, with the pages of the cache that this one
    /// follows in place of those that are absent.
    pub(crate) fn head_after<'a>(
        &'a self,
        before: &'a Self,
        layer: usize,
        head: usize,
    ) -> HeadPages<'a> {
        match (&self.pages, &before.pages) {
            (Pages::Half(pages), Pages::Half(before)) => HeadPages::Half(HeadLanes {
                before: &before[..self.absent],
                ..self.lanes_of(pages, layer, head)
            }),
            (Pages::Single(pages), Pages::Single(before)) => HeadPages::Single(HeadLanes {
                before: &before[..self.absent],
                ..self.lanes_of(pages, layer, head)
            }),
            _ => unreachable!("one model's pages have one precision"),
        }
    }
}

fn join<L>(pages: &mut Vec<Arc<Page<L>>>, before: &[Arc<Page<L>>]) {
    pages.splice(..0, before.iter().cloned());
}
