//! Asking a model whether its own answer is right. What counts is the probability that it gives
//! each of two words, never what it would write about its confidence.

use domain::{LabelProbabilities, PromptKind};
use llama::{ChatMessage, Role};

use super::conversation::messages;
use super::{End, LocalTier, Question, ended};
use crate::engine::{Chat, Work};

/// What the model is asked about its answer.
const ASKED: &str = "Is this answer right and complete? Answer yes or no.";
/// The words whose probabilities are compared, the good one first.
const WORDS: [&str; 2] = ["yes", "no"];

impl LocalTier {
    /// The probability that the model gives its answer of being right, 0 to 1 (P(True) of Kadavath
    /// et al. 2022); `None` where the prompt is no conversation, or has no room for the question.
    /// The engine has read all but a few tokens of it already.
    pub(super) async fn self_check(&self, question: &Question<'_>, answer: &str) -> Option<f64> {
        if question.prompt.kind != PromptKind::Conversation {
            return None;
        }
        let mut messages = messages(question.prompt);
        messages.push(ChatMessage::new(Role::Assistant, answer));
        messages.push(ChatMessage::new(Role::User, ASKED));
        let work = Work::Score {
            chat: Chat {
                messages,
                tools: Vec::new(),
            },
            labels: WORDS.map(str::to_owned).to_vec(),
        };
        let mut call = self.put(question.tenant, work).await.ok()?;
        let Ok(End::Scored {
            log_probabilities, ..
        }) = ended(&mut call).await
        else {
            return None;
        };
        let is_sound = log_probabilities.len() == WORDS.len()
            && log_probabilities.iter().all(|score| !score.is_nan())
            && log_probabilities.iter().any(|score| score.is_finite());
        is_sound.then(|| LabelProbabilities::from_logits(&log_probabilities).as_slice()[0])
    }
}
