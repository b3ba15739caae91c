//! `tiergate certificates`: what is proven, what audits say about it, and what was revoked.

use std::process::ExitCode;

use domain::TaskName;
use ledger::{AuditTally, Monitored, Reader, Timestamp};
use serde_json::{Value, json};

use crate::app::ledger_file;
use crate::audit::estimate::{Estimate, estimate};
use crate::audit::watch::{LabelPicture, Picture, picture};
use crate::certificate::{self, Circumstances, Extent, Reference, Standing};
use crate::cli::ConfigArgs;
use crate::clock::date_of;
use crate::config::{self, Config};
use crate::terminal::{figures, percent, say};

/// `tiergate certificates`.
#[derive(Debug, clap::Args)]
pub(crate) struct CertificatesArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of a task's certificate.
struct Report {
    task: TaskName,
    extent: Extent,
    standing: Standing,
    /// Its own monitor, and those of the task's earlier certificates.
    watched: Option<Watched>,
    earlier: Vec<Watched>,
}

/// What audits say about a certificate.
struct Watched {
    monitored: Monitored,
    picture: Picture,
    tally: AuditTally,
    risk: Option<Estimate>,
}

/// Shows how every certificate stands.
///
/// # Errors
/// When the config is wrong or the ledger can't be read.
pub(crate) fn command(args: &CertificatesArgs) -> anyhow::Result<ExitCode> {
    let config = config::load_without_secrets(&args.config.config)?;
    let file = ledger_file(&config);
    let reader = file.exists().then(|| Reader::open(&file)).transpose()?;
    let reports = reports(&config, reader.as_ref())?;
    if args.json {
        let certificates: Vec<Value> = reports.iter().map(Report::to_json).collect();
        say(format_args!(
            "{:#}",
            json!({ "certificates": certificates })
        ));
    } else if reports.is_empty() {
        say(format_args!(
            "no task of {} demands a certificate; one does with target = {{ max_error = 0.02, \
             confidence = 0.95 }}",
            config.file.display()
        ));
    } else {
        tell(&reports);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the thresholds of tasks with a target come from, as far as it can be seen without
/// starting a tier: whether what a student learned, and how a model's weights are stored, is as
/// it was shows when the task is started.
///
/// # Errors
/// When the ledger can't be read.
pub(crate) fn standings(
    config: &Config,
    reader: Option<&Reader>,
) -> anyhow::Result<Vec<(TaskName, Extent, Standing)>> {
    let circumstances = Circumstances {
        config,
        student: None,
        tiers: None,
    };
    let mut standings = Vec::new();
    for (name, task) in config
        .tasks
        .iter()
        .filter(|(_, task)| task.target.is_some())
    {
        let early = task.early_tokens.map(Extent::First);
        for extent in [Some(Extent::Whole), early].into_iter().flatten() {
            let standing = Standing::of(task, &circumstances, extent);
            let monitored = match (standing.certificate().map(certificate::id), reader) {
                (Some(id), Some(reader)) => reader.monitor(&id)?,
                _ => None,
            };
            standings.push((name.clone(), extent, standing.watched(monitored.as_ref())));
        }
    }
    Ok(standings)
}

fn reports(config: &Config, reader: Option<&Reader>) -> anyhow::Result<Vec<Report>> {
    let monitors = reader
        .map(Reader::monitors)
        .transpose()?
        .unwrap_or_default();
    let mut standings = standings(config, reader)?;
    standings.retain(|(_, _, standing)| !matches!(standing, Standing::Estimated));
    let id = |standing: &Standing| standing.certificate().map(certificate::id);
    let standing_now: Vec<String> = standings.iter().filter_map(|(.., it)| id(it)).collect();
    let mut reports = Vec::new();
    for (task, extent, standing) in standings {
        let own = id(&standing);
        let (mut watched, mut earlier) = (None, Vec::new());
        for monitored in monitors.iter().filter(|it| it.task == task) {
            let Some(reader) = reader else { continue };
            if own.as_ref() == Some(&monitored.certificate) {
                watched = Some(Watched::read(reader, monitored.clone())?);
            } else if extent == Extent::Whole && !standing_now.contains(&monitored.certificate) {
                earlier.push(Watched::read(reader, monitored.clone())?);
            }
        }
        reports.push(Report {
            task,
            extent,
            standing,
            watched,
            earlier,
        });
    }
    Ok(reports)
}

impl Watched {
    fn read(reader: &Reader, monitored: Monitored) -> anyhow::Result<Self> {
        Ok(Self {
            picture: picture(&monitored)?,
            tally: reader.audit_tally(&monitored.certificate)?,
            risk: estimate(&reader.findings(&monitored.certificate)?),
            monitored,
        })
    }

    fn revokes_at(&self) -> f64 {
        1.0 / self.picture.goal.delta()
    }

    /// Why it was revoked, if it was.
    fn why(&self) -> Option<String> {
        let at = self.monitored.revoked_at?;
        let mut wrong = self.picture.wrong_as.iter();
        if let Some(label) = wrong.find(|it| it.e_value >= 1.0 / it.goal.delta()) {
            return Some(format!(
                "on {} the evidence against at most {} wrong of what is kept as {} reached {:.0}, \
                 after {} audits with {} wrong",
                date_of(at),
                percent(label.goal.alpha()),
                label.label,
                1.0 / label.goal.delta(),
                label.seen,
                label.wrong,
            ));
        }
        let mut missed = self.picture.missed.iter();
        if let Some(label) = missed.find(|it| it.e_value >= 1.0 / it.goal.delta()) {
            return Some(format!(
                "on {} the evidence against at most {} of {} missed reached {:.0}, after {} of \
                 them were seen and {} found missed",
                date_of(at),
                percent(label.goal.alpha()),
                label.label,
                1.0 / label.goal.delta(),
                label.seen,
                label.wrong,
            ));
        }
        Some(format!(
            "on {} the evidence against at most {} wrong reached {:.0}, after {} audits with {} \
             wrong",
            date_of(at),
            percent(self.picture.goal.alpha()),
            self.revokes_at(),
            self.picture.audits,
            self.picture.wrong,
        ))
    }

    fn to_json(&self) -> Value {
        let risk = self.risk.map(|risk| {
            let (low, high) = risk.interval_95;
            json!({ "estimate": risk.share, "interval_95": [low, high] })
        });
        json!({
            "certificate": self.monitored.certificate,
            "since": moment(self.monitored.opened_at),
            "max_error": self.picture.goal.alpha(),
            "audits": self.picture.audits,
            "wrong": self.picture.wrong,
            "due": self.tally.due,
            "awaiting_person": self.tally.awaiting_person,
            "lapsed": self.tally.lapsed,
            "e_value": self.picture.e_value,
            "revokes_at": self.revokes_at(),
            "risk": risk,
            "wrong_as": self.picture.wrong_as.iter().map(wrong_as_json).collect::<Vec<_>>(),
            "missed": self.picture.missed.iter().map(missed_json).collect::<Vec<_>>(),
            "cost_usd": self.tally.cost.to_usd(),
            "revoked_at": self.monitored.revoked_at.map(moment),
            "why": self.why(),
        })
    }
}

fn wrong_as_json(of: &LabelPicture) -> Value {
    json!({
        "label": of.label,
        "max_wrong": of.goal.alpha(),
        "audits": of.seen,
        "wrong": of.wrong,
        "e_value": of.e_value,
        "revokes_at": 1.0 / of.goal.delta(),
    })
}

fn missed_json(missed: &LabelPicture) -> Value {
    json!({
        "label": missed.label,
        "max_missed": missed.goal.alpha(),
        "seen": missed.seen,
        "missed": missed.wrong,
        "e_value": missed.e_value,
        "revokes_at": 1.0 / missed.goal.delta(),
    })
}

impl Report {
    fn to_json(&self) -> Value {
        let certificate = self.standing.certificate().map(|certificate| {
            let tiers = certificate.tiers.iter().map(|tier| {
                let by_label = tier
                    .by_label
                    .iter()
                    .map(|of| json!({ "label": of.label, "threshold": of.proof.threshold }));
                let by_label: Vec<Value> = by_label.collect();
                let (tier, threshold) = (tier.tier.as_str(), tier.proof.threshold);
                json!({ "tier": tier, "threshold": threshold, "by_label": by_label })
            });
            json!({
                "id": certificate::id(certificate),
                "made": certificate.made.to_string(),
                "statement": certificate.statement(),
                "max_error": certificate.goal.alpha(),
                "confidence": certificate.confidence(),
                "records": certificate.records,
                "reference": match &certificate.reference {
                    Reference::Gold => "gold",
                    Reference::Tier(tier) => tier.as_str(),
                },
                "tiers": tiers.collect::<Vec<_>>(),
            })
        });
        json!({
            "task": self.task.as_str(),
            "early_tokens": match self.extent {
                Extent::Whole => None,
                Extent::First(tokens) => Some(tokens),
            },
            "standing": self.standing.word(),
            "in_words": self.standing.in_words(),
            "certificate": certificate,
            "watched": self.watched.as_ref().map(Watched::to_json),
            "earlier": self.earlier.iter().map(Watched::to_json).collect::<Vec<_>>(),
        })
    }
}

fn tell(reports: &[Report]) {
    let header = [
        "task",
        "standing",
        "audits",
        "wrong",
        "waiting",
        "wrong of all (95 %)",
        "allowed",
        "e-value",
        "revokes at",
        "cost",
    ];
    let mut table = figures(&header);
    for report in reports {
        let name = report.extent.name(&report.task);
        let mut row = vec![name, report.standing.word().to_owned()];
        match &report.watched {
            Some(watched) => row.extend(cells(watched)),
            None => row.extend(vec!["–".to_owned(); header.len() - 2]),
        }
        table.add_row(row);
    }
    say(table);
    for report in reports {
        say(format_args!(
            "{}: {}.",
            report.extent.name(&report.task),
            report.standing.in_words()
        ));
        match &report.watched {
            Some(watched) => {
                tell_labels(&watched.picture);
                if let Some(why) = watched.why() {
                    say(format_args!("  {why}"));
                }
            }
            None if report.standing.certificate().is_some() => {
                say("  nobody watches it; audit = { share = 0.02 } in the task's section does");
            }
            None => {}
        }
        for earlier in &report.earlier {
            let made = date_of(earlier.monitored.opened_at);
            let why = earlier.why();
            let why = why.unwrap_or_else(|| "it was not revoked".to_owned());
            say(format_args!("  an earlier one, watched from {made}: {why}"));
        }
    }
}

/// What is known of labels that have claims of their own.
fn tell_labels(picture: &Picture) {
    let figures = |of: &LabelPicture| {
        let (allowed, revokes_at) = (percent(of.goal.alpha()), 1.0 / of.goal.delta());
        let e_value = of.e_value;
        format!("allowed are {allowed}, the e-value is {e_value:.2} and revokes at {revokes_at:.0}")
    };
    for of in &picture.wrong_as {
        let (label, audits, wrong) = (&of.label, of.seen, of.wrong);
        let figures = figures(of);
        say(format_args!(
            "  kept as {label}: {audits} audits, {wrong} wrong; {figures}"
        ));
    }
    for of in &picture.missed {
        let (label, seen, missed) = (&of.label, of.seen, of.wrong);
        let figures = figures(of);
        say(format_args!(
            "  of {label}: {seen} seen, {missed} missed; {figures}"
        ));
    }
}

fn cells(watched: &Watched) -> Vec<String> {
    let tally = &watched.tally;
    let risk = watched.risk.map_or_else(
        || "–".to_owned(),
        |risk| {
            let (low, high) = risk.interval_95;
            let (low, high) = (low * 100.0, high * 100.0);
            format!("{} ({low:.1}–{high:.1})", percent(risk.share))
        },
    );
    vec![
        watched.picture.audits.to_string(),
        watched.picture.wrong.to_string(),
        (tally.due + tally.awaiting_person).to_string(),
        risk,
        percent(watched.picture.goal.alpha()),
        format!("{:.2}", watched.picture.e_value),
        format!("{:.0}", watched.revokes_at()),
        format!("${}", tally.cost.to_usd()),
    ]
}

/// RFC 3339, in UTC.
fn moment(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.to_string())
}
