//! What audits say about a certificate: the monitor of `routing`, kept in the ledger.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use domain::{TaskName, TierName, Zone};
use ledger::{
    Advance, Advanced, Monitored, NewAudit, NewMonitor, Observed, PassedOn, RequestId, Timestamp,
};
use routing::cascade::{Decision, Rule, Turn};
use routing::certificate::{Goal, GoalError, Risk};
use routing::monitor::{Monitor, MonitorError, MonitorState};

use super::choice::{Choice, Lot};
use super::state::{LabelState, State};
use crate::certificate::{self, Certificate, Reference};
use crate::config::{Config, TaskConfig};

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

/// How a task's certificate is watched: what is kept, and each label that must not be missed.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The certificate: SHA-256 of what it claims.
    pub(crate) certificate: String,
    task: TaskName,
    /// What the kept answers may be.
    goal: Goal,
    /// Whether that is a share of them or of all documents.
    risk: Risk,
    /// What may be wrong of what is kept as labels, by their names.
    wrong_as: Vec<(String, Goal)>,
    /// What may be missed of labels, by their names.
    missed: Vec<(String, Goal)>,
    /// The tier whose answer is right by definition, where it is one.
    reference: Option<TierName>,
    lot: Lot,
    /// Who is asked again, and where that stands; `None` for a person.
    auditor: Option<(TierName, Zone)>,
    /// For so long a text may wait.
    patience_ms: i64,
    revoked: AtomicBool,
}

/// What is known about a certificate so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// What the certificate promises.
    pub(crate) goal: Goal,
    pub(crate) audits: u64,
    pub(crate) wrong: u64,
    /// The evidence that the risk is above what is allowed: 1 says nothing, 1/δ revokes.
    pub(crate) e_value: f64,
    pub(crate) revoked: bool,
    /// The same of what is kept as each label that has a share of its own.
    pub(crate) wrong_as: Vec<LabelPicture>,
    /// The same of each label that must not be missed.
    pub(crate) missed: Vec<LabelPicture>,
}

/// What is known of a label that has a claim of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelPicture {
    pub(crate) label: String,
    /// What may be wrong of it.
    pub(crate) goal: Goal,
    /// The documents that were seen: those audited, and of a label that must not be missed also
    /// those passed on.
    pub(crate) seen: u64,
    /// Of these, found to be kept with a wrong answer.
    pub(crate) wrong: u64,
    /// The evidence that more is wrong than is allowed.
    pub(crate) e_value: f64,
}

impl Watch {
    /// The watch over a certificate, where the task's config wants one.
    ///
    /// # Errors
    /// When the folder's key can't be read.
    pub(crate) fn of(
        config: &Config,
        task: &TaskConfig,
        certificate: &Certificate,
    ) -> anyhow::Result<Option<Self>> {
        let Some(audit) = &task.audit else {
            return Ok(None);
        };
        let name = &task.task.name;
        let key = certificate::audit_key(&config.certificates, name)
            .with_context(|| format!("tasks.{name}.audit"))?;
        let Some(key) = key else {
            return Ok(None);
        };
        let by = match (&audit.by, &certificate.reference) {
            (Some(by), _) | (None, Reference::Tier(by)) => Some(by),
            (None, Reference::Gold) => None,
        };
        let zone = |by: &TierName| Some((by.clone(), config.tiers.get(by)?.kind().zone()));
        // All of it together may be revoked without cause with the certificate's own probability.
        let n_labels = certificate.max_wrong.len() + certificate.max_missed.len();
        let goal = certificate.goal.split(1 + n_labels);
        let goals = |shares: &[(String, f64)]| -> Result<Vec<(String, Goal)>, GoalError> {
            let goal = |(label, share): &(String, f64)| {
                Ok((label.clone(), Goal::new(*share, goal.delta())?))
            };
            shares.iter().map(goal).collect()
        };
        Ok(Some(Self {
            certificate: certificate::id(certificate),
            task: name.clone(),
            goal,
            risk: certificate.risk,
            wrong_as: goals(&certificate.max_wrong)?,
            missed: goals(&certificate.max_missed)?,
            reference: match &certificate.reference {
                Reference::Gold => None,
                Reference::Tier(tier) => Some(tier.clone()),
            },
            lot: Lot {
                share: audit.share,
                near: audit.near,
                key,
            },
            auditor: by.and_then(zone),
            patience_ms: i64::from(audit.days) * MS_PER_DAY,
            revoked: AtomicBool::new(false),
        }))
    }

