//! Attention of a few queries over the keys and values of one head.
//!
//! Keys and values lie in pages of sixteen positions ([`crate::kv_cache`]). Four pages are a
//! *span*: a query's scores for it fit into registers and the first-level cache, and what was
//! mixed before is scaled down where a span brings a larger score (Milakov and Gimelshein 2018,
//! "Online normalizer calculation for softmax"), so that the memory needed does not grow with the
//! context. Spans are cut by absolute position: a query meets the same lanes in the same order
//! whether its context was read at once, in pieces or by somebody else before.

use super::simd::{Kernel, LANES, Lanes, Simd, exp, sum};
use half::f16;
use std::ops::Range;

/// Sixteen numbers of a cache, in its precision.
pub(crate) trait KvLanes: Copy + Send + Sync + 'static {
    const ZERO: Self;

    fn load<S: Simd>(&self, simd: S) -> S::Float;
    fn set(&mut self, lane: usize, value: f32);
}

impl KvLanes for Lanes {
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn load<S: Simd>(&self, simd: S) -> S::Float {
        simd.load(self)
    }

    #[inline(always)]
    fn set(&mut self, lane: usize, value: f32) {
        self.0[lane] = value;
    }
}

/// Sixteen numbers in half precision, little-endian.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct HalfLanes([u8; 2 * LANES]);

impl KvLanes for HalfLanes {
    const ZERO: Self = Self([0; 2 * LANES]);

    #[inline(always)]
    fn load<S: Simd>(&self, simd: S) -> S::Float {
        simd.load_f16(&self.0)
    }

    #[inline(always)]
    fn set(&mut self, lane: usize, value: f32) {
        self.0[2 * lane..][..2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
    }
}

/// The keys and values of one head, page by page.
pub(crate) trait KvBlocks {
    type Lanes: KvLanes;

    /// (head_dim) of sixteen positions
    fn keys(&self, page: usize) -> &[Self::Lanes];
    /// (16 positions, value_chunks) of sixteen dimensions
    fn values(&self, page: usize) -> &[Self::Lanes];
}

/// Queries of one head group against one sequence, in ascending order of `lengths`.
pub(crate) struct Queries<'a> {
    /// (queries, head_dim)
    pub(crate) vectors: &'a [f32],
    /// How many positions each query sees, at least one.
    pub(crate) lengths: &'a [usize],
    /// (queries, value_chunks) of sixteen dimensions
    pub(crate) out: &'a mut [Lanes],
}

/// `softmax(query . keys * scale) . values` for each query (Vaswani et al. 2017, eq. 1).
pub(crate) struct Attention<'a, B> {
    pub(crate) blocks: B,
    pub(crate) head_dim: usize,
    /// Sixteens of dimensions of a value vector, the last padded with zeros.
    pub(crate) value_chunks: usize,
    pub(crate) scale: f32,
    pub(crate) queries: Queries<'a>,
}

impl<B: KvBlocks> Kernel for Attention<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let total = self.queries.lengths.len();
        let mut first = 0;
        while first < total {
            let count = S::QUERIES.min(total - first);
            let few = Few {
                blocks: &self.blocks,
                vectors: &self.queries.vectors[first * self.head_dim..][..count * self.head_dim],
                lengths: &self.queries.lengths[first..][..count],
                head_dim: self.head_dim,
                value_chunks: self.value_chunks,
                scale: self.scale,
            };
            let out = &mut self.queries.out[first * self.value_chunks..];
            let out = &mut out[..count * self.value_chunks];
            match count {
                4 if S::QUERIES >= 4 => few.attend::<S, 4>(simd, out),
                3 if S::QUERIES >= 3 => few.attend::<S, 3>(simd, out),
                2 if S::QUERIES >= 2 => few.attend::<S, 2>(simd, out),
                _ => few.attend::<S, 1>(simd, out),
            }
            first += count;
        }
    }
}

/// Pages of a span.
const SPAN_PAGES: usize = 4;
const SPAN: usize = SPAN_PAGES * LANES;

/// As many queries as share one load of keys and values.
struct Few<'a, B> {
    blocks: &'a B,
    vectors: &'a [f32],
    lengths: &'a [usize],
    head_dim: usize,
    value_chunks: usize,
    scale: f32,
}

