//! How probable each of some given answers is: classification by reading, without generating.
//!
//! ```text
//!  prompt .................... | label tokens         for one prompt and its labels, a tree:
//!  shared with the prompt before,                                   +- up
//!  so not read again     | this document's text | assistant: -------+- down
//!                                                                   +- no + ne
//! ```
//!
//! A label's log-probability is the sum of its tokens' log-probabilities, each given the prompt
//! and the tokens before it. Tokens that labels share are computed once, all labels' tokens are
//! computed together, and a label's last token is only looked up, never read.

use crate::cancel::Cancel;
use crate::chat_template::ChatMessage;
use crate::error::RequestError;
use crate::forward::{Logits, Sequence};
use crate::kv_cache::KvCache;
use crate::model::Model;
use crate::session::Session;
use crate::tokenizer::{SpecialTokens, TokenId};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// What [`LabelScorer::score`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LabelScores {
    /// For each label, in order: the natural logarithm of its probability as the answer; below 0.
    /// [`crate::probabilities`] makes them sum to 1.
    pub log_probabilities: Vec<f64>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that the call before had already read.
    pub cached_tokens: usize,
}

/// Scores labels after prompts. It keeps the last prompt's keys and values, so that prompts that
/// begin alike cost only what differs. One thread uses one scorer.
pub struct LabelScorer {
    session: Session,
}

impl LabelScorer {
    /// A scorer that computes on one thread.
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            session: Session::new(model),
        }
    }

    /// The same scorer on `threads` threads, which pays for large models only.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.session = self.session.with_threads(threads);
        self
    }

    /// As [`Session::set_cancel`].
    pub fn set_cancel(&mut self, cancel: Cancel) {
        self.session.set_cancel(cancel);
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        self.session.model()
    }

    /// Scores `labels` as the assistant's answer to `messages`, by the model's chat template.
    ///
    /// # Errors
    ///
    /// As [`LabelScorer::score`]; and where the file has no chat template or it refuses the
    /// messages.
    pub fn score_chat(
        &mut self,
        messages: &[ChatMessage],
        labels: &[&str],
    ) -> Result<LabelScores, RequestError> {
        let model = Arc::clone(self.model());
        let prompt = model.encode_chat(messages)?;
        let labels = encode_labels(&model, labels);
        self.score(&prompt, &labels)
    }

    /// Scores `labels` after `prompt`.
    ///
    /// Where one label's tokens begin another's, the token that ends an answer is counted as the
    /// last of every label: the score is then of exactly this answer, and not of all that begin
    /// like it.
    ///
    /// # Errors
    ///
    /// An empty prompt; no labels, an empty label, or two that are the same tokens; a prompt that
    /// with its longest label exceeds the context; a token outside the vocabulary; cancelled.
    pub fn score(
        &mut self,
        prompt: &[TokenId],
        labels: &[Vec<TokenId>],
    ) -> Result<LabelScores, RequestError> {
        let mut tree = LabelTree::new(labels, self.model())?;
        tree.check(
            |tokens, after| self.session.check(tokens, after),
            prompt.len(),
        )?;
        let cached_tokens = self.session.continue_from(prompt)?;
        let next = self.session.log_probabilities(&tree.firsts())?;
        tree.begin(self.session.cache(), next);
        while tree.has_more() {
            self.session.read_labels(&mut tree)?;
        }
        Ok(LabelScores {
            log_probabilities: tree.log_probabilities,
            prompt_tokens: prompt.len(),
            cached_tokens,
        })
    }
}

impl Session {
    /// Reads what the tree wants read now; this sequence stays as it is.
    fn read_labels(&mut self, tree: &mut LabelTree) -> Result<(), RequestError> {
        let (forward, scratch) = self.forward();
        let outputs = forward.run(&mut tree.sequences(usize::MAX), scratch)?;
        tree.take(&Logits {
            panel: forward.logits(&outputs, scratch),
            first: 0,
            instructions: forward.model.instructions,
            team: forward.team,
        });
        Ok(())
    }
}

/// Labels after a prompt, as a tree of the tokens that they share, on the way to their scores.
pub(crate) struct LabelTree {
    /// None begins another.
    labels: Vec<Vec<TokenId>>,
    log_probabilities: Vec<f64>,
    /// What is to be read before the tree grows on.
    twigs: Vec<Twig>,
}

