//! What is kept of a request: its text, and what each tier made of it.

use std::collections::BTreeMap;

use domain::{Prompt, Role, Task};
use ledger::{NewRecord, Timestamp};
use routing::cascade::{Decision, Rule, Turn};
use routing::evidence::{Evidence, TokenLogProbabilities};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::choice::Choice;
use crate::certificate::Extent;
use crate::learn::stored::hex;
use crate::ready::{ReadyTask, Rules};
use crate::tier::Asked;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;
/// The logarithm of a probability of 0, which JSON has no number for.
const LOG_OF_NONE: f64 = -745.0;

/// What the tiers made of a text, and by which rules it was decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Content {
    /// What the tiers were told to do with the text: SHA-256 of the task's instruction, with its
    /// labels. What was answered to another question proves nothing about this one.
    #[serde(default)]
    pub(crate) instruction: String,
    /// Each tier that was asked, by its name.
    pub(crate) models: BTreeMap<String, ModelAnswer>,
    /// From which confidence each tier's answer was accepted, where that depends on it.
    pub(crate) thresholds: BTreeMap<String, f64>,
    /// The certificate that proved the thresholds: SHA-256 of what it claims.
    pub(crate) certificate: Option<String>,
    /// Whether some tiers had a router, so that not every text reached them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) routed: bool,
    /// How the lot fell, of an answer that was accepted under a watched certificate.
    #[serde(default)]
    pub(crate) audit: Option<Lot>,
}

/// Whether an answer was chosen to be audited, and with which probability.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Lot {
    pub(crate) probability: f64,
    pub(crate) chosen: bool,
}

/// What one tier made of a text.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ModelAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
    /// Raw, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confidence: Option<f64>,
    /// How likely it is right by the tier's deferral head, where it has one: what its threshold is
    /// about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<f64>,
    /// The logarithm of each label's probability, in the labels' order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logits: Option<Vec<f64>>,
    /// Of a free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_log_probabilities: Option<TokensJson>,
    /// Of its beginning, in a task where that may decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_tokens: Option<TokensJson>,
    /// Why it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    pub(crate) cost_usd: f64,
    pub(crate) latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens_out: Option<u64>,
}

/// The log-probabilities of a text's tokens in short.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TokensJson {
    tokens: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    self_check: Option<f64>,
    mean: f64,
    /// At 0, a tenth, two tenths, … and 1.
    quantiles: Vec<f64>,
}

/// A request that is decided.
pub(crate) struct Decided<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) decision: &'a Decision,
    /// The tiers that were asked, by their rungs.
    pub(crate) asked: &'a [(usize, Asked)],
    /// How the lot fell for an audit.
    pub(crate) choice: Option<Choice>,
}

impl Decided<'_> {
    /// Its record, if the task keeps any.
    pub(crate) fn record(
        &self,
        task: &ReadyTask,
        prompt: &Prompt,
        at: Timestamp,
    ) -> Option<NewRecord> {
        let days = i64::from(task.keep_days?);
        let rungs = &self.decision.rungs;
        let thresholds = rungs.iter().filter_map(|rung| match &rung.rule {
            Rule::Threshold(threshold) => Some((rung.tier.to_string(), *threshold)),
            // From this on every label was kept; JSON has no infinity.
            Rule::ByLabel(thresholds) => {
                let highest = thresholds.iter().fold(0.0_f64, |a, b| a.max(*b));
                Some((rung.tier.to_string(), highest.min(f64::MAX)))
            }
            Rule::Always | Rule::Heard | Rule::Never => None,
        });
        let early = task.early.as_ref().map(|early| early.extent);
        let models = self.asked.iter().map(|(rung, asked)| {
            let rung = &rungs[*rung];
            let mut answer = ModelAnswer::of(asked, (self.rules.extent, early));
            if self.rules.ranking(task.task.kind).has_head(&rung.tier) {
                answer.score = confidence_of(&rung.turn);
            }
            (rung.tier.to_string(), answer)
        });
        let content = Content {
            instruction: instruction(&task.task),
            models: models.collect(),
            thresholds: thresholds.collect(),
            certificate: self.rules.certificate.clone(),
            routed: !self.rules.routers.is_empty(),
            audit: self.choice.map(|choice| Lot {
                probability: choice.probability,
                chosen: choice.is_chosen,
            }),
        };
        Some(NewRecord {
            text: text_of(task, prompt),
            content: content.encode(),
            expires_at: Timestamp::from_unix_ms(at.unix_ms() + days * MS_PER_DAY),
        })
    }
}

