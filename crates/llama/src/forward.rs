//! The forward pass: tokens in, the last layer's outputs out.
//!
//! Tokens of several sequences are computed together, as rows of the same matrices, so that the
//! weights are read once for all of them. Each row's result depends on its own sequence alone, to
//! the bit.

use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::kernels::{
    Activations, AddAssign, Attention, Lanes, Matrix, Product, Queries, RmsNorm, SwiGlu, multiply,
};
use crate::kv_cache::KvCache;
use crate::model::{Layer, Model};
use crate::tokenizer::TokenId;
use std::ops::Range;

/// Tokens to append to one sequence.
pub(crate) struct Sequence<'a> {
    pub(crate) cache: &'a mut KvCache,
    pub(crate) tokens: &'a [TokenId],
    /// Which of `tokens` the last layer's output is wanted for.
    pub(crate) wanted: Range<usize>,
}

/// Buffers of the forward pass, reused from call to call.
#[derive(Default)]
pub(crate) struct Scratch {
    /// (rows, dim): the residual stream
    x: Vec<f32>,
    /// What the next matrices multiply.
    input: Activations,
    /// (rows, n_heads * head_dim)
    q: Vec<f32>,
    /// (rows, n_kv_heads * head_dim)
    k: Vec<f32>,
    /// (rows, n_kv_heads * value_dim)
    v: Vec<f32>,
    /// (rows, hidden_dim)
    gate: Vec<f32>,
    /// (rows, hidden_dim)
    up: Vec<f32>,
    /// (rows, dim): what a block adds to the residual stream
    delta: Vec<f32>,
    /// (rows, rope_dim / 2) of cosine and sine
    turns: Vec<(f32, f32)>,
    scores: Vec<Lanes>,
    head_queries: HeadQueries,
}

/// The queries of one key head's group, gathered.
#[derive(Default)]
struct HeadQueries {
    vectors: Vec<f32>,
    lengths: Vec<usize>,
    out: Vec<Lanes>,
}

/// One row of the batch.
#[derive(Clone, Copy)]
struct Row {
    sequence: usize,
    position: usize,
    wanted: bool,
}

/// The forward pass of one model on a number of threads.
pub(crate) struct Forward<'a> {
    pub(crate) model: &'a Model,
    pub(crate) threads: usize,
    pub(crate) cancel: &'a Cancel,
}