impl LabelTree {
    pub(crate) fn new(labels: &[Vec<TokenId>], model: &Model) -> Result<Self, RequestError> {
        let labels = distinct(labels, model)?;
        Ok(Self {
            log_probabilities: vec![0.0; labels.len()],
            labels,
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

    /// Begins anew after a prompt, with the log-probabilities of the first tokens.
    pub(crate) fn begin(&mut self, prompt: &KvCache, next: Vec<f64>) {
        self.log_probabilities.fill(0.0);
        let root = Branch {
            labels: (0..self.labels.len()).collect(),
            depth: 0,
            cache: prompt.clone(),
            next,
        };
        self.twigs = twigs(vec![root], &self.labels, &mut self.log_probabilities);
    }

    /// Forgets what was read.
    pub(crate) fn cut(&mut self) {
        self.twigs.clear();
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

    /// At most `count` tokens to be read next, all of whose outputs are wanted.
    pub(crate) fn sequences(&mut self, count: usize) -> Vec<Sequence<'_>> {
        let (labels, mut left) = (&self.labels, count);
        let mut sequences = Vec::new();
        for twig in &mut self.twigs {
            let count = twig.left().min(left);
            left -= count;
            if count > 0 {
                let from = twig.from + twig.read();
                sequences.push(Sequence {
                    cache: &mut twig.cache,
                    tokens: &labels[twig.labels[0]][from..from + count],
                    wanted: 0..count,
                });
            }
        }
        sequences
    }

    /// Takes the logits after the tokens that [`LabelTree::sequences`] gave, in its order.
    pub(crate) fn take(&mut self, logits: &Logits<'_>) {
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

    /// Counts the tokens that have no choice, and goes on where labels part.
    fn grow(&mut self) {
        let mut branches = Vec::new();
        for mut twig in std::mem::take(&mut self.twigs) {
            let next = twig.found.pop().unwrap_or_default();
            for inner in twig.found {
                for label in &twig.labels {
                    self.log_probabilities[*label] += inner[0];
                }
            }
            branches.push(Branch {
                labels: twig.labels,
                depth: twig.to,
                cache: twig.cache,
                next,
            });
        }
        self.twigs = twigs(branches, &self.labels, &mut self.log_probabilities);
    }

    /// The labels' log-probabilities, when all is read.
    pub(crate) fn scores(&self) -> Option<Vec<f64>> {
        self.twigs
            .is_empty()
            .then(|| self.log_probabilities.clone())
    }
}

/// A place in the tree of labels where the next tokens are predicted.
struct Branch {
    /// The labels that run through it.
    labels: Vec<usize>,
    /// Their tokens up to here, all the same.
    depth: usize,
    cache: KvCache,
    /// For each of the labels, the log-probability of its next token.
    next: Vec<f64>,
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
    /// Tokens that were read.
    fn read(&self) -> usize {
        self.cache.len() - self.base
    }

    fn left(&self) -> usize {
        self.to - self.from - self.read()
    }
}

/// Counts the tokens that follow each branch, and gives back the tokens that must be read to go on.
fn twigs(level: Vec<Branch>, labels: &[Vec<TokenId>], log_probabilities: &mut [f64]) -> Vec<Twig> {
    let mut twigs = Vec::new();
    for branch in level {
        let depth = branch.depth;
        let mut next: Vec<(usize, f64)> = branch.labels.into_iter().zip(branch.next).collect();
        for (label, log_probability) in &next {
            log_probabilities[*label] += log_probability;
        }
        next.sort_by_key(|(label, _)| labels[*label][depth]);
        let sorted: Vec<usize> = next.into_iter().map(|(label, _)| label).collect();
        for same in sorted.chunk_by(|a, b| labels[*a][depth] == labels[*b][depth]) {
            let first = &labels[same[0]];
            // Sorted by one token only, so that every label is compared with the first. No label
            // begins another, so that all go on where they part.
            let agreed = |label: &usize| {
                first
                    .iter()
                    .zip(&labels[*label])
                    .take_while(|(a, b)| a == b)
                    .count()
            };
            let common = same.iter().map(agreed).min().unwrap_or(0);
            let to = if same.len() == 1 {
                first.len() - 1
            } else {
                common
            };
            if to > depth {
                let cache = branch.cache.clone();
                twigs.push(Twig {
                    labels: same.to_vec(),
                    from: depth,
                    to,
                    base: cache.len(),
                    cache,
                    found: Vec::new(),
                });
            }
        }
    }
    twigs
}

/// The tokens of labels.
pub(crate) fn encode_labels(model: &Model, labels: &[&str]) -> Vec<Vec<TokenId>> {
    let encode = |label: &&str| model.tokenizer().encode(label, SpecialTokens::Plain);
    labels.iter().map(encode).collect()
}

/// The labels, made so that none begins another.
fn distinct(labels: &[Vec<TokenId>], model: &Model) -> Result<Vec<Vec<TokenId>>, RequestError> {
    let fault = |message: String| Err(RequestError::Labels(message));
    if labels.is_empty() {
        return fault("there are none; give at least one".into());
    }
    if let Some(empty) = labels.iter().position(Vec::is_empty) {
        return fault(format!("label {empty} is empty"));
    }
    let mut sorted: Vec<&Vec<TokenId>> = labels.iter().collect();
    sorted.sort();
    // In this order a label's beginnings stand directly before what begins with them.
    let mut ends_needed = false;
    for pair in sorted.windows(2) {
        if pair[0] == pair[1] {
            return fault("two of them are the same tokens".into());
        }
        ends_needed |= pair[1].starts_with(pair[0]);
    }
    let mut labels = labels.to_vec();
    if ends_needed {
        let Some(end) = model.tokenizer().end_of_answer() else {
            return fault(
                "one begins another, and the model has no token that ends an answer by which \
                 they could be told apart"
                    .into(),
            );
        };
        labels.iter_mut().for_each(|label| label.push(end));
    }
    Ok(labels)
}
