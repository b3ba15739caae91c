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
//!
//! Numbers are kept in half precision, as other engines do, but where the model's own weights are
//! single precision throughout.

mod following;
mod open_page;

pub(crate) use open_page::OpenPage;

use open_page::Room;

use crate::kernels::{HalfLanes, KvBlocks, KvLanes, LANES, Lanes};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Positions of a page.
pub(crate) const PAGE: usize = LANES;

/// The sizes of a page, the same for all pages of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageShape {
    pub(crate) n_layers: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) value_dim: usize,
    pub(crate) precision: Precision,
}

/// How a cache stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Half,
    Single,
}

impl PageShape {
    pub(crate) fn value_chunks(self) -> usize {
        self.value_dim.div_ceil(LANES)
    }

    /// Bytes of the keys and values of one position.
    pub(crate) fn position_bytes(self) -> usize {
        let number = match self.precision {
            Precision::Half => 2,
            Precision::Single => 4,
        };
        // Before a file's tensors are looked at, its sizes may be anything.
        let lanes_per_head = self.lanes_per_head();
        [self.n_layers, self.n_kv_heads, lanes_per_head]
            .iter()
            .fold(number, |product: usize, n| product.saturating_mul(*n))
    }

    /// Bytes of a page.
    pub(crate) fn page_bytes(self) -> usize {
        self.position_bytes().saturating_mul(PAGE)
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

/// Counts the pages that are there, of all caches that were given it: a page that several share
/// counts once.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageCount(Arc<AtomicUsize>);

impl PageCount {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one_more(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }
}

/// The keys and values of sixteen positions.
struct Page<L> {
    lanes: Vec<L>,
    counted: PageCount,
}

impl<L: KvLanes> Page<L> {
    fn new(lanes: usize, count: &PageCount) -> Self {
        Self {
            lanes: vec![L::ZERO; lanes],
            counted: count.one_more(),
        }
    }
}

impl<L: Clone> Clone for Page<L> {
    fn clone(&self) -> Self {
        Self {
            lanes: self.lanes.clone(),
            counted: self.counted.one_more(),
        }
    }
}

impl<L> Drop for Page<L> {
    fn drop(&mut self) {
        self.counted.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A page that other caches may begin with.
#[derive(Clone)]
pub(crate) struct SharedPage(Shared);

#[derive(Clone)]
enum Shared {
    Half(Arc<Page<HalfLanes>>),
    Single(Arc<Page<Lanes>>),
}

impl SharedPage {
    /// Whether nobody else has it.
    pub(crate) fn is_unused(&self) -> bool {
        let holders = match &self.0 {
            Shared::Half(page) => Arc::strong_count(page),
            Shared::Single(page) => Arc::strong_count(page),
        };
        holders == 1
    }
}

/// One sequence's keys and values.
#[derive(Clone)]
pub(crate) struct KvCache {
    shape: PageShape,
    /// From page `absent` on.
    pages: Pages,
    /// Pages at the beginning that it doesn't have yet: only between [`KvCache::follower`] and
    /// [`KvCache::join`].
    absent: usize,
    len: usize,
    count: PageCount,
}

/// Pages of one precision or the other.
#[derive(Clone)]
enum Pages {
    Half(Vec<Arc<Page<HalfLanes>>>),
    Single(Vec<Arc<Page<Lanes>>>),
}

impl KvCache {
    pub(crate) fn new(shape: PageShape) -> Self {
        Self::counted(shape, &PageCount::default())
    }

    /// A cache whose pages are counted.
    pub(crate) fn counted(shape: PageShape, count: &PageCount) -> Self {
        let pages = match shape.precision {
            Precision::Half => Pages::Half(Vec::new()),
            Precision::Single => Pages::Single(Vec::new()),
        };
        Self {
            shape,
            pages,
            absent: 0,
            len: 0,
            count: count.clone(),
        }
    }

    /// Positions that are filled.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for `count` more positions; they count as filled after [`KvCache::advance`].
    pub(crate) fn reserve(&mut self, count: usize) {
        let range =
            self.len / LANES - self.absent..(self.len + count).div_ceil(LANES) - self.absent;
        let lanes = self.shape.lanes();
        match &mut self.pages {
            Pages::Half(pages) => reserve(pages, range, (lanes, &self.count)),
            Pages::Single(pages) => reserve(pages, range, (lanes, &self.count)),
        }
    }

    /// Pages that [`KvCache::reserve`] would make.
    pub(crate) fn new_pages(&self, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let (there, open_is_shared) = match &self.pages {
            Pages::Half(pages) => (pages.len(), open_is_shared(pages, self.len)),
            Pages::Single(pages) => (pages.len(), open_is_shared(pages, self.len)),
        };
        (self.len + count).div_ceil(LANES).saturating_sub(there) + usize::from(open_is_shared)
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.len += count;
    }

    /// Forgets all positions from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        let pages = self.len.div_ceil(LANES);
        match &mut self.pages {
            Pages::Half(all) => all.truncate(pages),
            Pages::Single(all) => all.truncate(pages),
        }
    }

    /// The page of this number, to be shared.
    pub(crate) fn page(&self, index: usize) -> SharedPage {
        SharedPage(match &self.pages {
            Pages::Half(pages) => Shared::Half(Arc::clone(&pages[index])),
            Pages::Single(pages) => Shared::Single(Arc::clone(&pages[index])),
        })
    }

    /// Puts a page with the same contents in the place of this one.
    pub(crate) fn replace_page(&mut self, index: usize, page: &SharedPage) {
        match (&mut self.pages, &page.0) {
            (Pages::Half(pages), Shared::Half(page)) => pages[index] = Arc::clone(page),
            (Pages::Single(pages), Shared::Single(page)) => pages[index] = Arc::clone(page),
            _ => unreachable!("one model's pages have one precision"),
        }
    }

    /// Takes over the first `positions` positions of another's page after whole pages of its own.
    pub(crate) fn push(&mut self, page: &SharedPage, positions: usize) {
        debug_assert_eq!(self.len % PAGE, 0, "pages follow whole pages");
        self.truncate(self.len);
        match (&mut self.pages, &page.0) {
            (Pages::Half(pages), Shared::Half(page)) => pages.push(Arc::clone(page)),
            (Pages::Single(pages), Shared::Single(page)) => pages.push(Arc::clone(page)),
            _ => unreachable!("one model's pages have one precision"),
        }
        self.len += positions;
    }

    /// The pages of the positions reserved but not filled, to be written independently.
    pub(crate) fn open_pages(&mut self) -> Vec<OpenPage<'_>> {
        let (shape, filled) = (self.shape, self.len);
        let first = filled / LANES - self.absent;
        let absent = self.absent;
        let positions = |index: usize| ((absent + index) * LANES).max(filled);
        let mut open = Vec::new();
        // `reserve` has made these pages this cache's own.
        match &mut self.pages {
            Pages::Half(pages) => {
                for (i, page) in pages.iter_mut().enumerate().skip(first) {
                    let room = Arc::get_mut(page).map(|page| Room::Half(&mut page.lanes));
                    open.extend(OpenPage::new(shape, positions(i), room));
                }
            }
            Pages::Single(pages) => {
                for (i, page) in pages.iter_mut().enumerate().skip(first) {
                    let room = Arc::get_mut(page).map(|page| Room::Single(&mut page.lanes));
                    open.extend(OpenPage::new(shape, positions(i), room));
                }
            }
        }
        open
    }

    /// What attention reads for one head of one layer.
    pub(crate) fn head(&self, layer: usize, head: usize) -> HeadPages<'_> {
        match &self.pages {
            Pages::Half(pages) => HeadPages::Half(self.lanes_of(pages, layer, head)),
            Pages::Single(pages) => HeadPages::Single(self.lanes_of(pages, layer, head)),
        }
    }

    fn lanes_of<'a, L>(
        &self,
        pages: &'a [Arc<Page<L>>],
        layer: usize,
        head: usize,
    ) -> HeadLanes<'a, L> {
        HeadLanes {
            shape: self.shape,
            before: &[],
            pages,
            offset: self.shape.offset(layer, head),
        }
    }
}

