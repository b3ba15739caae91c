//! Asking auditors: in the background, from the ledger's list, so that nothing waits for it and
//! nothing is lost when the program ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Picodollars, TaskName};
use futures_util::future::join_all;
use ledger::{AuditEnd, AuditOutcome, DueAudit, Forgetting, LedgerError, Monitored, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::watch;
use crate::agreement::canonical;
use crate::app::App;
use crate::clock;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;
use crate::terminal;
use crate::tier::{Bill, Fault, Question};

/// Audits in work at once: few, so that they take no places from requests.
const AT_ONCE: u32 = 4;
/// How often the list is looked at, should nothing be heard: another process may have added to
/// it, or revoked a certificate.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often texts whose time is over are deleted.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// How often failures are told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// The first wait after a failure; it doubles with each.
const WAIT_FIRST_MS: i64 = 5_000;
/// The longest wait.
const WAIT_MAX_MS: i64 = 3_600_000;
/// After so many failures a person is asked: with the waits between them about a day, so that a
/// vendor that is down for a night is asked in the morning.
const TRIES_MAX: u32 = 30;
/// The same where each failure costs money, as answers do that are none of the labels.
const PAID_TRIES_MAX: u32 = 3;

/// Works on audits.
#[derive(Debug)]
pub(crate) struct Auditor {
    app: Arc<App>,
    /// When a failure was last told.
    told: Mutex<Option<Instant>>,
}

impl Auditor {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            told: Mutex::default(),
        }
    }

    /// Works on whatever is due, until told to stop; and deletes texts whose time is over.
    ///
    /// # Cancel safety
    /// When dropped midway an attempt that was sent stays booked at its worst case, and the audit
    /// is done later.
    pub(crate) async fn serve(&self, stop: &CancellationToken) {
        let mut tidied = Instant::now();
        while !stop.is_cancelled() {
            let worked = self.round().await;
            if let Err(error) = &worked {
                tracing::error!(%error, "audits can't be worked on");
            }
            if tidied.elapsed() >= TIDY_EVERY {
                tidied = Instant::now();
                self.tidy().await;
            }
            if matches!(worked, Ok(1..)) {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.app.audit_chosen.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Works until nothing is due, or it is told to stop.
    ///
    /// # Errors
    /// When the ledger can't be written.
    ///
    /// # Cancel safety
    /// As [`Auditor::serve`].
    pub(crate) async fn work_off(&self, stop: &CancellationToken) -> Result<(), LedgerError> {
        if self.watched().is_empty() {
            return Ok(());
        }
        let spinner = terminal::spinner("auditing".to_owned());
        while !stop.is_cancelled() && self.round().await? > 0 {}
        spinner.finish_and_clear();
        Ok(())
    }

    fn watched(&self) -> Vec<(TaskName, Arc<ReadyTask>)> {
        let tasks = self.app.tasks.keys();
        let tasks = tasks.filter_map(|name| Some((name.clone(), self.app.task(name)?)));
        let is_watched = |task: &ReadyTask| task.all_rules().any(|rules| rules.watch.is_some());
        tasks.filter(|(_, task)| is_watched(task)).collect()
    }

    /// Works on some audits; how many there were.
    async fn round(&self) -> Result<usize, LedgerError> {
        let watched = self.watched();
        let ledger = &self.app.ledger;
        for (_, task) in &watched {
            for watch in task.all_rules().filter_map(|rules| rules.watch.as_ref()) {
                // Another process may have booked the audit that revoked it.
                if !watch.is_revoked()
                    && let Some(monitored) = ledger.monitor(watch.certificate.clone()).await?
                {
                    note(&self.app, task, &monitored);
                }
            }
        }
        if watched.is_empty() {
            return Ok(0);
        }
        let names: Vec<TaskName> = watched.into_iter().map(|(name, _)| name).collect();
        let due = ledger.claim_audits(names, AT_ONCE, clock::now()).await?;
        let count = due.len();
        let ended = join_all(due.into_iter().map(|due| self.one(due))).await;
        ended.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    /// Asks the auditor and books what came of it.
    async fn one(&self, due: DueAudit) -> Result<(), LedgerError> {
        let Some(task) = self.app.task(&due.task) else {
            return Ok(());
        };
        let (outcome, bill) = self.ask(&due).await;
        self.app.metrics.audit_cost(due.task.as_str(), bill.cost);
        let end = AuditEnd {
            request: due.request,
            outcome,
            resolutions: bill.resolutions,
            unpaid: bill.unpaid,
            at: clock::now(),
        };
        let moved = self.app.ledger.end_audit(end, watch::advance()).await?;
        if let Some(monitored) = moved {
            note(&self.app, &task, &monitored);
        }
        Ok(())
    }

    async fn ask(&self, due: &DueAudit) -> (AuditOutcome, Bill) {
        let config = &self.app.config.tasks[&due.task];
        let Some(tier) = self.app.tiers.get(&due.auditor) else {
            // The config has changed since; a person can still judge.
            return (AuditOutcome::HandedOver, Bill::default());
        };
        let alone = ReadyTask::alone(config, &due.auditor, tier.kind());
        let question = Question {
            request: &due.ask,
            tenant: &Tenant::program(),
            tier: &due.auditor,
            task: &alone,
            prompt: &alone.task.prompt_for(&due.text),
            generation: &alone.generation,
            extra: None,
            live: None,
            early: None,
        };
        let asked = tier.ask(question).await;
        let outcome = match asked.result {
            Ok(answer) => match (&alone.task.labels, answer.label) {
                (Some(labels), Some(label)) => {
                    AuditOutcome::Answered(labels.name(label).to_owned())
                }
                (Some(_), None) => AuditOutcome::HandedOver,
                (None, _) => {
                    let answer = answer.completion.text();
                    AuditOutcome::Answered(canonical(alone.task.kind, &answer))
                }
            },
            Err(failure) => {
                self.tell(due, &failure.reason);
                // A spent budget is no fault of the text, and will be renewed.
                let most = match asked.bill.cost {
                    Picodollars::ZERO => TRIES_MAX,
                    _ => PAID_TRIES_MAX,
                };
                let hopeless = due.tries + 1 >= most || failure.fault == Fault::Request;
                match hopeless && failure.fault != Fault::Budget {
                    true => AuditOutcome::HandedOver,
                    false => AuditOutcome::PutOff(later(due.tries)),
                }
            }
        };
        (outcome, asked.bill)
    }

    /// Tells of a failed audit, but not of each where a vendor is down for all.
    fn tell(&self, due: &DueAudit, reason: &str) {
        let (request, tier) = (&due.request, &due.auditor);
        tracing::debug!(request.id = %request, tier.id = %tier, reason, "an audit failed");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let task = due.task.as_str();
            tracing::warn!(
                task.id = task,
                tier.id = %tier,
                reason,
                "audits fail and are tried again later; answers go out all the same"
            );
        }
    }

    async fn tidy(&self) {
        let expired = Forgetting::Expired(clock::now());
        match self.app.ledger.forget(expired).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "texts whose time was over are deleted"),
            Err(error) => tracing::error!(%error, "texts whose time is over can't be deleted"),
        }
    }
}

