//! The forward pass: tokens in, the last layer's outputs out.
//!
//! Tokens of several sequences are computed together, as rows of the same matrices, so that the
//! weights are read once for all of them. Each row's result depends on its own sequence alone, to
//! the bit. Every step is a list of independent items for the threads of a [`Team`].

mod attention;
mod batch;

pub(crate) use batch::Sequence;

use batch::{Row, growth, places, rows_of};

use crate::cancel::Cancel;
use crate::error::RequestError;
use crate::kernels::{
    Activations, AddAssign, Compute, Forms, Instructions, Lanes, Matrix, Panel, Product, RmsNorm,
    SwiGlu, Team, multiply,
};
use crate::model::{Layer, Model, RopeFrequencies};
use crate::probability::log_normaliser;
use crate::tokenizer::TokenId;

/// Buffers of the forward pass, reused from call to call.
#[derive(Default)]
pub(crate) struct Scratch {
    /// (rows, dim): the residual stream
    x: Vec<f32>,
    /// What the next matrices multiply.
    input: Activations,
    /// (rows, n_heads * head_dim)
    q: Panel,
    /// (rows, n_kv_heads * head_dim)
    k: Panel,
    /// (rows, n_kv_heads * value_dim)
    v: Panel,
    /// (n_kv_heads, rows, heads of the group, value_chunks)
    mixed: Vec<Lanes>,
    /// (rows, hidden_dim)
    gate: Panel,
    /// (rows, hidden_dim)
    up: Panel,
    /// (rows, dim): what a block adds to the residual stream
    delta: Panel,
    /// (rows, rope_dim / 2) of cosine and sine
    turns: Vec<(f32, f32)>,
    /// (rows, vocabulary)
    logits: Panel,
}

/// Whether the last block's output is still to be added to the residual stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delta {
    Add,
    None,
}