fn reserve<L: KvLanes>(
    pages: &mut Vec<Arc<Page<L>>>,
    range: std::ops::Range<usize>,
    (lanes, count): (usize, &PageCount),
) {
    while pages.len() < range.end {
        pages.push(Arc::new(Page::new(lanes, count)));
    }
    // The copies, if any, are made here and not in the middle of a layer.
    for page in &mut pages[range] {
        Arc::make_mut(page);
    }
}

/// Whether the page that is filled in part belongs to others too.
fn open_is_shared<L>(pages: &[Arc<Page<L>>], len: usize) -> bool {
    let open = pages
        .get(len / LANES)
        .filter(|_| !len.is_multiple_of(LANES));
    open.is_some_and(|page| Arc::strong_count(page) > 1)
}

/// One head of one layer of a cache.
#[derive(Clone, Copy)]
pub(crate) enum HeadPages<'a> {
    Half(HeadLanes<'a, HalfLanes>),
    Single(HeadLanes<'a, Lanes>),
}

#[derive(Clone, Copy)]
pub(crate) struct HeadLanes<'a, L> {
    shape: PageShape,
    /// Another cache's, to which `pages` belong.
    before: &'a [Arc<Page<L>>],
    pages: &'a [Arc<Page<L>>],
    offset: usize,
}

impl<L> HeadLanes<'_, L> {
    #[inline(always)]
    fn lanes(&self, page: usize) -> &[L] {
        let page = match page.checked_sub(self.before.len()) {
            Some(own) => &self.pages[own],
            None => &self.before[page],
        };
        &page.lanes[self.offset..]
    }
}

impl<L: KvLanes> KvBlocks for HeadLanes<'_, L> {
    type Lanes = L;

    #[inline(always)]
    fn keys(&self, page: usize) -> &[L] {
        &self.lanes(page)[..self.shape.head_dim]
    }

    #[inline(always)]
    fn values(&self, page: usize) -> &[L] {
        &self.lanes(page)[self.shape.head_dim..][..LANES * self.shape.value_chunks()]
    }
}
