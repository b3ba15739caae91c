//! Showing what the engine writes: at once, or from when its first tokens are accepted.

use routing::evidence::{Evidence, TokenLogProbabilities};

use super::{Early, Question};
use crate::engine::Piece;

/// What is shown of an answer that is being written.
#[derive(Debug)]
pub(super) struct Showing {
    /// When it is accepted, while it is not.
    early: Option<Early>,
    /// What was written until then.
    held: Piece,
}

/// What becomes of a piece.
#[derive(Debug)]
pub(super) enum Shown {
    /// It is shown, with what was held before it.
    Now(Piece),
    /// It is held until more is known.
    Later,
    /// The answer will never be accepted.
    Never(Refused),
}

/// The beginning of an answer that is not sure enough to be gone on with.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) text: String,
    /// Of all tokens that were written.
    pub(super) evidence: TokenLogProbabilities,
}

impl Showing {
    /// Nothing was written yet.
    pub(super) fn new(question: &Question<'_>) -> Self {
        Self {
            early: question.early.filter(|_| question.live.is_some()),
            held: Piece::default(),
        }
    }

    /// Says whether a piece is shown.
    pub(super) fn piece(&mut self, piece: Piece) -> Shown {
        let Some(early) = self.early else {
            return Shown::Now(piece);
        };
        self.held.text.push_str(&piece.text);
        self.held.log_probabilities.extend(piece.log_probabilities);
        self.held.tokens.extend(piece.tokens);
        if self.held.log_probabilities.len() < early.tokens {
            return Shown::Later;
        }
        // Numbers that can't be are told at the answer's end, where nothing was shown.
        let Ok(evidence) = TokenLogProbabilities::new(&self.held.log_probabilities) else {
            return Shown::Later;
        };
        let held = std::mem::take(&mut self.held);
        let known = Evidence::Tokens(evidence.first(early.tokens));
        if known.confidence() < early.threshold {
            let text = held.text;
            return Shown::Never(Refused { text, evidence });
        }
        self.early = None;
        Shown::Now(held)
    }
}
