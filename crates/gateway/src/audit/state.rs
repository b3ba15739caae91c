//! What audits have shown of a certificate so far, as it is kept in the ledger: one monitor of what
//! is kept, and one of each label that must not be missed.

use anyhow::Context as _;
use ledger::Observed;
use routing::certificate::{Goal, Risk};
use routing::monitor::{Audit, Monitor, MonitorError, MonitorState};
use serde::{Deserialize, Serialize};

/// Raised when the meaning of the state changes.
const VERSION: u32 = 1;

/// The monitor's state in the ledger.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateJson {
    version: u32,
    /// What the certificate promises, so that an audit needs nothing but this state.
    alpha: f64,
    delta: f64,
    audits: u64,
    wrong: u64,
    stakes: Vec<f64>,
    revoked: bool,
    /// Whether alpha is a share of all documents, and not of those that are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    of_all: bool,
    /// Of what is kept as a label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrong_as: Vec<LabelJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missed: Vec<LabelJson>,
}

/// The state of one label's monitor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelJson {
    label: String,
    alpha: f64,
    delta: f64,
    seen: u64,
    missed: u64,
    stakes: Vec<f64>,
    revoked: bool,
}

/// A label's name, what may be wrong of it, and what is known of that.
pub(super) type LabelState = (String, Goal, MonitorState);

/// All that is known, and what it is measured by.
pub(super) struct State {
    /// What the kept answers may be.
    pub(super) goal: Goal,
    /// Whether that is a share of them or of all documents.
    pub(super) risk: Risk,
    pub(super) kept: MonitorState,
    /// Of what is kept as labels that have shares of their own.
    pub(super) wrong_as: Vec<LabelState>,
    /// Of labels that must not be missed, by their names.
    pub(super) missed: Vec<LabelState>,
}

impl State {
    /// Takes in what was observed. A document of a label that must not be missed moves that
    /// label's monitor: an audited one with the probability of its audit, one that was passed on
    /// as what can't have been missed. Over all documents of the label that is a game which nobody
    /// expects to win who bets that more is missed than is allowed, while it is not.
    ///
    /// # Errors
    /// When an audit's probability is out of range.
    pub(super) fn observe(&mut self, observed: &Observed) -> Result<(), MonitorError> {
        let (label, probability_min, audit) = match observed {
            Observed::Audit {
                finding,
                reference,
                answer,
            } => {
                let audit = Audit {
                    probability: finding.probability,
                    wrong: finding.wrong,
                };
                observe((self.goal, &mut self.kept), finding.probability_min, audit)?;
                let mut kept_as = self.wrong_as.iter_mut().filter(|(name, ..)| name == answer);
                kept_as.try_for_each(|(_, goal, state)| {
                    observe((*goal, state), finding.probability_min, audit)
                })?;
                (reference, finding.probability_min, audit)
            }
            Observed::PassedOn {
                answer,
                probability_min,
            } => {
                let audit = Audit {
                    probability: 1.0,
                    wrong: false,
                };
                if self.risk == Risk::Marginal {
                    observe((self.goal, &mut self.kept), *probability_min, audit)?;
                }
                (answer, *probability_min, audit)
            }
        };
        let mut of_label = self.missed.iter_mut().filter(|(name, ..)| name == label);
        of_label.try_for_each(|(_, goal, state)| observe((*goal, state), probability_min, audit))
    }

    /// Whether it speaks against the certificate.
    pub(super) fn is_revoked(&self) -> bool {
        let mut labels = self.wrong_as.iter().chain(&self.missed);
        self.kept.revoked || labels.any(|(.., state)| state.revoked)
    }

