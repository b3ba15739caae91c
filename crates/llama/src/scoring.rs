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
        let tokenizer = model.tokenizer();
        let template = model
            .chat_template()
            .ok_or_else(|| RequestError::NoChatTemplate {
                model: model.name().to_owned(),
            })?;
        let prompt = template.encode(tokenizer, messages)?;
        let labels: Vec<Vec<TokenId>> = labels
            .iter()
            .map(|label| tokenizer.encode(label, SpecialTokens::Plain))
            .collect();
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
        let labels = distinct(labels, self.model())?;
        for label in &labels {
            // The last token is only predicted, never read.
            self.session
                .check(&label[..label.len() - 1], prompt.len())?;
            self.session.check(&label[label.len() - 1..], 0)?;
        }
        let cached_tokens = self.session.continue_from(prompt)?;
        let mut log_probabilities = vec![0.0; labels.len()];
        let firsts: Vec<TokenId> = labels.iter().map(|label| label[0]).collect();
        let root = Branch {
            labels: (0..labels.len()).collect(),
            depth: 0,
            cache: self.session.cache().clone(),
            next: self.session.log_probabilities(&firsts)?,
        };
        let mut level = vec![root];
        while !level.is_empty() {
            let twigs = twigs(level, &labels, &mut log_probabilities);
            level = self.grow(twigs, &labels, &mut log_probabilities)?;
        }
        Ok(LabelScores {
            log_probabilities,
            prompt_tokens: prompt.len(),
            cached_tokens,
        })
    }

    /// Reads the tokens of all twigs together, counts those that have no choice, and gives back
    /// the places where labels part.
    fn grow(
        &mut self,
        twigs: Vec<Twig>,
        labels: &[Vec<TokenId>],
        log_probabilities: &mut [f64],
    ) -> Result<Vec<Branch>, RequestError> {
        if twigs.is_empty() {
            return Ok(Vec::new());
        }
        let chain = |twig: &Twig| twig.from..twig.to;
        let mut chains: Vec<(KvCache, &[TokenId])> = twigs
            .iter()
            .map(|twig| (twig.cache.clone(), &labels[twig.labels[0]][chain(twig)]))
            .collect();
        // After each token that is read: the token that follows, or those of all labels that part.
        let mut wanted = Vec::new();
        for twig in &twigs {
            let inner = (twig.from + 1..twig.to).map(|depth| vec![labels[twig.labels[0]][depth]]);
            wanted.extend(inner);
            wanted.push(
                twig.labels
                    .iter()
                    .map(|label| labels[*label][twig.to])
                    .collect(),
            );
        }
        let found = self.session.log_probabilities_after(&mut chains, &wanted)?;
        let mut rows = found.into_iter();
        let mut branches = Vec::new();
        for (twig, (cache, _)) in twigs.into_iter().zip(chains) {
            for inner in rows.by_ref().take(twig.to - twig.from - 1) {
                for label in &twig.labels {
                    log_probabilities[*label] += inner[0];
                }
            }
            let Some(next) = rows.next() else { break };
            branches.push(Branch {
                labels: twig.labels,
                depth: twig.to,
                cache,
                next,
            });
        }
        Ok(branches)
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
                    cache,
                });
            }
        }
    }
    twigs
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