/// How sure an answer was.
fn confidence_of(turn: &Turn) -> Option<f64> {
    match turn {
        Turn::Accepted { confidence, .. } | Turn::Escalated { confidence, .. } => *confidence,
        _ => None,
    }
}

impl Content {
    fn encode(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|_| unreachable!("texts and finite numbers always encode"))
    }
}

impl ModelAnswer {
    /// What a tier made of a text of which this extent decided; and in a task where another might
    /// have, what is known of that.
    fn of(asked: &Asked, (extent, early): (Extent, Option<Extent>)) -> Self {
        let timed = Self {
            cost_usd: asked.bill.cost.as_usd_f64(),
            latency_ms: (asked.elapsed.as_secs_f64() * 1e6).round() / 1e3,
            ..Self::default()
        };
        let answer = match &asked.result {
            Ok(answer) => answer,
            Err(failure) => {
                let failure = Some(failure.reason.clone());
                return Self { failure, ..timed };
            }
        };
        let (mut logits, mut tokens, mut first_tokens) = (None, None, None);
        match &answer.evidence {
            Some(Evidence::Labels(probabilities)) => {
                let log = |p: &f64| p.ln().max(LOG_OF_NONE);
                logits = Some(probabilities.as_slice().iter().map(log).collect());
            }
            Some(Evidence::Tokens(log_probabilities)) => {
                let is_whole = answer.is_whole;
                tokens = is_whole.then(|| TokensJson::of(log_probabilities));
                if let Some(Extent::First(tokens)) = early {
                    first_tokens = Some(TokensJson::of(&log_probabilities.first(tokens)));
                }
            }
            None => {}
        }
        let usage = answer.completion.usage;
        Self {
            // Nobody should take the beginning of an answer for one.
            answer: answer
                .is_whole
                .then(|| answer.completion.text().into_owned()),
            confidence: answer.evidence.as_ref().map(|it| extent.confidence(it)),
            logits,
            token_log_probabilities: tokens,
            first_tokens,
            tokens_in: usage.map(|usage| usage.prompt.0),
            tokens_out: usage.map(|usage| usage.completion.0),
            ..timed
        }
    }
}

impl TokensJson {
    fn of(tokens: &TokenLogProbabilities) -> Self {
        let finite = |log: f64| log.max(LOG_OF_NONE);
        let quantile = |tenth| finite(tokens.quantile(f64::from(tenth) / 10.0));
        Self {
            tokens: tokens.len(),
            self_check: tokens.self_check(),
            mean: finite(tokens.mean()),
            quantiles: (0..=10).map(quantile).collect(),
        }
    }
}

/// The SHA-256 of a task's instruction, as hexadecimal digits.
pub(crate) fn instruction(task: &Task) -> String {
    hex(&Sha256::digest(task.instruction()))
}

/// What was asked, without the task's own instruction: the one text, or the conversation's turns
/// with who speaks.
pub(crate) fn text_of(task: &ReadyTask, prompt: &Prompt) -> String {
    let mut turns = &prompt.messages[..];
    if let [first, rest @ ..] = turns
        && first.role == Role::System
        && first.text() == task.task.instruction()
    {
        turns = rest;
    }
    if let [only] = turns {
        return only.text().into_owned();
    }
    let turns = turns
        .iter()
        .map(|turn| format!("{}: {}", turn.role.as_str(), turn.text()));
    turns.collect::<Vec<_>>().join("\n\n")
}