    /// As it is kept.
    pub(super) fn encode(&self) -> String {
        let label = |(label, goal, state): &LabelState| LabelJson {
            label: label.clone(),
            alpha: goal.alpha(),
            delta: goal.delta(),
            seen: state.audits,
            missed: state.wrong,
            stakes: state.stakes.to_vec(),
            revoked: state.revoked,
        };
        let json = StateJson {
            version: VERSION,
            alpha: self.goal.alpha(),
            delta: self.goal.delta(),
            audits: self.kept.audits,
            wrong: self.kept.wrong,
            stakes: self.kept.stakes.to_vec(),
            revoked: self.kept.revoked,
            of_all: self.risk == Risk::Marginal,
            wrong_as: self.wrong_as.iter().map(label).collect(),
            missed: self.missed.iter().map(label).collect(),
        };
        serde_json::to_string(&json).unwrap_or_else(|_| unreachable!("stakes are finite numbers"))
    }

    /// What was kept.
    ///
    /// # Errors
    /// When it is damaged.
    pub(super) fn decode(text: &str) -> anyhow::Result<Self> {
        let damaged = "the monitor's state is damaged; restore the ledger, or certify again";
        let json: StateJson = serde_json::from_str(text).context(damaged)?;
        anyhow::ensure!(json.version == VERSION, "{damaged}");
        let stakes = |stakes: Vec<f64>| {
            let stakes = stakes.try_into();
            stakes.map_err(|_| anyhow::anyhow!("{damaged}"))
        };
        let label = |it: LabelJson| -> anyhow::Result<LabelState> {
            let state = MonitorState {
                audits: it.seen,
                wrong: it.missed,
                stakes: stakes(it.stakes)?,
                revoked: it.revoked,
            };
            Ok((it.label, Goal::new(it.alpha, it.delta)?, state))
        };
        let labels = |of: Vec<LabelJson>| of.into_iter().map(label).collect::<anyhow::Result<_>>();
        Ok(Self {
            goal: Goal::new(json.alpha, json.delta)?,
            risk: match json.of_all {
                true => Risk::Marginal,
                false => Risk::Selective,
            },
            wrong_as: labels(json.wrong_as)?,
            missed: labels(json.missed)?,
            kept: MonitorState {
                audits: json.audits,
                wrong: json.wrong,
                stakes: stakes(json.stakes)?,
                revoked: json.revoked,
            },
        })
    }
}

