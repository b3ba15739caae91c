//! Tiers in order: after each answer, accept it, ask the next tier, or give it to a person.
//!
//! The whole decision is a function of the cascade and of what its tiers answered, so that a
//! stored [`Decision`] can be made again and compared.

use std::iter::Peekable;

use domain::{Sensitivity, TierKind, TierName};

/// When a tier's answer is accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// When its confidence reaches this number. An answer without a confidence never does.
    Threshold(f64),
    /// The same with a number for each label, in the labels' order; infinity where an answer with
    /// the label is never accepted.
    ByLabel(Vec<f64>),
    /// Always: the last word.
    Always,
    /// Never; but it is asked, because what it says is evidence for or against the answers of
    /// tiers behind it.
    Heard,
    /// Never, because no threshold meets the task's target; so the tier is not even asked.
    Never,
}

impl Rule {
    /// The confidence from which an answer with this label is accepted; `None` where it always is,
    /// or never.
    #[must_use]
    pub fn threshold(&self, label: Option<usize>) -> Option<f64> {
        match self {
            Self::Threshold(threshold) => Some(*threshold),
            Self::ByLabel(thresholds) => {
                let threshold = thresholds.get(label?).copied();
                threshold.filter(|threshold| threshold.is_finite())
            }
            Self::Always | Self::Heard | Self::Never => None,
        }
    }

    /// Whether an answer with this label is accepted that is so sure.
    #[must_use]
    pub fn accepts(&self, label: Option<usize>, confidence: Option<f64>) -> bool {
        let threshold = self.threshold(label);
        let is_sure = threshold
            .zip(confidence)
            .is_some_and(|(least, it)| it >= least);
        *self == Self::Always || is_sure
    }

    /// Whether it depends on the confidence.
    #[must_use]
    pub fn is_by_confidence(&self) -> bool {
        matches!(self, Self::Threshold(_) | Self::ByLabel(_))
    }
}

/// One tier's place in a cascade.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// The tier.
    pub tier: TierName,
    /// Its kind, which says in which zone it stands. A [`TierKind::Person`] is not asked for an
    /// answer on the spot: when its turn comes the request goes to review, whatever its rule.
    pub kind: TierKind,
    /// When its answer is accepted.
    pub rule: Rule,
}

/// The tiers for one text, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    rungs: Vec<Rung>,
    sensitivity: Sensitivity,
}

/// What came of asking a tier.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered {
        /// The label's index; `None` for free text.
        label: Option<usize>,
        /// How sure it was; `None` where it brings no evidence.
        confidence: Option<f64>,
    },
    /// It gave no answer.
    Failed {
        /// Why, in words fit for a log.
        reason: String,
        /// Whether asking again later may help.
        retryable: bool,
    },
    /// It was not asked, because a router foretold that its answer would be passed on. Only where
    /// [`Cascade::may_skip`] it.
    Skipped {
        /// The probability that its answer would have been accepted, 0 to 1.
        chance: f64,
    },
}

/// What became of a tier's turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Passed over: a text of this sensitivity may not reach the tier's zone.
    Barred,
    /// Passed over: its rule is [`Rule::Never`].
    Unproven,
    /// Passed over: its answer would very likely not have been accepted.
    Skipped {
        /// The probability that it would have been, 0 to 1.
        chance: f64,
    },
    /// Its answer was accepted.
    Accepted {
        /// The label's index; `None` for free text.
        label: Option<usize>,
        /// How sure it was, if it said.
        confidence: Option<f64>,
    },
    /// It answered with too little confidence: an escalation.
    Escalated {
        /// The label's index; `None` for free text.
        label: Option<usize>,
        /// How sure it was, if it said.
        confidence: Option<f64>,
    },
    /// It failed: a fallback to the next tier, where there is one.
    Failed {
        /// Why.
        reason: String,
        /// Whether asking again later may help.
        retryable: bool,
    },
    /// The request was given to this tier, which is a person.
    Handed,
    /// Its turn is now: ask it.
    Due,
    /// Its turn has not come, and may never.
    NotReached,
}

/// What is to be done next, or how it ended. Rungs are known by their index in the cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this rung's tier, and decide again with its outcome.
    Ask {
        /// Which.
        rung: usize,
    },
    /// This rung's answer is the answer.
    Accept {
        /// Which.
        rung: usize,
    },
    /// A person decides.
    Review {
        /// The rung of the best answer so far, which is that of the last tier that answered:
        /// later tiers are the stronger ones, and confidences of different tiers don't compare.
        suggestion: Option<usize>,
    },
    /// No tier is left, and none of those asked answered; or one that may answer later failed.
    Fail {
        /// Whether asking again later may help: one of the failures was of that sort.
        retryable: bool,
    },
}

/// One rung with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RungDecision {
    /// The tier.
    pub tier: TierName,
    /// The rule that was applied.
    pub rule: Rule,
    /// What became of its turn.
    pub turn: Turn,
}

/// Everything that shows why a request was answered as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the text was taken to be.
    pub sensitivity: Sensitivity,
    /// Every rung of the cascade in order; (n_rungs).
    pub rungs: Vec<RungDecision>,
    /// What is to be done next, or how it ended.
    pub step: Step,
}

/// Outcomes that no run of this cascade can have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given} outcome(s) for a cascade that asks for {asked}; the outcomes belong to another cascade"
)]
pub struct ReplayError {
    given: usize,
    asked: usize,
}

