//! Attention of a few queries over the keys and values of one head.
//!
//! Keys and values lie in pages of sixteen positions ([`crate::kv_cache`]), cut by absolute
//! position: a query meets the same lanes in the same order whether its context was read at once,
//! in pieces or by somebody else before.

use super::simd::{Kernel, LANES, Lanes, Simd, exp, largest, sum};

/// The keys and values of one head, page by page.
pub(crate) trait KvBlocks {
    /// (head_dim) of sixteen positions
    fn keys(&self, page: usize) -> &[Lanes];
    /// (16 positions, value_chunks) of sixteen dimensions
    fn values(&self, page: usize) -> &[Lanes];
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
    /// Room for the scores, reused.
    pub(crate) scores: &'a mut Vec<Lanes>,
}

impl<B: KvBlocks> Kernel for Attention<'_, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let total = self.queries.lengths.len();
        let mut first = 0;
        let Self {
            blocks,
            head_dim,
            value_chunks,
            scale,
            queries,
            scores,
        } = self;
        while first < total {
            let count = S::QUERIES.min(total - first);
            let few = Few {
                blocks: &blocks,
                vectors: &queries.vectors[first * head_dim..][..count * head_dim],
                lengths: &queries.lengths[first..][..count],
                head_dim,
                value_chunks,
                scale,
            };
            let out = &mut queries.out[first * value_chunks..][..count * value_chunks];
            match count {
                4 if S::QUERIES >= 4 => few.attend::<S, 4>(simd, scores, out),
                3 if S::QUERIES >= 3 => few.attend::<S, 3>(simd, scores, out),
                2 if S::QUERIES >= 2 => few.attend::<S, 2>(simd, scores, out),
                _ => few.attend::<S, 1>(simd, scores, out),
            }
            first += count;
        }
    }
}

/// As many queries as share one load of keys and values.
struct Few<'a, B> {
    blocks: &'a B,
    vectors: &'a [f32],
    lengths: &'a [usize],
    head_dim: usize,
    value_chunks: usize,
    scale: f32,
}

impl<B: KvBlocks> Few<'_, B> {
    #[inline(always)]
    fn attend<S: Simd, const N: usize>(&self, simd: S, scores: &mut Vec<Lanes>, out: &mut [Lanes]) {
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let pages = longest.div_ceil(LANES);
        scores.resize((N * pages).max(scores.len()), Lanes::ZERO);
        let scores = &mut scores[..N * pages];
        self.score::<S, N>(simd, pages, scores);
        let mut weight_sums = [0.0; N];
        for (i, scores) in scores.chunks_exact_mut(pages).enumerate() {
            weight_sums[i] = softmax_weights(simd, self.scale, self.lengths[i], scores);
        }
        let mut chunk = 0;
        while chunk < self.value_chunks {
            match self.value_chunks - chunk {
                1 => self.mix::<S, N, 1>(simd, scores, &weight_sums, (chunk, out)),
                2 | 3 => self.mix::<S, N, 2>(simd, scores, &weight_sums, (chunk, out)),
                _ => self.mix::<S, N, 4>(simd, scores, &weight_sums, (chunk, out)),
            }
            chunk += match self.value_chunks - chunk {
                1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
        }
    }

    /// `scores` (N, pages) = query . key, for whole pages.
    #[inline(always)]
    fn score<S: Simd, const N: usize>(&self, simd: S, pages: usize, scores: &mut [Lanes]) {
        let queries: [&[f32]; N] =
            std::array::from_fn(|i| &self.vectors[i * self.head_dim..][..self.head_dim]);
        for page in 0..pages {
            let keys = &self.blocks.keys(page)[..self.head_dim];
            let mut dots = [simd.splat(0.0); N];
            for (d, key) in keys.iter().enumerate() {
                let key = simd.load(key);
                for (dot, query) in dots.iter_mut().zip(queries) {
                    *dot = simd.mul_add(key, simd.splat(query[d]), *dot);
                }
            }
            for (i, dot) in dots.into_iter().enumerate() {
                simd.store(dot, &mut scores[i * pages + page]);
            }
        }
    }

    /// `out` (N, value_chunks), `C` chunks from `chunk` on = weights . values / their sum.
    #[inline(always)]
    fn mix<S: Simd, const N: usize, const C: usize>(
        &self,
        simd: S,
        weights: &[Lanes],
        weight_sums: &[f32; N],
        (chunk, out): (usize, &mut [Lanes]),
    ) {
        let pages = weights.len() / N;
        let mut sums = [[simd.splat(0.0); C]; N];
        let shortest = self.lengths.iter().copied().min().unwrap_or(0);
        // The positions that all queries see, then each query's own, still in ascending order.
        for page in 0..shortest.div_ceil(LANES) {
            let values = self.blocks.values(page);
            let seen = LANES.min(shortest - page * LANES);
            for (slot, row) in values
                .chunks_exact(self.value_chunks)
                .enumerate()
                .take(seen)
            {
                let row: [S::Float; C] = std::array::from_fn(|c| simd.load(&row[chunk + c]));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let weight = simd.splat(weights[i * pages + page].0[slot]);
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum = simd.mul_add(weight, value, *sum);
                    }
                }
            }
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            for position in shortest..self.lengths[i] {
                let (page, slot) = (position / LANES, position % LANES);
                let row = &self.blocks.values(page)[slot * self.value_chunks + chunk..][..C];
                let weight = simd.splat(weights[i * pages + page].0[slot]);
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum = simd.mul_add(weight, simd.load(value), *sum);
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let inverse = simd.splat(1.0 / weight_sums[i]);
            for (c, sum) in sums.into_iter().enumerate() {
                simd.store(
                    simd.mul(sum, inverse),
                    &mut out[i * self.value_chunks + chunk + c],
                );
            }
        }
    }
}

/// Turns the first `length` scores into `exp(scale * (score - largest))`, the rest into zeros, and
/// gives back their sum.
#[inline(always)]
fn softmax_weights<S: Simd>(simd: S, scale: f32, length: usize, scores: &mut [Lanes]) -> f32 {
    let (whole, rest) = (length / LANES, length % LANES);
    let seen = length.div_ceil(LANES);
    if rest > 0 {
        scores[whole].0[rest..].fill(f32::NEG_INFINITY);
    }
    let mut most = simd.splat(f32::NEG_INFINITY);
    for lanes in &scores[..seen] {
        most = simd.max(most, simd.load(lanes));
    }
    let most = simd.splat(largest(simd, most));
    let scale = simd.splat(scale);
    for lanes in &mut scores[..seen] {
        let below = simd.sub(simd.load(lanes), most);
        simd.store(exp(simd, simd.mul(below, scale)), lanes);
    }
    if rest > 0 {
        scores[whole].0[rest..].fill(0.0);
    }
    let mut sums = simd.splat(0.0);
    for lanes in &scores[..seen] {
        sums = simd.add(sums, simd.load(lanes));
    }
    sum(simd, sums)
}
