//! Labels after a prompt, as a tree: what is read together, and what came of it.

use super::distinct;
use crate::error::RequestError;
use crate::forward::{Logits, Sequence};
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::tokenizer::TokenId;
use std::num::NonZeroUsize;

/// Labels after a prompt, as a tree of the tokens that they share, on the way to their scores.
pub(crate) struct LabelTree {
    /// None begins another.
    labels: Vec<Vec<TokenId>>,
    log_probabilities: Vec<f64>,
    /// What grows directly after the prompt.
    sprouts: Vec<Part>,
    state: State,
    /// What is to be read before the tree grows on.
    twigs: Vec<Twig>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The prompt is being read.
    Waiting,
    /// The first tokens' log-probabilities come next: with the prompt's last output.
    Begun,
    /// They were counted.
    Growing,
}

impl LabelTree {
    pub(crate) fn new(labels: &[Vec<TokenId>], model: &Model) -> Result<Self, RequestError> {
        let labels = distinct(labels, model)?;
        let all = (0..labels.len()).collect();
        Ok(Self {
            log_probabilities: vec![0.0; labels.len()],
            sprouts: parts(all, 0, &labels),
            labels,
            state: State::Waiting,
            twigs: Vec::new(),
        })
    }

    /// Asks `check` whether the labels' tokens may follow a prompt of so many tokens.
    pub(crate) fn check(
        &self,
        check: impl Fn(&[TokenId], usize) -> Result<(), RequestError>,
        prompt: usize,
    ) -> Result<(), RequestError> {
        for label in &self.labels {
            // The last token is only predicted, never read.
            let (last, read) = label.split_last().unwrap_or((&0, &[]));
            check(read, prompt)?;
            check(&[*last], 0)?;
        }
        Ok(())
    }

    /// Most tokens that are read for each label.
    pub(crate) fn depths(&self) -> impl Iterator<Item = usize> {
        self.labels.iter().map(|label| label.len() - 1)
    }

    /// The labels' first tokens.
    pub(crate) fn firsts(&self) -> Vec<TokenId> {
        self.labels.iter().map(|label| label[0]).collect()
    }

    /// Tokens that can be read together with the prompt's last one: which they are doesn't depend
    /// on what follows it.
    pub(crate) fn tokens_after_prompt(&self) -> usize {
        self.sprouts.iter().map(|part| part.to).sum()
    }

    /// Pages that reading the last `left` tokens of a prompt, and `count` of the tree after it,
    /// would make beside the prompt's own.
    pub(crate) fn pages_after_prompt(&self, prompt: &KvCache, left: usize, count: usize) -> usize {
        let mut room = count;
        let pages = self.sprouts.iter().map(|part| {
            let count = part.to.min(room);
            room -= count;
            match count {
                0 => 0,
                _ => prompt.follower_pages(left, count),
            }
        });
        pages.sum()
    }

    /// Begins anew after a prompt of which `left` tokens are yet to be read.
    pub(crate) fn begin(&mut self, prompt: &KvCache, left: usize) {
        self.log_probabilities.fill(0.0);
        self.state = State::Begun;
        let twig = |part: &Part| Twig {
            labels: part.labels.clone(),
            from: 0,
            to: part.to,
            cache: prompt.follower(left),
            base: prompt.len() + left,
            found: Vec::new(),
        };
        self.twigs = self.sprouts.iter().map(twig).collect();
    }

    /// Whether it was begun after the prompt.
    pub(crate) fn has_begun(&self) -> bool {
        self.state != State::Waiting
    }

    /// Forgets what was read.
    pub(crate) fn cut(&mut self) {
        self.twigs.clear();
        self.state = State::Waiting;
    }

    /// Whether tokens are still to be read.
    pub(crate) fn has_more(&self) -> bool {
        !self.twigs.is_empty()
    }

    /// How many tokens are to be read before the tree grows on.
    pub(crate) fn tokens_left(&self) -> usize {
        self.twigs.iter().map(Twig::left).sum()
    }

    /// Pages that reading `count` tokens would make.
    pub(crate) fn new_pages(&self, count: usize) -> usize {
        let mut left = count;
        let pages = self.twigs.iter().map(|twig| {
            let count = twig.left().min(left);
            left -= count;
            twig.cache.new_pages(count)
        });
        pages.sum()
    }