impl Cascade {
    /// The cascade of these tiers for a text of this sensitivity.
    #[must_use]
    pub fn new(rungs: Vec<Rung>, sensitivity: Sensitivity) -> Self {
        Self { rungs, sensitivity }
    }

    /// The rungs in order.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// What the text was taken to be.
    #[must_use]
    pub fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }

    /// Whether a rung's tier may be passed over unasked: one that is no person must stand behind
    /// it, may be reached by the text, and may have its answer accepted.
    #[must_use]
    pub fn may_skip(&self, rung: usize) -> bool {
        let mut behind = self.rungs.iter().skip(rung + 1);
        behind.any(|rung| {
            let accepts = rung.rule.is_by_confidence() || rung.rule == Rule::Always;
            accepts && rung.kind != TierKind::Person && self.sensitivity.may_reach(rung.kind.zone())
        })
    }
}

/// The decision after these outcomes, which are those of the tiers asked so far, in the order in
/// which they were asked; with none it is the first step. The same cascade and outcomes always
/// give the same decision.
///
/// # Errors
/// When there are more outcomes than the cascade asks for.
pub fn replay(cascade: &Cascade, outcomes: &[Outcome]) -> Result<Decision, ReplayError> {
    let mut left = outcomes.iter().peekable();
    let mut step = None;
    let mut rungs = Vec::with_capacity(cascade.rungs.len());
    for (index, rung) in cascade.rungs.iter().enumerate() {
        let turn = match step {
            Some(_) => Turn::NotReached,
            None => turn(cascade, index, &mut left),
        };
        match turn {
            Turn::Due => step = Some(Step::Ask { rung: index }),
            Turn::Accepted { .. } => step = Some(Step::Accept { rung: index }),
            Turn::Handed => {
                step = Some(Step::Review {
                    suggestion: suggestion(&rungs),
                })
            }
            _ => {}
        }
        rungs.push(RungDecision {
            tier: rung.tier.clone(),
            rule: rung.rule.clone(),
            turn,
        });
    }
    if left.len() > 0 {
        let asked = outcomes.len() - left.len();
        return Err(ReplayError {
            given: outcomes.len(),
            asked,
        });
    }
    let step = step.unwrap_or_else(|| nothing_left(&rungs));
    Ok(Decision {
        sensitivity: cascade.sensitivity,
        rungs,
        step,
    })
}

fn turn<'a>(
    cascade: &Cascade,
    index: usize,
    outcomes: &mut Peekable<impl Iterator<Item = &'a Outcome>>,
) -> Turn {
    let rung = &cascade.rungs[index];
    if !cascade.sensitivity.may_reach(rung.kind.zone()) {
        return Turn::Barred;
    }
    if rung.kind == TierKind::Person {
        return Turn::Handed;
    }
    if rung.rule == Rule::Never {
        return Turn::Unproven;
    }
    // A tier that may not be skipped is due; the outcome then belongs to another cascade.
    let fits =
        |outcome: &&Outcome| !matches!(outcome, Outcome::Skipped { .. }) || cascade.may_skip(index);
    match outcomes.next_if(fits) {
        None => Turn::Due,
        Some(&Outcome::Skipped { chance }) => Turn::Skipped { chance },
        Some(Outcome::Failed { reason, retryable }) => Turn::Failed {
            reason: reason.clone(),
            retryable: *retryable,
        },
        Some(&Outcome::Answered { label, confidence }) => {
            if rung.rule.accepts(label, confidence) {
                Turn::Accepted { label, confidence }
            } else {
                Turn::Escalated { label, confidence }
            }
        }
    }
}

fn suggestion(rungs: &[RungDecision]) -> Option<usize> {
    rungs
        .iter()
        .rposition(|rung| matches!(rung.turn, Turn::Escalated { .. }))
}

/// A failure that may pass is no reason to bother a person: the request fails and can be sent
/// again. Otherwise whatever was answered is a suggestion for a person.
fn nothing_left(rungs: &[RungDecision]) -> Step {
    let suggestion = suggestion(rungs);
    // It would have answered, and so a person is asked as if it had.
    let was_skipped = rungs
        .iter()
        .any(|it| matches!(it.turn, Turn::Skipped { .. }));
    let retryable = rungs.iter().filter_map(|rung| match rung.turn {
        Turn::Failed { retryable, .. } => Some(retryable),
        _ => None,
    });
    match retryable.reduce(|any, one| any || one) {
        Some(true) => Step::Fail { retryable: true },
        Some(false) if suggestion.is_none() && !was_skipped => Step::Fail { retryable: false },
        _ => Step::Review { suggestion },
    }
}

impl Decision {
    /// The rung whose answer was accepted.
    #[must_use]
    pub fn accepted(&self) -> Option<&RungDecision> {
        match self.step {
            Step::Accept { rung } => Some(&self.rungs[rung]),
            _ => None,
        }
    }

    /// Whether nothing is left to be asked.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self.step, Step::Ask { .. })
    }

    /// How many answers were not accepted because their confidence was too low.
    #[must_use]
    pub fn escalations(&self) -> usize {
        self.rungs
            .iter()
            .filter(|rung| matches!(rung.turn, Turn::Escalated { .. }))
            .count()
    }

    /// How many tiers failed, so that the next had to stand in.
    #[must_use]
    pub fn fallbacks(&self) -> usize {
        self.rungs
            .iter()
            .filter(|rung| matches!(rung.turn, Turn::Failed { .. }))
            .count()
    }
}

#[cfg(test)]
mod tests;