impl Forward<'_> {
    /// Appends the tokens to their sequences and gives back the normalised output of the last
    /// layer for those wanted, (wanted, dim), in order.
    ///
    /// # Errors
    ///
    /// Cancelled; the sequences are then as they were.
    pub(crate) fn run(
        &self,
        batch: &mut [Sequence<'_>],
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>, RequestError> {
        let mut rows = self.rows(batch);
        self.embed(batch, scratch);
        self.turns(&rows, scratch);
        for sequence in batch.iter_mut() {
            sequence.cache.reserve(sequence.tokens.len());
        }
        let layers = &self.model.weights.layers;
        for (index, layer) in layers.iter().enumerate() {
            self.cancel.check()?;
            self.keys_and_values(index, layer, &rows, (batch, scratch));
            if index + 1 == layers.len() {
                // What is not wanted is not computed beyond its keys and values.
                self.keep_wanted(&mut rows, scratch);
            }
            if rows.is_empty() {
                break;
            }
            self.attend(index, layer, &rows, (batch, scratch));
            self.feed_forward(layer, scratch);
        }
        for sequence in batch {
            sequence.cache.advance(sequence.tokens.len());
        }
        let mut out = vec![0.0; rows.len() * self.model.config.dim];
        self.normalise(&scratch.x, &self.model.weights.output_norm, &mut out);
        Ok(out)
    }

    /// `logits` (rows, vocabulary) of `outputs` (rows, dim).
    pub(crate) fn logits(&self, outputs: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let head = self.model.weights.head();
        let rows = outputs.len() / self.model.config.dim;
        scratch.input.resize(rows, self.model.config.dim);
        scratch.input.floats.copy_from_slice(outputs);
        let mut logits = vec![0.0; rows * head.rows];
        self.multiply(&mut scratch.input, &mut [(head, &mut logits)]);
        logits
    }

    fn rows(&self, batch: &[Sequence<'_>]) -> Vec<Row> {
        let of_sequence = |(sequence, s): (usize, &Sequence<'_>)| {
            let (start, wanted) = (s.cache.len(), s.wanted.clone());
            (0..s.tokens.len()).map(move |i| Row {
                sequence,
                position: start + i,
                wanted: wanted.contains(&i),
            })
        };
        batch.iter().enumerate().flat_map(of_sequence).collect()
    }

    fn embed(&self, batch: &[Sequence<'_>], scratch: &mut Scratch) {
        let dim = self.model.config.dim;
        let tokens = || batch.iter().flat_map(|sequence| sequence.tokens);
        scratch.x.resize(tokens().count() * dim, 0.0);
        for (x, token) in scratch.x.chunks_exact_mut(dim).zip(tokens()) {
            self.model.weights.embedding.copy_row(*token as usize, x);
        }
    }

    fn turns(&self, rows: &[Row], scratch: &mut Scratch) {
        let turn = |position: usize, frequency: f64| {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            (cos as f32, sin as f32)
        };
        let frequencies = &self.model.rope.0;
        scratch.turns.clear();
        for row in rows {
            scratch
                .turns
                .extend(frequencies.iter().map(|f| turn(row.position, *f)));
        }
    }

    fn normalise(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let epsilon = self.model.config.norm_epsilon;
        self.model.instructions.run(RmsNorm {
            x,
            weight,
            epsilon,
            out,
        });
    }

    fn multiply(&self, input: &mut Activations, products: &mut [(&Matrix, &mut Vec<f32>)]) {
        let rows = input.rows();
        let mut products: Vec<Product<'_>> = products
            .iter_mut()
            .map(|(matrix, out)| {
                out.resize(rows * matrix.rows, 0.0);
                Product { matrix, out }
            })
            .collect();
        multiply(self.model.instructions, self.threads, input, &mut products);
    }

    /// Computes and stores the keys and values of all rows; leaves the queries in `q`.
    fn keys_and_values(
        &self,
        index: usize,
        layer: &Layer,
        rows: &[Row],
        (batch, scratch): (&mut [Sequence<'_>], &mut Scratch),
    ) {
        let config = &self.model.config;
        scratch.input.resize(rows.len(), config.dim);
        self.normalise(&scratch.x, &layer.attention_norm, &mut scratch.input.floats);
        let products: &mut [(&Matrix, &mut Vec<f32>)] =
            &mut [(&layer.wk, &mut scratch.k), (&layer.wv, &mut scratch.v)];
        self.multiply(&mut scratch.input, products);
        let kv_width = config.n_kv_heads * config.head_dim;
        rotate(&mut scratch.k, &scratch.turns, (kv_width, config.head_dim));
        let keys = scratch.k.chunks_exact(kv_width);
        let values = scratch.v.chunks_exact(config.n_kv_heads * config.value_dim);
        for (row, (keys, values)) in rows.iter().zip(keys.zip(values)) {
            batch[row.sequence]
                .cache
                .write(index, row.position, keys, values);
        }
    }

    fn keep_wanted(&self, rows: &mut Vec<Row>, scratch: &mut Scratch) {
        let dim = self.model.config.dim;
        let pairs = self.model.rope.0.len();
        let mut kept = 0;
        for (i, row) in rows.iter().enumerate() {
            if row.wanted {
                scratch.x.copy_within(i * dim..(i + 1) * dim, kept * dim);
                scratch
                    .input
                    .floats
                    .copy_within(i * dim..(i + 1) * dim, kept * dim);
                scratch
                    .turns
                    .copy_within(i * pairs..(i + 1) * pairs, kept * pairs);
                kept += 1;
            }
        }
        scratch.x.truncate(kept * dim);
        scratch.turns.truncate(kept * pairs);
        scratch.input.resize(kept, dim);
        rows.retain(|row| row.wanted);
    }

    /// Adds the attention block's output to the residual stream.
    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        rows: &[Row],
        (batch, scratch): (&mut [Sequence<'_>], &mut Scratch),
    ) {
        let config = &self.model.config;
        let q_width = config.n_heads * config.head_dim;
        self.multiply(&mut scratch.input, &mut [(&layer.wq, &mut scratch.q)]);
        rotate(&mut scratch.q, &scratch.turns, (q_width, config.head_dim));
        scratch
            .input
            .resize(rows.len(), config.n_heads * config.value_dim);
        let mut first = 0;
        for same in rows.chunk_by(|a, b| a.sequence == b.sequence) {
            let cache = &*batch[same[0].sequence].cache;
            for kv_head in 0..config.n_kv_heads {
                self.attend_head((index, kv_head), (first, same), cache, scratch);
            }
            first += same.len();
        }
        self.multiply(&mut scratch.input, &mut [(&layer.wo, &mut scratch.delta)]);
        self.add_delta(scratch);
    }

    /// Attention of the queries that share one key head, for some rows of one sequence.
    fn attend_head(
        &self,
        (layer, kv_head): (usize, usize),
        (first, rows): (usize, &[Row]),
        cache: &KvCache,
        scratch: &mut Scratch,
    ) {
        let config = &self.model.config;
        let group = config.n_heads / config.n_kv_heads;
        let value_chunks = self.model.page_shape().value_chunks();
        let HeadQueries {
            vectors,
            lengths,
            out,
        } = &mut scratch.head_queries;
        vectors.clear();
        lengths.clear();
        let (head_dim, value_dim) = (config.head_dim, config.value_dim);
        let q_width = config.n_heads * head_dim;
        for (i, row) in rows.iter().enumerate() {
            let heads = (first + i) * q_width + kv_head * group * head_dim;
            vectors.extend_from_slice(&scratch.q[heads..][..group * head_dim]);
            lengths.extend(std::iter::repeat_n(row.position + 1, group));
        }
        out.resize(lengths.len() * value_chunks, Lanes::ZERO);
        self.model.instructions.run(Attention {
            blocks: cache.head(layer, kv_head),
            head_dim,
            value_chunks,
            scale: 1.0 / (head_dim as f32).sqrt(),
            queries: Queries {
                vectors,
                lengths,
                out,
            },
            scores: &mut scratch.scores,
        });
        let out_width = config.n_heads * value_dim;
        for (query, out) in out.chunks_exact(value_chunks).enumerate() {
            let (row, head) = (first + query / group, kv_head * group + query % group);
            let to = &mut scratch.input.floats[row * out_width + head * value_dim..][..value_dim];
            for (to, lanes) in to.chunks_mut(crate::kernels::LANES).zip(out) {
                to.copy_from_slice(&lanes.0[..to.len()]);
            }
        }
    }

    /// Adds the feed-forward block's output to the residual stream.
    fn feed_forward(&self, layer: &Layer, scratch: &mut Scratch) {
        let config = &self.model.config;
        let rows = scratch.x.len() / config.dim;
        scratch.input.resize(rows, config.dim);
        self.normalise(&scratch.x, &layer.ffn_norm, &mut scratch.input.floats);
        let products: &mut [(&Matrix, &mut Vec<f32>)] = &mut [
            (&layer.w_gate, &mut scratch.gate),
            (&layer.w_up, &mut scratch.up),
        ];
        self.multiply(&mut scratch.input, products);
        scratch.input.resize(rows, config.hidden_dim);
        let out = &mut scratch.input.floats;
        self.model.instructions.run(SwiGlu {
            gate: &scratch.gate,
            up: &scratch.up,
            out,
        });
        self.multiply(
            &mut scratch.input,
            &mut [(&layer.w_down, &mut scratch.delta)],
        );
        self.add_delta(scratch);
    }

    fn add_delta(&self, scratch: &mut Scratch) {
        self.model.instructions.run(AddAssign {
            x: &mut scratch.x,
            y: &scratch.delta,
        });
    }
}

/// Turns the first dimensions of each head, two by two, by its row's angles: `x` (rows, width) of
/// heads of `head_dim`, `turns` (rows, rope_dim / 2).
fn rotate(x: &mut [f32], turns: &[(f32, f32)], (width, head_dim): (usize, usize)) {
    let rows = x.len() / width;
    let pairs = turns.len().checked_div(rows).unwrap_or(0);
    for (x, turns) in x
        .chunks_exact_mut(width)
        .zip(turns.chunks_exact(pairs.max(1)))
    {
        for head in x.chunks_exact_mut(head_dim) {
            for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(turns) {
                let (a, b) = (pair[0], pair[1]);
                pair[0] = a * cos - b * sin;
                pair[1] = a * sin + b * cos;
            }
        }
    }
}
