//! What audits say about a certificate: the monitor of `routing`, kept in the ledger.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use domain::{TaskName, TierName, Zone};
use ledger::{Advance, Advanced, Finding, Monitored, NewAudit, NewMonitor, RequestId, Timestamp};
use routing::cascade::{Decision, Rule, Turn};
use routing::certificate::Goal;
use routing::monitor::{Audit, Monitor, MonitorState};
use serde::{Deserialize, Serialize};

use super::choice::{Choice, Lot};
use crate::certificate::{self, Certificate, Reference};
use crate::config::{Config, TaskConfig};

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;
/// Raised when the meaning of the state changes.
const VERSION: u32 = 1;

/// How a task's certificate is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The certificate: SHA-256 of what it claims.
    pub(crate) certificate: String,
    task: TaskName,
    goal: Goal,
    lot: Lot,
    /// Who is asked again, and where that stands; `None` for a person.
    auditor: Option<(TierName, Zone)>,
    /// For so long a text may wait.
    patience_ms: i64,
    revoked: AtomicBool,
}

/// What is known about a certificate so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Picture {
    /// What the certificate promises.
    pub(crate) goal: Goal,
    pub(crate) audits: u64,
    pub(crate) wrong: u64,
    /// The evidence that the risk is above what is allowed: 1 says nothing, 1/δ revokes.
    pub(crate) e_value: f64,
    pub(crate) revoked: bool,
}

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
        Ok(Some(Self {
            certificate: certificate::id(certificate),
            task: name.clone(),
            goal: certificate.goal,
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
        let monitor = Monitor::new(self.goal, self.lot.share)?;
        Ok(NewMonitor {
            certificate: self.certificate.clone(),
            task: self.task.clone(),
            beside,
            state: encode(self.goal, monitor.state()),
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
    match (rung.rule, &rung.turn) {
        (Rule::Threshold(threshold), Turn::Accepted { confidence, .. }) => {
            Some(((*confidence)?, threshold))
        }
        _ => None,
    }
}

/// How an audit moves a monitor.
pub(crate) fn advance() -> Advance {
    let advanced = |state: &str, finding: Finding| -> anyhow::Result<Advanced> {
        let (goal, state) = decode(state)?;
        let mut monitor = Monitor::restore(goal, finding.probability_min, state)?;
        let revoked = monitor.observe(Audit {
            probability: finding.probability,
            wrong: finding.wrong,
        })?;
        Ok(Advanced {
            state: encode(goal, monitor.state()),
            revoked,
        })
    };
    Advance::new(move |state, finding| {
        advanced(state, finding).map_err(|fault| format!("{fault:#}"))
    })
}

/// What a monitor's state says.
///
/// # Errors
/// When it is damaged.
pub(crate) fn picture(monitored: &Monitored) -> anyhow::Result<Picture> {
    let (goal, state) = decode(&monitored.state)?;
    // The lowest probability matters to audits to come alone.
    let monitor = Monitor::restore(goal, 1.0, state)?;
    Ok(Picture {
        goal,
        audits: monitor.state().audits,
        wrong: monitor.state().wrong,
        e_value: monitor.wealth(),
        revoked: monitored.revoked_at.is_some(),
    })
}

fn encode(goal: Goal, state: &MonitorState) -> String {
    let MonitorState {
        audits,
        wrong,
        stakes,
        revoked,
    } = state;
    let json = StateJson {
        version: VERSION,
        alpha: goal.alpha(),
        delta: goal.delta(),
        audits: *audits,
        wrong: *wrong,
        stakes: stakes.to_vec(),
        revoked: *revoked,
    };
    serde_json::to_string(&json).unwrap_or_else(|_| unreachable!("stakes are finite numbers"))
}

fn decode(text: &str) -> anyhow::Result<(Goal, MonitorState)> {
    let damaged = "the monitor's state is damaged; restore the ledger, or certify again";
    let json: StateJson = serde_json::from_str(text).context(damaged)?;
    anyhow::ensure!(json.version == VERSION, "{damaged}");
    let stakes = json.stakes.try_into();
    let state = MonitorState {
        audits: json.audits,
        wrong: json.wrong,
        stakes: stakes.map_err(|_| anyhow::anyhow!("{damaged}"))?,
        revoked: json.revoked,
    };
    Ok((Goal::new(json.alpha, json.delta)?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_survives_to_the_last_bit() {
        let goal = Goal::new(0.02, 0.05).unwrap();
        let mut monitor = Monitor::new(goal, 0.02).unwrap();
        for i in 0..500_u32 {
            let audit = Audit {
                probability: 0.02 + f64::from(i % 7) / 10.0,
                wrong: i % 37 == 0,
            };
            monitor.observe(audit).unwrap();
            let (read_goal, read) = decode(&encode(goal, monitor.state())).unwrap();
            assert_eq!(read_goal, goal);
            let bits = |state: &MonitorState| state.stakes.map(f64::to_bits);
            assert_eq!(bits(&read), bits(monitor.state()));
            assert_eq!(&read, monitor.state());
        }
        for damaged in ["", "{}", &encode(goal, monitor.state()).replace("[", "[1,")] {
            assert!(decode(damaged).is_err(), "{damaged}");
        }
    }
}