/// The forward pass of one model on a team's threads.
pub(crate) struct Forward<'a> {
    pub(crate) model: &'a Model,
    pub(crate) team: &'a Team,
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
        let mut rows = rows_of(batch);
        self.embed(batch, scratch);
        self.turns(&rows, scratch);
        let grows = growth(batch);
        for (sequence, count) in batch.iter_mut().zip(&grows) {
            sequence.cache.reserve(*count);
        }
        let layers = &self.model.weights.layers;
        let mut delta = Delta::None;
        for (index, layer) in layers.iter().enumerate() {
            self.cancel.check()?;
            self.project((index, delta), &mut rows, batch, scratch);
            if rows.is_empty() {
                break;
            }
            self.attend(index, &rows, batch, scratch);
            self.feed_forward(layer, &rows, scratch);
            delta = Delta::Add;
        }
        for (i, count) in grows.into_iter().enumerate() {
            let (before, rest) = batch.split_at_mut(i);
            rest[0].cache.advance(count);
            if let Some(after) = rest[0].after {
                rest[0].cache.join(before[i - after.get()].cache);
            }
        }
        let mut out = vec![0.0; rows.len() * self.model.config.dim];
        let chunks = out.chunks_exact_mut(self.model.config.dim);
        for ((row, out), x) in chunks.enumerate().zip(self.x_rows(scratch)) {
            self.add_and_normalise(
                (x, &scratch.delta, row),
                delta,
                &self.model.weights.output_norm,
                out,
            );
        }
        Ok(out)
    }

    /// The logits of `outputs` (rows, dim), as a panel (rows, vocabulary).
    pub(crate) fn logits<'s>(&self, outputs: &[f32], scratch: &'s mut Scratch) -> &'s Panel {
        let (head, dim) = (self.model.weights.head(), self.model.config.dim);
        let shape = (outputs.len() / dim, dim, head.wants());
        let fill = |_: &mut [f32], row: usize, to: &mut [f32]| {
            to.copy_from_slice(&outputs[row * dim..][..dim]);
        };
        scratch.input.prepare(self.compute(), shape, &mut [], fill);
        let out = &mut scratch.logits;
        multiply(
            self.compute(),
            &scratch.input,
            vec![Product { matrix: head, out }],
        );
        &scratch.logits
    }

    fn compute(&self) -> Compute<'_> {
        Compute {
            instructions: self.model.instructions,
            team: self.team,
        }
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
        let RopeFrequencies { radians, magnitude } = &self.model.rope;
        let turn = |position: usize, radians: f64| {
            let (sin, cos) = (position as f64 * radians).sin_cos();
            ((cos * magnitude) as f32, (sin * magnitude) as f32)
        };
        scratch.turns.clear();
        for row in rows {
            let turns = radians.iter().map(|it| turn(row.position, *it));
            scratch.turns.extend(turns);
        }
    }

    /// The rows of the residual stream, to be changed one after the other.
    fn x_rows<'s>(&self, scratch: &'s Scratch) -> impl Iterator<Item = &'s [f32]> {
        scratch.x.chunks_exact(self.model.config.dim)
    }

    /// `out` = the norm of row `row` of the residual stream, what a block left for it included.
    fn add_and_normalise(
        &self,
        (x, y, row): (&[f32], &Panel, usize),
        delta: Delta,
        weight: &[f32],
        out: &mut [f32],
    ) {
        let mut x = x.to_vec();
        self.add_delta(&mut x, (delta, y, row));
        self.normalise(&x, weight, out);
    }

    fn add_delta(&self, x: &mut [f32], (delta, y, row): (Delta, &Panel, usize)) {
        if delta == Delta::Add {
            self.model.instructions.run(AddAssign { x, y, row });
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

    /// Makes the norm of the residual stream the input, what the last block left included.
    fn prepare_norm(&self, (delta, weight, forms): (Delta, &[f32], Forms), scratch: &mut Scratch) {
        let dim = self.model.config.dim;
        let shape = (scratch.x.len() / dim, dim, forms);
        let y = &scratch.delta;
        let fill = |x: &mut [f32], row: usize, out: &mut [f32]| {
            self.add_delta(x, (delta, y, row));
            self.normalise(x, weight, out);
        };
        scratch
            .input
            .prepare(self.compute(), shape, &mut scratch.x, fill);
    }

    /// Computes queries, keys and values and stores the latter two. In the last layer what is not
    /// wanted is not computed beyond its keys and values.
    fn project(
        &self,
        (index, delta): (usize, Delta),
        rows: &mut Vec<Row>,
        batch: &mut [Sequence<'_>],
        scratch: &mut Scratch,
    ) {
        let layers = &self.model.weights.layers;
        let layer = &layers[index];
        let last = index + 1 == layers.len();
        let weight = layer.attention_norm.as_slice();
        let whole = !last || rows.iter().all(|row| row.wanted);
        let forms = wanted_forms(&[&layer.wq, &layer.wk, &layer.wv]);
        self.prepare_norm((delta, weight, forms), scratch);
        let mut products = vec![
            product(&layer.wk, &mut scratch.k),
            product(&layer.wv, &mut scratch.v),
        ];
        if whole {
            products.push(product(&layer.wq, &mut scratch.q));
        }
        multiply(self.compute(), &scratch.input, products);
        self.store(index, rows, batch, scratch);
        if !whole {
            self.keep_wanted(rows, scratch);
            self.prepare_norm((Delta::None, weight, layer.wq.wants()), scratch);
            let products = vec![product(&layer.wq, &mut scratch.q)];
            multiply(self.compute(), &scratch.input, products);
        }
    }

    /// Rotates the keys and writes keys and values to their sequences' caches.
    fn store(&self, layer: usize, rows: &[Row], batch: &mut [Sequence<'_>], scratch: &Scratch) {
        let config = &self.model.config;
        let places = places(batch);
        let mut jobs = Vec::new();
        for (sequence, place) in batch.iter_mut().zip(&places) {
            let pages = sequence.cache.open_pages();
            jobs.extend(pages.into_iter().map(|page| (page, *place)));
        }
        let make = || {
            (
                vec![0.0; config.n_kv_heads * config.head_dim],
                vec![0.0; config.n_kv_heads * config.value_dim],
            )
        };
        let pairs = scratch.turns.len() / rows.len().max(1);
        self.team.each(
            jobs.into_iter(),
            make,
            |(keys, values), (mut page, place)| {
                for position in page.positions(place.end) {
                    let row = place.row(position);
                    scratch.k.copy(row, 0, keys);
                    scratch.v.copy(row, 0, values);
                    let turns = &scratch.turns[row * pairs..][..pairs];
                    rotate(keys, turns, config.head_dim);
                    page.write(layer, position, keys, values);
                }
            },
        );
    }

    fn keep_wanted(&self, rows: &mut Vec<Row>, scratch: &mut Scratch) {
        let dim = self.model.config.dim;
        let pairs = self.model.rope.radians.len();
        let mut kept = 0;
        for (i, row) in rows.iter().enumerate() {
            if row.wanted {
                scratch.x.copy_within(i * dim..(i + 1) * dim, kept * dim);
                let turns = i * pairs..(i + 1) * pairs;
                scratch.turns.copy_within(turns, kept * pairs);
                kept += 1;
            }
        }
        scratch.x.truncate(kept * dim);
        scratch.turns.truncate(kept * pairs);
        rows.retain(|row| row.wanted);
    }

    /// Adds what attention left to the residual stream; leaves the feed-forward block's output in
    /// `delta`.
    fn feed_forward(&self, layer: &Layer, rows: &[Row], scratch: &mut Scratch) {
        let forms = wanted_forms(&[&layer.w_gate, &layer.w_up]);
        self.prepare_norm((Delta::Add, &layer.ffn_norm, forms), scratch);
        let products = vec![
            product(&layer.w_gate, &mut scratch.gate),
            product(&layer.w_up, &mut scratch.up),
        ];
        multiply(self.compute(), &scratch.input, products);
        let (gate, up) = (&scratch.gate, &scratch.up);
        let fill = |_: &mut [f32], row: usize, out: &mut [f32]| {
            self.model.instructions.run(SwiGlu { gate, up, row, out });
        };
        let shape = (
            rows.len(),
            self.model.config.hidden_dim,
            layer.w_down.wants(),
        );
        scratch.input.prepare(self.compute(), shape, &mut [], fill);
        let products = vec![product(&layer.w_down, &mut scratch.delta)];
        multiply(self.compute(), &scratch.input, products);
    }
}

/// Rows of logits, from one of a panel's on.
#[derive(Clone, Copy)]
pub(crate) struct Logits<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) first: usize,
    pub(crate) instructions: Instructions,
    pub(crate) team: &'a Team,
}

impl Logits<'_> {
    /// For each row, the log-probabilities of the tokens wanted of it.
    pub(crate) fn log_probabilities(&self, wanted: &[Vec<TokenId>]) -> Vec<Vec<f64>> {
        let panel = self.panel;
        let mut found: Vec<Vec<f64>> = vec![Vec::new(); wanted.len()];
        let jobs = found.iter_mut().zip(wanted).zip(self.first..);
        let work =
            |(): &mut (), ((found, wanted), row): ((&mut Vec<f64>, &Vec<TokenId>), usize)| {
                let normaliser = log_normaliser(self.instructions, panel.row(row), panel.width());
                let of = |token: &TokenId| f64::from(panel.at(row, *token as usize)) - normaliser;
                found.extend(wanted.iter().map(of));
            };
        self.team.each(jobs, || (), work);
        found
    }

    /// A row, (vocabulary).
    pub(crate) fn row(&self, row: usize) -> Vec<f32> {
        let mut to = vec![0.0; self.panel.width()];
        self.panel.copy(self.first + row, 0, &mut to);
        to
    }
}

fn product<'a>(matrix: &'a Matrix, out: &'a mut Panel) -> Product<'a> {
    Product { matrix, out }
}

/// The forms of the activations that any of the matrices wants.
fn wanted_forms(matrices: &[&Matrix]) -> Forms {
    matrices.iter().fold(Forms::default(), |forms, matrix| {
        let more = matrix.wants();
        Forms {
            floats: forms.floats | more.floats,
            blocks: forms.blocks | more.blocks,
        }
    })
}

/// Turns the first dimensions of each head of a row, two by two, by the row's angles.
fn rotate(x: &mut [f32], turns: &[(f32, f32)], head_dim: usize) {
    for head in x.chunks_exact_mut(head_dim) {
        for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(turns) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}
