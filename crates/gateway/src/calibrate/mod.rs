//! `tiergate calibrate`: proves from which confidence a task's answers may be kept.
//!
//! The tiers that could keep a document are asked about records that none of them learned from;
//! on their answers the certificate is computed, signed and written, and a report says what it is
//! worth. Whatever answers the task afterwards reads the certificate at its start.

mod claims;
mod curves;
mod draws;
mod expectation;
mod hearing;
mod ladder;
pub(crate) mod live;
mod measure;
mod page;
mod plot;
pub(crate) mod records;
mod report;
mod routed;
pub(crate) mod taught;
mod words;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use domain::{TaskName, TierKind, TierName};
use routing::certificate::Goal;
use routing::student::Student;

use self::expectation::Expectation;
use self::hearing::Hearing;
use self::measure::{Basis, Measured, measure};
use self::records::Sample;
use self::report::Report;
use crate::app::App;
use crate::certificate::{
    self, Certificate, Circumstances, Extent, Reference, certifiable, may_be_reference,
};
use crate::cli::CalibrateArgs;
use crate::config::{self, Config, TaskConfig};
use crate::learn::stored::replace;
use crate::terminal::say;

/// Certifies a task and says what could be proven.
///
/// # Errors
/// When the config is wrong, its task demands no certificate, the records can't be read or were
/// learned from, a tier can't be asked, or a file can't be written.
pub(crate) fn command(args: &CalibrateArgs) -> anyhow::Result<ExitCode> {
    // Only a reference that is a server may need a key.
    let config = match &args.reference {
        Some(_) if !args.from_audits => crate::load_config(&args.config)?,
        _ => config::load_without_secrets(&args.config.config)?,
    };
    if args.days.are_named() && !args.from_audits {
        bail!("--since and --until are days of the ledger; give --from-audits with them");
    }
    let name = config.task_named(&args.task)?;
    let goal = goal(&config, &name)?;
    let reference = reference(&config, &name, args.reference.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(calibrate(args, config, &name, (goal, reference)))?;
    if args.json {
        say(serde_json::to_string_pretty(&report)?);
    }
    for report in std::iter::once(&report).chain(report.early.as_deref()) {
        if !args.json {
            say(report);
        }
        if let Some(file) = &args.report {
            let file = match report.early_tokens {
                None => file.clone(),
                Some(_) => file.with_extension("early.html"),
            };
            replace(&file, page::render(report)?.as_bytes())?;
            if !args.json {
                say(format_args!("report: {}", file.display()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn calibrate(
    args: &CalibrateArgs,
    config: Config,
    name: &TaskName,
    (goal, reference): (Goal, Reference),
) -> anyhow::Result<Report> {
    // What is wrong with the records should be known before a large model is loaded.
    let task = &config.tasks[name];
    let read = records::read(args, &config, task, &reference)?;
    let mut tiers = certifiable(&config, task);
    if let (Reference::Tier(tier), false) = (&reference, args.from_audits) {
        tiers.push(tier.clone());
    }
    let app = App::start_to_certify(config, name, &tiers).await?;
    let task = &app.config.tasks[name];
    let sample = Sample::new(&app, task, read, &reference).await?;
    let ready = &app.tasks[name];
    if args.from_audits
        && reference == Reference::Gold
        && ready.rules.standing.certificate().is_none()
    {
        bail!(
            "audits by persons tell of the answers that were kept, and whoever gave them has \
             changed since: {}; give labelled --records",
            ready.rules.standing.in_words()
        );
    }
    let student = ready.student.as_ref();
    let folder = &app.config.certificates;
    // What live traffic was kept by ranks it still, and nothing else is known to be a fair sample.
    let standing = &ready.rules.standing;
    let fixed = args
        .from_audits
        .then(|| (standing.heads(), standing.routers()));
    let (sample, aside) = match (&fixed, &task.records) {
        (None, None) if has_local(&app, task) => sample.put_aside(),
        _ => (sample, None),
    };
    let mut hearing = Hearing::new(&app, (task, student));
    let mut report = async |extent| -> anyhow::Result<Report> {
        let what = (goal, extent);
        let basis = Basis {
            expected: match &aside {
                Some(aside) => Some(Expectation::of_others((&app, task, student), aside.clone())),
                None => Expectation::of_own(&app, task)?,
            },
            may_fit: fixed.is_none(),
            by: (task.task.kind, extent),
            heads: fixed.clone().unwrap_or_default().0,
            routers: fixed.clone().unwrap_or_default().1,
            wants_router: task.router && extent == Extent::Whole,
        };
        let on = (&sample, &mut hearing);
        let measured = measure(&app, task, on, goal, basis).await?;
        let proven = certified(
            &app,
            (&sample, student),
            &measured,
            (what, reference.clone()),
        )?;
        let public_key = certificate::write(folder, &proven)?;
        Ok(Report {
            certificate: certificate::path(folder, name, extent)
                .display()
                .to_string(),
            public_key,
            ..Report::new(&app, &proven, &sample, &measured)
        })
    };
    let whole = report(Extent::Whole).await?;
    let early = match task.early_tokens {
        Some(tokens) => Some(Box::new(report(Extent::First(tokens)).await?)),
        None => None,
    };
    app.close().await?;
    Ok(Report { early, ..whole })
}

/// Whether a local tier is certified, which can have a head and a router.
fn has_local(app: &App, task: &TaskConfig) -> bool {
    let is_local = |tier: TierName| app.tiers[&tier].kind() == TierKind::Local;
    certifiable(&app.config, task).into_iter().any(is_local)
}

/// What the task's target wants proven.
fn goal(config: &Config, name: &TaskName) -> anyhow::Result<Goal> {
    let target = config.tasks[name].target;
    let Some((max_error, confidence)) = target.and_then(|t| Some((t.max_error, t.confidence?)))
    else {
        let max_error = target.map_or(0.02, |target| target.max_error);
        bail!(
            "tasks.{name}.target: no confidence to certify with; write target = {{ max_error = \
             {max_error}, confidence = 0.95 }}"
        );
    };
    // 1 - 0.95 is not 0.05 to the last bit, and should be shown as such.
    const DIGITS: f64 = 1e12;
    let delta = ((1.0 - confidence) * DIGITS).round() / DIGITS;
    Goal::new(max_error, delta).with_context(|| format!("tasks.{name}.target"))
}

fn reference(config: &Config, name: &TaskName, tier: Option<&str>) -> anyhow::Result<Reference> {
    let Some(tier) = tier else {
        return Ok(Reference::Gold);
    };
    let task = &config.tasks[name];
    let certified = certifiable(config, task);
    let may = |tier: &&TierName| {
        !certified.contains(tier) && may_be_reference(config.tiers[*tier].kind())
    };
    let may_be: Vec<&TierName> = task.task.tiers.iter().filter(may).collect();
    if let Some(tier) = may_be.iter().find(|may| may.as_str() == tier) {
        return Ok(Reference::Tier((*tier).clone()));
    }
    let names: Vec<&str> = may_be.iter().map(|tier| tier.as_str()).collect();
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    bail!(
        "--reference {tier}: it is no tier that stands behind those to be certified; of the \
         tiers of {name} these can be: {names}"
    );
}

fn certified(
    app: &App,
    (sample, student): (&Sample, Option<&Student>),
    measured: &Measured,
    ((goal, extent), reference): ((Goal, Extent), Reference),
) -> anyhow::Result<Certificate> {
    let task = &app.config.tasks[&sample.task];
    let circumstances = Circumstances {
        config: &app.config,
        student,
        tiers: Some(&app.tiers),
    };
    Ok(Certificate {
        task: sample.task.clone(),
        extent,
        made: now_to_the_second(),
        goal,
        risk: measure::risk(task),
        max_missed: by_name(&task.max_missed, sample),
        max_wrong: by_name(&task.max_wrong, sample),
        records: sample.records.len(),
        known: sample.known,
        records_sha256: sample.digest(),
        tiers: measured
            .tiers
            .iter()
            .map(measure::MeasuredTier::proof)
            .collect(),
        provenance: certificate::now(task, &circumstances, (&reference, extent))?,
        reference,
    })
}

/// Shares by the labels' names and in their order.
fn by_name(shares: &[(usize, f64)], sample: &Sample) -> Vec<(String, f64)> {
    let named = shares.iter();
    let named = named.map(|&(label, share)| (sample.labels.name(label).to_owned(), share));
    named.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Fractions of a second say nothing to the reader of a certificate.
fn now_to_the_second() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}