/// Lets one of the monitors see an audit.
fn observe(
    (goal, state): (Goal, &mut MonitorState),
    probability_min: f64,
    audit: Audit,
) -> Result<(), MonitorError> {
    let mut monitor = Monitor::restore(goal, probability_min, state.clone())?;
    monitor.observe(audit)?;
    *state = monitor.state().clone();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Finding;
    use routing::random::Random;

    fn beginning(missed: &[(&str, f64)]) -> State {
        let fresh = |goal| Monitor::new(goal, 0.02).unwrap().state().clone();
        let goal = |alpha| Goal::new(alpha, 0.05).unwrap();
        let missed = missed.iter().map(|(label, share)| {
            let goal = goal(*share);
            ((*label).to_owned(), goal, fresh(goal))
        });
        State {
            goal: goal(0.02),
            risk: Risk::Selective,
            kept: fresh(goal(0.02)),
            wrong_as: Vec::new(),
            missed: missed.collect(),
        }
    }

    fn audit(probability: f64, answer: &str, reference: &str) -> Observed {
        let finding = Finding {
            probability,
            probability_min: 0.02,
            wrong: answer != reference,
        };
        Observed::Audit {
            finding,
            answer: answer.to_owned(),
            reference: reference.to_owned(),
        }
    }

    #[test]
    fn the_state_survives_to_the_last_bit() {
        let mut state = beginning(&[("money", 0.1)]);
        for i in 0..500_u32 {
            let probability = 0.02 + f64::from(i % 7) / 10.0;
            let answer = if i % 37 == 0 { "routine" } else { "money" };
            state.observe(&audit(probability, answer, "money")).unwrap();
            let read = State::decode(&state.encode()).unwrap();
            let bits = |state: &MonitorState| state.stakes.map(f64::to_bits);
            assert_eq!(bits(&read.kept), bits(&state.kept));
            assert_eq!((&read.kept, &read.missed), (&state.kept, &state.missed));
        }
        assert_eq!(state.missed[0].2.audits, 500);
        for damaged in ["", "{}", &state.encode().replace('[', "[1,")] {
            assert!(State::decode(damaged).is_err(), "{damaged}");
        }
        // What an earlier version of the program wrote knows of no labels.
        let older = beginning(&[]).encode();
        assert!(!older.contains("missed") && State::decode(&older).is_ok());
    }

    /// After how many of a label's documents its monitor revokes, if it does: six in ten are kept,
    /// a tenth of these are audited, and so many of all are kept as something else.
    fn revoked_after(missed: f64, most: u64, seed: u64) -> Option<u64> {
        let mut random = Random::new(seed);
        let mut state = beginning(&[("money", 0.05)]);
        (1..=most).find(|_| {
            let observed = match random.unit() {
                kept if kept < 0.6 => {
                    let answer = if kept < missed { "routine" } else { "money" };
                    let chosen = random.unit() < 0.1;
                    chosen.then(|| audit(0.1, answer, "money"))
                }
                _ => Some(Observed::PassedOn {
                    answer: "money".to_owned(),
                    probability_min: 0.1,
                }),
            };
            if let Some(Observed::Audit {
                mut finding,
                answer,
                reference,
            }) = observed
            {
                finding.probability_min = 0.1;
                let observed = Observed::Audit {
                    finding,
                    answer,
                    reference,
                };
                state.observe(&observed).unwrap();
            } else if let Some(observed) = observed {
                state.observe(&observed).unwrap();
            }
            state.missed[0].2.revoked
        })
    }

    #[test]
    fn a_label_that_is_missed_as_often_as_allowed_hardly_ever_revokes() {
        let revoked = (0..200).filter(|&seed| revoked_after(0.05, 20_000, seed).is_some());
        // 5 % of 200 are 10; three standard deviations above are 19.
        assert!(revoked.count() <= 19);
    }

    #[test]
    fn what_is_kept_as_a_label_is_judged_by_that_labels_share() {
        let mut state = State {
            wrong_as: beginning(&[("money", 0.01)]).missed,
            ..beginning(&[])
        };
        // One in twenty of what is kept as routine is wrong, which is fine there, and of money too.
        for i in 0..2_000_u32 {
            let right = ["routine", "money"][(i % 2) as usize];
            let reference = if i / 2 % 20 == 0 { "other" } else { right };
            let audit = audit(0.02, right, reference);
            state.observe(&audit).unwrap();
        }
        let read = State::decode(&state.encode()).unwrap();
        let (label, goal, money) = &read.wrong_as[0];
        assert_eq!(
            (label.as_str(), goal.alpha(), money.audits),
            ("money", 0.01, 1_000)
        );
        assert_eq!(money.wrong, 50);
        assert!(money.revoked && read.is_revoked());
    }

    #[test]
    fn of_all_documents_those_that_are_passed_on_count_as_right() {
        let passed = Observed::PassedOn {
            answer: String::new(),
            probability_min: 0.02,
        };
        let mut kept = beginning(&[]);
        let mut all = State {
            risk: Risk::Marginal,
            ..beginning(&[])
        };
        for state in [&mut kept, &mut all] {
            state.observe(&passed).unwrap();
        }
        assert_eq!((kept.kept.audits, all.kept.audits), (0, 1));
        let read = State::decode(&all.encode()).unwrap();
        assert_eq!(read.risk, Risk::Marginal);
    }

    #[test]
    fn a_label_that_is_missed_far_more_often_is_noticed() {
        let mut delays: Vec<u64> = (0..51)
            .map(|seed| revoked_after(0.2, 20_000, seed).unwrap())
            .collect();
        delays.sort_unstable();
        // About 2,000 documents of the label, of which 120 are audited.
        assert!(delays[25] <= 2_000, "{}", delays[25]);
    }
}