    /// The monitor as it is before the first audit, beside that of another of the task's
    /// certificates.
    pub(crate) fn beginning(&self, beside: Option<String>) -> anyhow::Result<NewMonitor> {
        let monitor = |goal| Monitor::new(goal, self.lot.share);
        let fresh = |goals: &[(String, Goal)]| -> Result<Vec<LabelState>, MonitorError> {
            let fresh = |(label, goal): &(String, Goal)| {
                let state = monitor(*goal)?.state().clone();
                Ok((label.clone(), *goal, state))
            };
            goals.iter().map(fresh).collect()
        };
        let state = State {
            goal: self.goal,
            risk: self.risk,
            kept: monitor(self.goal)?.state().clone(),
            wrong_as: fresh(&self.wrong_as)?,
            missed: fresh(&self.missed)?,
        };
        Ok(NewMonitor {
            certificate: self.certificate.clone(),
            task: self.task.clone(),
            beside,
            state: state.encode(),
        })
    }

    /// What the monitor shall hear of a decided request that no threshold let be kept: where it is
    /// of a label that must not be missed, or counts among all, it is one that went well.
    pub(crate) fn passed_on(&self, decision: &Decision, answer: Option<&str>) -> Option<PassedOn> {
        let rung = decision.accepted();
        if rung.is_some_and(|rung| rung.rule != Rule::Always) {
            return None;
        }
        let is_last_word = match (&self.reference, rung) {
            (Some(reference), Some(rung)) => *reference == rung.tier,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let answer = answer.filter(|_| is_last_word);
        let mut missed = self.missed.iter();
        let is_watched = missed.any(|(label, _)| Some(label.as_str()) == answer);
        (is_watched || self.risk == Risk::Marginal).then(|| PassedOn {
            certificate: self.certificate.clone(),
            answer: answer.unwrap_or_default().to_owned(),
            probability_min: self.lot.share,
            advance: advance(),
        })
    }

    /// Whether audits have shown that the certificate no longer holds.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Notes that it is revoked; whether that is news.
    pub(crate) fn revoke(&self) -> bool {
        !self.revoked.swap(true, Ordering::AcqRel)
    }

    /// How the lot of a decided request fell; `None` where no threshold let its answer through.
    pub(crate) fn draw(&self, id: &RequestId, decision: &Decision) -> Option<Choice> {
        let (confidence, threshold) = accepted(decision)?;
        Some(self.lot.draw(id, confidence, threshold))
    }

    /// The audit that is to be booked for a request that was chosen.
    pub(crate) fn audit(
        &self,
        (choice, decision): (Choice, &Decision),
        answer: &str,
        (text, at): (String, Timestamp),
    ) -> Option<NewAudit> {
        let (confidence, threshold) = accepted(decision)?;
        // What may not leave is for a person to judge.
        let auditor = self.auditor.as_ref();
        let auditor = auditor.filter(|(_, zone)| decision.sensitivity.may_reach(*zone));
        Some(NewAudit {
            certificate: self.certificate.clone(),
            tier: decision.accepted()?.tier.clone(),
            answer: answer.to_owned(),
            confidence,
            threshold,
            probability: choice.probability,
            probability_min: self.lot.share,
            auditor: auditor.map(|(tier, _)| tier.clone()),
            text,
            expires_at: Timestamp::from_unix_ms(at.unix_ms() + self.patience_ms),
        })
    }
}

/// Confidence and threshold of an answer that a threshold let through.
fn accepted(decision: &Decision) -> Option<(f64, f64)> {
    let rung = decision.accepted()?;
    match &rung.turn {
        Turn::Accepted { label, confidence } => {
            Some(((*confidence)?, rung.rule.threshold(*label)?))
        }
        _ => None,
    }
}

/// How what is observed moves a monitor.
pub(crate) fn advance() -> Advance {
    let advanced = |state: &str, observed: &Observed| -> anyhow::Result<Advanced> {
        let mut state = State::decode(state)?;
        state.observe(observed)?;
        Ok(Advanced {
            revoked: state.is_revoked(),
            state: state.encode(),
        })
    };
    Advance::new(move |state, observed| {
        advanced(state, observed).map_err(|fault| format!("{fault:#}"))
    })
}

/// What a monitor's state says.
///
/// # Errors
/// When it is damaged.
pub(crate) fn picture(monitored: &Monitored) -> anyhow::Result<Picture> {
    let state = State::decode(&monitored.state)?;
    // The lowest probability matters to audits to come alone.
    let wealth = |goal, state: &MonitorState| -> Result<f64, MonitorError> {
        Ok(Monitor::restore(goal, 1.0, state.clone())?.wealth())
    };
    let of_labels = |states: &[LabelState]| -> Result<Vec<LabelPicture>, MonitorError> {
        let of_label = |(label, goal, state): &LabelState| {
            Ok(LabelPicture {
                label: label.clone(),
                goal: *goal,
                seen: state.audits,
                wrong: state.wrong,
                e_value: wealth(*goal, state)?,
            })
        };
        states.iter().map(of_label).collect()
    };
    Ok(Picture {
        goal: state.goal,
        audits: state.kept.audits,
        wrong: state.kept.wrong,
        e_value: wealth(state.goal, &state.kept)?,
        revoked: monitored.revoked_at.is_some(),
        wrong_as: of_labels(&state.wrong_as)?,
        missed: of_labels(&state.missed)?,
    })
}
