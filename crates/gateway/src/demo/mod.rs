//! `tiergate demo`: the way from documents to answers, cost and proof, without a key or a network.
//!
//! The demo is an ordinary use of the program. It writes a config with documents and labelled
//! records into a folder, runs both tasks of the config over the documents as `tiergate run`
//! would, and then the same documents with the local model alone and with the frontier alone.

mod measure;
mod plot;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use domain::{TaskName, TierKind, TierName};
use tokio_util::sync::CancellationToken;

use self::measure::{Way, Work};
use self::report::Report;
use crate::app::App;
use crate::batch::input::{Fields, Input};
use crate::batch::{Batch, run};
use crate::cli::{DemoArgs, DemoFrontier};
use crate::config::{self, Config};
use crate::learn::stored::replace;
use crate::ready::ReadyTask;
use crate::simulation::{Known, Simulation};
use crate::terminal::{complain, say};

const CONFIG: &str = include_str!("../../demo/tiergate.toml");
const DOCUMENTS: &[u8] = include_bytes!("../../demo/documents.jsonl.gz");
const LABELLED: &[u8] = include_bytes!("../../demo/labelled.jsonl.gz");

/// What the demo writes into its folder, and replaces there.
const FILES: [&str; 5] = [
    "tiergate.toml",
    "documents.jsonl.gz",
    "labelled.jsonl.gz",
    "answers.jsonl",
    "plot.svg",
];
/// The folder of ledgers, students and bills inside of it.
const DATA: &str = "data";
/// How many of a document's answers the simulated frontier gets wrong.
const WRONG_RATE: f64 = 0.03;
/// Requests in work at once.
const CONCURRENCY: usize = 64;

/// Runs the demo and shows what came of it.
///
/// # Errors
/// When the folder can't be written, a key is missing, or a run can't go on.
pub(crate) fn command(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let folder = prepare(&args.output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut report = runtime.block_on(demonstrate(args, &folder))?;
    let plot = folder.join("plot.svg");
    plot::write(&plot, &report.cost_quality())?;
    report.seconds = start.elapsed().as_secs_f64();
    say(&report);
    say(format_args!(
        "\nanswers  {}\nplot     {}\nledger   tiergate ledger --config {}{}",
        folder.join("answers.jsonl").display(),
        plot.display(),
        folder.join("tiergate.toml").display(),
        if args.frontier == DemoFrontier::Simulated {
            " --simulated"
        } else {
            ""
        },
    ));
    Ok(ExitCode::SUCCESS)
}

/// The folder with the demo's own files, and without what an earlier demo left.
fn prepare(folder: &Path) -> anyhow::Result<PathBuf> {
    let fault = || {
        format!(
            "the folder {} can't be prepared for the demo",
            folder.display()
        )
    };
    if folder.exists() {
        let ours = std::fs::read_to_string(folder.join("tiergate.toml")).is_ok_and(|c| c == CONFIG);
        let empty = || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if !ours && !empty() {
            bail!(
                "{} is there already and is no folder of the demo; name another with --output",
                folder.display()
            );
        }
    }
    std::fs::create_dir_all(folder).with_context(fault)?;
    for name in FILES {
        remove(std::fs::remove_file(folder.join(name))).with_context(fault)?;
    }
    remove(std::fs::remove_dir_all(folder.join(DATA))).with_context(fault)?;
    replace(&folder.join("tiergate.toml"), CONFIG.as_bytes())?;
    replace(&folder.join("documents.jsonl.gz"), DOCUMENTS)?;
    replace(&folder.join("labelled.jsonl.gz"), LABELLED)?;
    Ok(folder.to_owned())
}

fn remove(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn demonstrate(args: &DemoArgs, folder: &Path) -> anyhow::Result<Report> {
    let simulated = args.frontier == DemoFrontier::Simulated;
    let documents_max = if simulated {
        u64::MAX
    } else {
        args.documents_max
    };
    let config = load(folder, simulated)?;
    let tasks: Vec<TaskName> = config.tasks.keys().cloned().collect();
    let simulation = if simulated {
        let known = known(&config, folder)?;
        let data = &config.data_dir;
        Some(Simulation::start(&config, &tasks, &known, WRONG_RATE, data).await?)
    } else {
        announce(&config, documents_max);
        None
    };
    let desk = Desk {
        folder,
        documents_max,
        tasks: &tasks,
        simulation: simulation.as_ref(),
    };
    let app = desk.start(config).await?;
    let cascade = desk
        .way(&app, "cascade", |task| Arc::clone(&app.tasks[task]))
        .await?;
    join_answers(folder, &cascade)?;
    // What the baselines cost is no part of what the cascade cost.
    let mut beside = load(folder, simulated)?;
    beside.data_dir.push("baselines");
    let beside = desk.start_beside(beside).await?;
    let local = desk.alone(&beside, "all local", TierKind::Local).await?;
    let frontier = desk
        .alone(&beside, "all frontier", TierKind::Frontier)
        .await?;
    let report = Report::new(
        &app,
        [cascade, local, frontier],
        simulated.then_some(WRONG_RATE),
    )?;
    app.close().await?;
    beside.close().await?;
    if let Some(simulation) = simulation {
        simulation.shutdown().await;
    }
    Ok(report)
}

/// The demo's config; simulated money and answers have a data folder of their own, the same one
/// in which `tiergate run --simulate-frontier` keeps them.
fn load(folder: &Path, simulated: bool) -> anyhow::Result<Config> {
    let file = folder.join("tiergate.toml");
    if !simulated {
        return Ok(config::load(&file)?);
    }
    let mut config = config::load_without_secrets(&file)?;
    config.keep_simulated_apart();
    Ok(config)
}

fn announce(config: &Config, documents_max: u64) {
    let frontiers = config
        .tiers
        .values()
        .filter(|tier| tier.kind() == TierKind::Frontier);
    for settings in frontiers.filter_map(config::Tier::remote) {
        complain(format_args!(
            "the frontier is {} at {}: {documents_max} documents, at most {} paid requests",
            settings.model,
            settings.url,
            // Twice: escalated by the cascade, and once more for the comparison.
            documents_max * 2 * config.tasks.len() as u64,
        ));
    }
}

/// The right answers to every task, from which the frontier is simulated.
fn known(config: &Config, folder: &Path) -> anyhow::Result<Vec<Known>> {
    let mut all = Vec::new();
    for task in config.tasks.values() {
        let Some(labels) = task.task.labels.clone() else {
            continue;
        };
        let mut answers = Vec::new();
        documents(config, &task.task.name, folder, u64::MAX)?.for_each(|row| {
            answers.extend(row.text.ok().zip(row.gold));
            true
        })?;
        all.push(Known { labels, answers });
    }
    Ok(all)
}

fn documents(config: &Config, task: &TaskName, folder: &Path, max: u64) -> anyhow::Result<Input> {
    let task = &config.tasks[task];
    let fields = Fields::of(task);
    Ok(Input::open(
        &[folder.join("documents.jsonl.gz")],
        fields,
        0..max,
    )?)
}

/// The answers of both tasks in one file.
fn join_answers(folder: &Path, cascade: &Way) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for work in &cascade.works {
        all.extend(std::fs::read(&work.output)?);
        std::fs::remove_file(&work.output)?;
    }
    replace(&folder.join("answers.jsonl"), &all)
}

/// What every run of the demo shares.
struct Desk<'a> {
    folder: &'a Path,
    documents_max: u64,
    tasks: &'a [TaskName],
    simulation: Option<&'a Simulation>,
}