    /// At most `count` tokens to be read next, all of whose outputs are wanted. Where the tree has
    /// just begun they come directly after the prompt in the batch.
    pub(crate) fn sequences(&mut self, count: usize) -> Vec<Sequence<'_>> {
        let (labels, mut left) = (&self.labels, count);
        let mut sequences = Vec::new();
        for twig in &mut self.twigs {
            let count = twig.left().min(left);
            left -= count;
            if count > 0 {
                let from = twig.from + twig.read();
                let place = NonZeroUsize::new(sequences.len() + 1);
                sequences.push(Sequence {
                    cache: &mut twig.cache,
                    after: place.filter(|_| self.state == State::Begun),
                    tokens: &labels[twig.labels[0]][from..from + count],
                    wanted: 0..count,
                });
            }
        }
        sequences
    }

    /// Takes the logits after the prompt's last token, where the tree has just begun, and then
    /// those after the tokens that [`LabelTree::sequences`] gave, in its order.
    pub(crate) fn take(&mut self, prompt: &KvCache, mut logits: Logits<'_>) {
        if self.state == State::Begun {
            let firsts = logits.log_probabilities(&[self.firsts()]);
            self.take_firsts(prompt, &firsts[0]);
            logits.first += 1;
        }
        let wanted: Vec<Vec<TokenId>> = self
            .twigs
            .iter()
            .flat_map(|twig| (twig.found.len()..twig.read()).map(|row| self.wanted(twig, row)))
            .collect();
        let mut found = logits.log_probabilities(&wanted).into_iter();
        for twig in &mut self.twigs {
            let new = twig.read() - twig.found.len();
            twig.found.extend(found.by_ref().take(new));
        }
        if self.tokens_left() == 0 {
            self.grow();
        }
    }

    /// Counts the log-probabilities of the first tokens. What was not read with the prompt goes on
    /// from it.
    pub(crate) fn take_firsts(&mut self, prompt: &KvCache, next: &[f64]) {
        for (sum, log_probability) in self.log_probabilities.iter_mut().zip(next) {
            *sum += log_probability;
        }
        for twig in self.twigs.iter_mut().filter(|twig| twig.read() == 0) {
            twig.cache = prompt.clone();
        }
        self.state = State::Growing;
    }

    /// What may follow a twig's token: the next one, or those of all labels that part there.
    fn wanted(&self, twig: &Twig, row: usize) -> Vec<TokenId> {
        let after = twig.from + row + 1;
        let labels = if after == twig.to {
            twig.labels.as_slice()
        } else {
            &twig.labels[..1]
        };
        labels
            .iter()
            .map(|label| self.labels[*label][after])
            .collect()
    }

    /// Counts the tokens that were read, and goes on where labels part.
    fn grow(&mut self) {
        for twig in std::mem::take(&mut self.twigs) {
            for (found, after) in twig.found.iter().zip(twig.from + 1..) {
                for (i, label) in twig.labels.iter().enumerate() {
                    // Before they part they have one next token, and then each its own.
                    let next = if after == twig.to { found[i] } else { found[0] };
                    self.log_probabilities[*label] += next;
                }
            }
            let grown = parts(twig.labels, twig.to, &self.labels).into_iter();
            self.twigs.extend(grown.map(|part| Twig {
                labels: part.labels,
                from: twig.to,
                to: part.to,
                base: twig.cache.len(),
                cache: twig.cache.clone(),
                found: Vec::new(),
            }));
        }
    }

    /// What was counted so far.
    pub(crate) fn into_log_probabilities(self) -> Vec<f64> {
        self.log_probabilities
    }

    /// The labels' log-probabilities, when all is read.
    pub(crate) fn scores(&self) -> Option<Vec<f64>> {
        let is_whole = self.state == State::Growing && self.twigs.is_empty();
        is_whole.then(|| self.log_probabilities.clone())
    }
}

/// Labels that go on alike after some tokens.
struct Part {
    labels: Vec<usize>,
    /// Tokens from the labels' beginning to where they part, or to the last one, which is only
    /// predicted.
    to: usize,
}

/// Tokens between two branches, `from..to` of its labels.
struct Twig {
    labels: Vec<usize>,
    from: usize,
    to: usize,
    cache: KvCache,
    /// The cache's positions before this twig.
    base: usize,
    /// For each token that was read, the log-probabilities of what may follow.
    found: Vec<Vec<f64>>,
}

impl Twig {
    /// Tokens that were read: a follower's cache may not even have the prompt yet.
    fn read(&self) -> usize {
        self.cache.len().saturating_sub(self.base)
    }

    fn left(&self) -> usize {
        self.to - self.from - self.read()
    }
}

/// How labels that have `depth` tokens in common go on, as far as there are tokens to be read.
fn parts(mut among: Vec<usize>, depth: usize, labels: &[Vec<TokenId>]) -> Vec<Part> {
    among.sort_by_key(|label| labels[*label][depth]);
    let alike = among.chunk_by(|a, b| labels[*a][depth] == labels[*b][depth]);
    let part = |same: &[usize]| {
        let first = &labels[same[0]];
        // Sorted by one token only, so that every label is compared with the first. No label
        // begins another, so that all go on where they part.
        let agreed = |label: &usize| {
            let pairs = first.iter().zip(&labels[*label]);
            pairs.take_while(|(a, b)| a == b).count()
        };
        let common = same.iter().map(agreed).min().unwrap_or(0);
        Part {
            to: common.min(first.len() - 1),
            labels: same.to_vec(),
        }
    };
    alike.map(part).filter(|part| part.to > depth).collect()
}
