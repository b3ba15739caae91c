//! The attention block: each query against the keys and values of its own sequence.

use super::batch::{Row, Sequence, head_pages};
use super::{Forward, Scratch, product, rotate};
use crate::kernels::{Attention, KvBlocks, LANES, Lanes, Panel, Queries, multiply};
use crate::kv_cache::HeadPages;
use crate::model::Layer;

impl Forward<'_> {
    /// Leaves the attention block's output in `delta`.
    pub(super) fn attend(
        &self,
        index: usize,
        rows: &[Row],
        batch: &[Sequence<'_>],
        scratch: &mut Scratch,
    ) {
        /// Rows of one sequence that a thread takes at once.
        const ROWS: usize = 16;
        let config = &self.model.config;
        let chunks = self.model.page_shape().value_chunks();
        let group = config.n_heads / config.n_kv_heads;
        let lanes = rows.len() * group * chunks;
        scratch.mixed.resize(config.n_kv_heads * lanes, Lanes::ZERO);
        let (q, turns) = (&scratch.q, scratch.turns.as_slice());
        let heads = scratch.mixed.chunks_exact_mut(lanes).enumerate();
        let jobs = heads.flat_map(|(kv_head, mut rest)| {
            let mut first = 0;
            rows.chunk_by(|a, b| a.sequence == b.sequence)
                .flat_map(|same| same.chunks(ROWS))
                .map(move |rows| {
                    let (out, later) =
                        std::mem::take(&mut rest).split_at_mut(rows.len() * group * chunks);
                    rest = later;
                    first += rows.len();
                    HeadJob {
                        place: (index, kv_head),
                        first: first - rows.len(),
                        rows,
                        out,
                    }
                })
        });
        let make = || (Vec::new(), Vec::new());
        self.team.each(jobs, make, |(vectors, lengths), job| {
            let pages = head_pages(batch, job.rows[0].sequence, job.place);
            self.attend_head(job, pages, (q, turns), (vectors, lengths));
        });
        self.project_mixed(&self.model.weights.layers[index], rows.len(), scratch);
    }

    /// Attention of the queries that share one key head, for some rows of one sequence.
    fn attend_head(
        &self,
        job: HeadJob<'_>,
        pages: HeadPages<'_>,
        (q, turns): (&Panel, &[(f32, f32)]),
        (vectors, lengths): (&mut Vec<f32>, &mut Vec<usize>),
    ) {
        let config = &self.model.config;
        let group = config.n_heads / config.n_kv_heads;
        let (head_dim, pairs) = (config.head_dim, self.model.rope.radians.len());
        let (_, kv_head) = job.place;
        vectors.resize(job.rows.len() * group * head_dim, 0.0);
        lengths.clear();
        for (i, row) in job.rows.iter().enumerate() {
            let heads = &mut vectors[i * group * head_dim..][..group * head_dim];
            q.copy(job.first + i, kv_head * group * head_dim, heads);
            rotate(heads, &turns[(job.first + i) * pairs..][..pairs], head_dim);
            lengths.extend(std::iter::repeat_n(row.position + 1, group));
        }
        let queries = Queries {
            vectors,
            lengths,
            out: job.out,
        };
        match pages {
            HeadPages::Half(blocks) => self.run_attention(blocks, queries),
            HeadPages::Single(blocks) => self.run_attention(blocks, queries),
        }
    }

    fn run_attention(&self, blocks: impl KvBlocks, queries: Queries<'_>) {
        let head_dim = self.model.config.head_dim;
        self.model.instructions.run(Attention {
            blocks,
            head_dim,
            value_chunks: self.model.page_shape().value_chunks(),
            scale: 1.0 / (head_dim as f32).sqrt(),
            queries,
        });
    }

    /// `delta` = `wo` times what the heads mixed.
    fn project_mixed(&self, layer: &Layer, rows: usize, scratch: &mut Scratch) {
        let config = &self.model.config;
        let (group, value_dim) = (config.n_heads / config.n_kv_heads, config.value_dim);
        let chunks = self.model.page_shape().value_chunks();
        let mixed = &scratch.mixed;
        let fill = |_: &mut [f32], row: usize, to: &mut [f32]| {
            for (head, to) in to.chunks_exact_mut(value_dim).enumerate() {
                let (kv_head, query) = (head / group, head % group);
                let from = &mixed[((kv_head * rows + row) * group + query) * chunks..][..chunks];
                for (to, lanes) in to.chunks_mut(LANES).zip(from) {
                    to.copy_from_slice(&lanes.0[..to.len()]);
                }
            }
        };
        let shape = (rows, config.n_heads * value_dim, layer.wo.wants());
        scratch.input.prepare(self.compute(), shape, &mut [], fill);
        let products = vec![product(&layer.wo, &mut scratch.delta)];
        multiply(self.compute(), &scratch.input, products);
    }
}

/// Attention of one key head for some rows of one sequence.
struct HeadJob<'a> {
    /// Layer and key head.
    place: (usize, usize),
    /// The number of the first row.
    first: usize,
    rows: &'a [Row],
    /// (rows, heads of the group, value_chunks)
    out: &'a mut [Lanes],
}
