//! Showing what the engine writes: at once, or from when its first tokens are accepted.

use domain::StreamEvent;
use llama::Piece;
use routing::evidence::{Evidence, TokenLogProbabilities};

use super::{Early, Question};
use crate::answer::Live;

/// What is shown of an answer that is being written.
#[derive(Debug)]
pub(super) struct Showing<'a> {
    live: Option<&'a Live>,
    /// When it is accepted, while it is not.
    early: Option<Early>,
    /// What was written until then.
    held: String,
    log_probabilities: Vec<f64>,
}

/// The beginning of an answer that is not sure enough to be gone on with.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) text: String,
    /// Of all tokens that were written.
    pub(super) evidence: TokenLogProbabilities,
}

impl<'a> Showing<'a> {
    /// Nothing was written yet.
    pub(super) fn new(question: &Question<'a>) -> Self {
        Self {
            live: question.live,
            early: question.early,
            held: String::new(),
            log_probabilities: Vec::new(),
        }
    }

    /// Shows a piece if what was written so far is accepted; the beginning, if it never will be.
    pub(super) async fn piece(&mut self, piece: Piece) -> Option<Refused> {
        let live = self.live?;
        let mut text = piece.text;
        if let Some(early) = self.early {
            self.held.push_str(&text);
            self.log_probabilities.extend(piece.log_probabilities);
            if self.log_probabilities.len() < early.tokens {
                return None;
            }
            text = std::mem::take(&mut self.held);
            // Numbers that can't be are told at the answer's end, where nothing was shown.
            let evidence = TokenLogProbabilities::new(&self.log_probabilities).ok()?;
            let known = Evidence::Tokens(evidence.first(early.tokens));
            if known.confidence() < early.threshold {
                return Some(Refused { text, evidence });
            }
            self.early = None;
        }
        live.say(StreamEvent::Text(text)).await;
        None
    }
}
