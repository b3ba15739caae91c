//! `tiergate sufficiency`: are a task's tiers inside enough, and what does it save?
//!
//! The same labelled records are answered in three ways: inside alone, by the cascade, and by the
//! frontier alone. What each gets right is compared record by record, and what each costs is set
//! beside it, the machine's own time included. Reports are kept, so that the next one can say how
//! far the frontier's lead has moved.

mod findings;
mod history;
mod measure;
mod page;
mod words;

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use domain::{TaskName, TierKind, TierName};
use routing::random::Random;

use self::findings::Report;
use self::measure::measure;
use crate::app::App;
use crate::calibrate::records::{labels, refuse_learned};
use crate::cli::SufficiencyArgs;
use crate::config::{self, Config, TaskConfig};
use crate::learn::stored::replace;
use crate::learn::{self, Labelled};
use crate::simulation::{Known, Simulation};
use crate::terminal::say;

/// Chooses the records that are compared.
const SAMPLE_SEED: u64 = 1;
/// With fewer records no comparison would say anything.
const RECORDS_MIN: usize = 30;

/// The tiers that are compared.
struct Sides {
    /// Student and engines, in the order in which they are asked.
    inside: Vec<TierName>,
    frontier: TierName,
}

/// Compares a task's tiers inside with its frontier and says what came of it.
///
/// # Errors
/// When the config is wrong, the task has no two sides to compare, the records can't be read or
/// were learned from, a tier can't be asked, or a file can't be written.
pub(crate) fn command(args: &SufficiencyArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        (0.0..1.0).contains(&args.margin),
        "--margin: {} is outside 0 to 1, for example 0.01",
        args.margin
    );
    // A simulated frontier needs no key.
    let mut config = match args.simulate_frontier {
        Some(_) => config::load_without_secrets(&args.config.config)?,
        None => crate::load_config(&args.config)?,
    };
    if args.simulate_frontier.is_some() {
        config.keep_simulated_apart();
    }
    let name = config.task_named(&args.task)?;
    let sides = Sides::of(&config, &config.tasks[&name])?;
    let records = records(args, &config, &config.tasks[&name])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(compare(args, config, &name, (&sides, &records)))?;
    if let Some(file) = &args.report {
        replace(file, page::render(&report)?.as_bytes())?;
    }
    if args.json {
        say(serde_json::to_string_pretty(&report)?);
    } else {
        say(&report);
        if let Some(file) = &args.report {
            say(format_args!("report: {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn compare(
    args: &SufficiencyArgs,
    config: Config,
    name: &TaskName,
    (sides, records): (&Sides, &[Labelled]),
) -> anyhow::Result<Report> {
    let tasks = std::slice::from_ref(name);
    let simulation = match args.simulate_frontier {
        Some(wrong_rate) => {
            let known = [known(&config.tasks[name], records)?];
            let folder = &config.data_dir;
            Some(Simulation::start(&config, tasks, &known, wrong_rate, folder).await?)
        }
        None => None,
    };
    let app = App::start(config, tasks, simulation.as_ref()).await?;
    let measured = measure(&app, &app.config.tasks[name], sides, records).await?;
    let folder = history::folder(&app.config, name);
    let before = history::last(&folder)?;
    let report = Report::new(args, (&app, name, sides), (records, &measured), before);
    history::keep(&folder, &report)?;
    app.close().await?;
    if let Some(simulation) = simulation {
        simulation.shutdown().await;
    }
    Ok(report)
}

impl Sides {
    fn of(config: &Config, task: &TaskConfig) -> anyhow::Result<Self> {
        let name = &task.task.name;
        labels(task)?;
        let of_kind = |wanted: &'static [TierKind]| {
            let is = |tier: &&TierName| wanted.contains(&config.tiers[*tier].kind());
            task.task.tiers.iter().filter(is).cloned()
        };
        // A pool brings no evidence yet, so nothing of it is kept before a frontier.
        let inside: Vec<_> = of_kind(&[TierKind::Student, TierKind::Local]).collect();
        let frontier = of_kind(&[TierKind::Frontier]).next();
        match (inside.is_empty(), frontier) {
            (false, Some(frontier)) => Ok(Self { inside, frontier }),
            (true, _) => bail!(
                "tasks.{name}.tiers: none is a student or local, so there is nothing to compare"
            ),
            (_, None) => bail!(
                "tasks.{name}.tiers: none is a frontier to compare with; add one, if only for this"
            ),
        }
    }
}

/// The records to compare on: a part by chance, where there are more than wanted.
fn records(
    args: &SufficiencyArgs,
    config: &Config,
    task: &TaskConfig,
) -> anyhow::Result<Vec<Labelled>> {
    let fields = (args.text_field.as_ref(), args.gold_field.as_ref());
    let source = learn::source_beside(task, (&args.records, &args.rows), fields);
    let mut records = learn::read(&source, labels(task)?).context("--records")?;
    refuse_learned(config, task, records.iter().map(|it| it.text.as_str()))?;
    Random::new(SAMPLE_SEED).shuffle(&mut records);
    records.truncate(args.sample);
    ensure!(
        records.len() >= RECORDS_MIN,
        "{} record(s) are too few to compare on; give {RECORDS_MIN} or more",
        records.len()
    );
    Ok(records)
}

fn known(task: &TaskConfig, records: &[Labelled]) -> anyhow::Result<Known> {
    let labels = labels(task)?.clone();
    let answer = |record: &Labelled| (record.text.clone(), labels.name(record.label).to_owned());
    Ok(Known {
        answers: records.iter().map(answer).collect(),
        labels,
    })
}