/// When to try again after so many failures before this one.
fn later(tries: u32) -> Timestamp {
    let wait = WAIT_FIRST_MS.checked_shl(tries).unwrap_or(WAIT_MAX_MS);
    Timestamp::from_unix_ms(clock::now().unix_ms() + wait.clamp(0, WAIT_MAX_MS))
}

/// Takes note of how a monitor stands: from a revocation on, everything is passed on.
pub(crate) fn note(app: &App, task: &ReadyTask, monitored: &Monitored) {
    let watched = task.all_rules().find_map(|rules| {
        let watch = rules.watch.as_ref()?;
        (watch.certificate == monitored.certificate).then_some((rules, watch))
    });
    let Some((rules, watch)) = watched else {
        // Another certificate stands in its place by now.
        return;
    };
    let name = &rules.extent.name(&task.task.name);
    match watch::picture(monitored) {
        Ok(picture) => {
            app.metrics.watched(name, &picture);
            if picture.revoked && watch.revoke() {
                tracing::error!(
                    task.id = name,
                    audits = picture.audits,
                    wrong = picture.wrong,
                    e_value = picture.e_value,
                    max_error = picture.goal.alpha(),
                    "audits have revoked the task's certificate: nothing is kept in house any \
                     more; look at what has changed, then certify again with `tiergate calibrate`"
                );
            }
        }
        Err(error) => tracing::error!(task.id = name, %error, "the monitor can't be read"),
    }
}