/// What a query knows of the spans before.
#[derive(Clone, Copy)]
struct Running<F> {
    /// The largest score.
    most: f32,
    /// Sixteen partial sums of the weights.
    sums: F,
}

/// A query's scores for a span, then its weights.
type Span = [Lanes; SPAN_PAGES];

impl<B: KvBlocks> Few<'_, B> {
    #[inline(always)]
    fn attend<S: Simd, const N: usize>(&self, simd: S, out: &mut [Lanes]) {
        let mut running = [Running {
            most: f32::NEG_INFINITY,
            sums: simd.splat(0.0),
        }; N];
        out.fill(Lanes::ZERO);
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        for span in 0..longest.div_ceil(SPAN) {
            let seen: [usize; N] =
                std::array::from_fn(|i| self.lengths[i].saturating_sub(span * SPAN).min(SPAN));
            let mut scores = [[Lanes::ZERO; SPAN_PAGES]; N];
            self.score(simd, (span, longest), &mut scores);
            let mut decay = [1.0; N];
            for i in 0..N {
                if seen[i] > 0 {
                    decay[i] = self.weigh(simd, seen[i], &mut scores[i], &mut running[i]);
                }
            }
            let mut chunk = 0;
            while chunk < self.value_chunks {
                let place = (span, chunk);
                chunk += match self.value_chunks - chunk {
                    1 => self.mix::<S, N, 1>(simd, place, (&scores, seen, decay), out),
                    2 | 3 => self.mix::<S, N, 2>(simd, place, (&scores, seen, decay), out),
                    _ => self.mix::<S, N, 4>(simd, place, (&scores, seen, decay), out),
                };
            }
        }
        for (out, running) in out.chunks_exact_mut(self.value_chunks).zip(running) {
            let inverse = simd.splat(1.0 / sum(simd, running.sums));
            for lanes in out {
                simd.store(simd.mul(simd.load(lanes), inverse), lanes);
            }
        }
    }

    /// `scores` = query . key for the pages of a span that anyone sees.
    #[inline(always)]
    fn score<S: Simd, const N: usize>(
        &self,
        simd: S,
        (span, longest): (usize, usize),
        scores: &mut [Span; N],
    ) {
        let first = span * SPAN_PAGES;
        let pages = longest.div_ceil(LANES).min(first + SPAN_PAGES) - first;
        let mut page = 0;
        while page < pages {
            page += match pages - page {
                4.. if S::PAGES >= 4 => self.score_pages::<S, N, 4>(simd, (first, page), scores),
                2.. if S::PAGES >= 2 => self.score_pages::<S, N, 2>(simd, (first, page), scores),
                _ => self.score_pages::<S, N, 1>(simd, (first, page), scores),
            };
        }
    }

    /// The scores of `P` pages; gives back `P`.
    #[inline(always)]
    fn score_pages<S: Simd, const N: usize, const P: usize>(
        &self,
        simd: S,
        (first, page): (usize, usize),
        scores: &mut [Span; N],
    ) -> usize {
        let queries: [&[f32]; N] =
            std::array::from_fn(|i| &self.vectors[i * self.head_dim..][..self.head_dim]);
        let keys: [&[B::Lanes]; P] =
            std::array::from_fn(|p| &self.blocks.keys(first + page + p)[..self.head_dim]);
        let mut dots = [[simd.splat(0.0); P]; N];
        for d in 0..self.head_dim {
            let mut loaded = [simd.splat(0.0); P];
            for (to, keys) in loaded.iter_mut().zip(keys) {
                *to = keys[d].load(simd);
            }
            for (dots, query) in dots.iter_mut().zip(queries) {
                let query = simd.splat(query[d]);
                for (dot, key) in dots.iter_mut().zip(loaded) {
                    *dot = simd.mul_add(key, query, *dot);
                }
            }
        }
        for (scores, dots) in scores.iter_mut().zip(dots) {
            for (lanes, dot) in scores[page..].iter_mut().zip(dots) {
                simd.store(dot, lanes);
            }
        }
        P
    }

    /// Turns the first `seen` scores into weights relative to the largest score so far, the rest
    /// into zeros; gives back what all weights before must be multiplied by.
    #[inline(always)]
    fn weigh<S: Simd>(
        &self,
        simd: S,
        seen: usize,
        scores: &mut Span,
        running: &mut Running<S::Float>,
    ) -> f32 {
        let (whole, rest) = (seen / LANES, seen % LANES);
        let pages = seen.div_ceil(LANES);
        if rest > 0 {
            scores[whole].0[rest..].fill(f32::NEG_INFINITY);
        }
        let mut most = simd.splat(running.most);
        for lanes in &scores[..pages] {
            most = simd.max(most, simd.load(lanes));
        }
        let most = simd.largest(most);
        let (scale, below) = (simd.splat(self.scale), simd.splat(most));
        // No closure: one is compiled by itself, without the instructions enabled here.
        let mut decay = Lanes::ZERO;
        let fall = simd.mul(simd.sub(simd.splat(running.most), below), scale);
        simd.store(exp(simd, fall), &mut decay);
        let decay = decay.0[0];
        for lanes in &mut scores[..pages] {
            let score = simd.mul(simd.sub(simd.load(lanes), below), scale);
            simd.store(exp(simd, score), lanes);
        }
        if rest > 0 {
            scores[whole].0[rest..].fill(0.0);
        }
        let mut sums = simd.mul(running.sums, simd.splat(decay));
        for lanes in &scores[..pages] {
            sums = simd.add(sums, simd.load(lanes));
        }
        *running = Running { most, sums };
        decay
    }

    /// `out = out * decay + weights . values` for `C` chunks from `chunk` on; gives back `C`.
    #[inline(always)]
    fn mix<S: Simd, const N: usize, const C: usize>(
        &self,
        simd: S,
        (span, chunk): (usize, usize),
        (weights, seen, decay): (&[Span; N], [usize; N], [f32; N]),
        out: &mut [Lanes],
    ) -> usize {
        // The positions that all queries see, then each query's own, still in ascending order.
        let shared = seen.iter().copied().min().unwrap_or(0);
        self.mix_range::<S, N, C>(simd, (span, chunk), (weights, 0..shared, decay), out);
        for (i, weights) in weights.iter().enumerate() {
            if seen[i] > shared {
                let out = &mut out[i * self.value_chunks..];
                let weights = std::array::from_ref(weights);
                let range = (weights, shared..seen[i], [1.0]);
                self.mix_range::<S, 1, C>(simd, (span, chunk), range, out);
            }
        }
        C
    }

    /// As [`Few::mix`], over some positions of the span that all `N` queries see.
    #[inline(always)]
    fn mix_range<S: Simd, const N: usize, const C: usize>(
        &self,
        simd: S,
        (span, chunk): (usize, usize),
        (weights, range, decay): (&[Span; N], Range<usize>, [f32; N]),
        out: &mut [Lanes],
    ) {
        let mut sums = [[simd.splat(0.0); C]; N];
        for (i, sums) in sums.iter_mut().enumerate() {
            let decay = simd.splat(decay[i]);
            for (sum, lanes) in sums.iter_mut().zip(&out[i * self.value_chunks + chunk..]) {
                *sum = simd.mul(simd.load(lanes), decay);
            }
        }
        let mut position = range.start;
        while position < range.end {
            let (page, slot) = (position / LANES, position % LANES);
            let end = range.end.min((page + 1) * LANES);
            let values = self.blocks.values(span * SPAN_PAGES + page);
            let rows = values.chunks_exact(self.value_chunks);
            for (row, slot) in rows.skip(slot).zip(slot..slot + end - position) {
                let mut values = [simd.splat(0.0); C];
                for (value, lanes) in values.iter_mut().zip(&row[chunk..]) {
                    *value = lanes.load(simd);
                }
                for (weights, sums) in weights.iter().zip(&mut sums) {
                    let weight = simd.splat(weights[page].0[slot]);
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add(weight, value, *sum);
                    }
                }
            }
            position = end;
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (sum, lanes) in sums
                .into_iter()
                .zip(&mut out[i * self.value_chunks + chunk..])
            {
                simd.store(sum, lanes);
            }
        }
    }
}