impl Desk<'_> {
    async fn start(&self, config: Config) -> anyhow::Result<Arc<App>> {
        Ok(Arc::new(
            App::start(config, self.tasks, self.simulation).await?,
        ))
    }

    /// An application for tiers on their own, which need nothing learned.
    async fn start_beside(&self, mut config: Config) -> anyhow::Result<Arc<App>> {
        for task in config.tasks.values_mut() {
            task.target = None;
            let tiers = &config.tiers;
            task.task
                .tiers
                .retain(|tier| tiers[tier].kind() != TierKind::Student);
        }
        self.start(config).await
    }

    /// All documents put to the first tier of this kind of each task.
    async fn alone(&self, app: &Arc<App>, name: &str, kind: TierKind) -> anyhow::Result<Way> {
        let tier_of = |task: &TaskName| {
            let tiers = &app.config.tasks[task].task.tiers;
            tiers
                .iter()
                .find(|tier| app.tiers[*tier].kind() == kind)
                .cloned()
        };
        let tiers: Option<Vec<TierName>> = self.tasks.iter().map(tier_of).collect();
        let tiers = tiers.with_context(|| format!("{name}: a task has no such tier"))?;
        let ready = |task: &TaskName| {
            let index = self
                .tasks
                .iter()
                .position(|other| other == task)
                .unwrap_or_default();
            Arc::new(ReadyTask::alone(
                &app.config.tasks[task],
                &tiers[index],
                kind,
            ))
        };
        self.way(app, name, ready).await
    }

    /// Every task over all documents.
    async fn way(
        &self,
        app: &Arc<App>,
        name: &str,
        ready: impl Fn(&TaskName) -> Arc<ReadyTask>,
    ) -> anyhow::Result<Way> {
        let mut works = Vec::new();
        for task in self.tasks {
            let output = app.config.data_dir.join(format!("{task}-{name}.jsonl"));
            let batch = Batch {
                task: ready(task),
                fingerprint: app.config.tasks[task].fingerprint(&app.config),
                input: documents(&app.config, task, self.folder, self.documents_max)?,
                output: output.clone(),
                concurrency: CONCURRENCY,
                again: false,
                title: format!("{task}, {name}"),
            };
            let summary = run(app, batch, &CancellationToken::new()).await?;
            works.push(Work::read(task, output, summary)?);
        }
        Ok(Way {
            name: name.to_owned(),
            works,
        })
    }
}
