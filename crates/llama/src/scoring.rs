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

mod tree;

pub(crate) use tree::LabelTree;

use crate::cancel::Cancel;
use crate::chat_template::ChatMessage;
use crate::error::RequestError;
use crate::model::Model;
use crate::session::{PREFILL_TOKENS, Session};
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
        let cached_tokens = self.session.keep_shared(prompt)?;
        self.session
            .read_prompt(&prompt[cached_tokens..], &mut tree)?;
        while tree.has_more() {
            self.session.read_labels(&[], &mut tree)?;
        }
        Ok(LabelScores {
            log_probabilities: tree.into_log_probabilities(),
            prompt_tokens: prompt.len(),
            cached_tokens,
        })
    }
}

impl Session {
    /// Reads the rest of a prompt and begins the tree after it. The first tokens of the labels are
    /// read together with the last ones of the prompt, where a step has room for them: the weights
    /// are then read once for both.
    fn read_prompt(&mut self, rest: &[TokenId], tree: &mut LabelTree) -> Result<(), RequestError> {
        let room = match tree.tokens_after_prompt() {
            0 => 0,
            tokens => PREFILL_TOKENS.saturating_sub(tokens),
        };
        let (alone, last) = rest.split_at(rest.len() - room.min(rest.len()));
        if !alone.is_empty() {
            self.prefill(alone)?;
        }
        if !last.is_empty() {
            tree.begin(self.cache(), last.len());
            return self.read_labels(last, tree);
        }
        let next = self.log_probabilities(&tree.firsts())?;
        tree.begin(self.cache(), 0);
        tree.take_firsts(self.cache(), &next);
        Ok(())
    }

    /// Reads the last tokens of the prompt, if there are any left, and what the tree wants read
    /// now.
    fn read_labels(&mut self, last: &[TokenId], tree: &mut LabelTree) -> Result<(), RequestError> {
        let outputs = self.read_with(last, tree.sequences(usize::MAX))?;
        let (prompt, logits) = self.logits_after(&outputs);
        tree.take(prompt, logits);
        Ok(())
    }
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
