//! What `tiergate run` does with its arguments.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use domain::{TaskKind, TaskName};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::input::{Fields, Input};
use super::run::{Batch, run};
use super::summary::Summary;
use crate::app::App;
use crate::audit::work::Auditor;
use crate::cli::RunArgs;
use crate::config::{Config, TaskConfig};
use crate::simulation::{Known, Simulation};
use crate::terminal::{complain, say};

/// Documents failed that the same command would try again (`EX_TEMPFAIL` of sysexits.h).
const EXIT_RETRY: u8 = 75;
/// Documents failed for good (`EX_DATAERR`).
const EXIT_DATA: u8 = 65;
/// The run was interrupted (128 and the number of the signal, as shells say it).
const EXIT_INTERRUPTED: u8 = 130;

/// Runs a task over an input and says what came of it.
///
/// # Errors
/// When the config is wrong, the task or the input isn't there, or the run can't go on.
pub(crate) fn command(args: &RunArgs) -> anyhow::Result<ExitCode> {
    // A simulated frontier needs no key.
    let mut config = match args.simulate_frontier {
        Some(_) => crate::config::load_without_secrets(&args.config.config)?,
        None => crate::load_config(&args.config)?,
    };
    let name = config.task_named(&args.task)?;
    let task = &config.tasks[&name];
    if task.task.kind == TaskKind::Embed {
        bail!("tasks.{name}: a task of kind embed makes vectors; ask for them at /v1/embeddings");
    }
    let input = Input::open(&args.inputs, fields(task, args), args.rows.0.clone())?;
    let mut fingerprint = task.fingerprint(&config);
    if let Some(wrong_rate) = args.simulate_frontier {
        // Simulated money is kept apart from real money, and so are its answers.
        config.keep_simulated_apart();
        fingerprint = simulated(&fingerprint, wrong_rate);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let summary = runtime.block_on(async {
        let stop = stop_on_signal()?;
        let simulation = simulate(&config, &name, args, &input).await?;
        let app = App::start(config, std::slice::from_ref(&name), simulation.as_ref()).await?;
        let app = Arc::new(app);
        let task = Arc::clone(&app.tasks[&name]);
        let batch = Batch {
            fingerprint: task.rules.standing.fingerprint(fingerprint),
            task,
            input,
            output: args.output.clone(),
            concurrency: usize::from(args.concurrency),
            again: args.again,
            title: name.to_string(),
        };
        if !args.json {
            complain(format_args!("{name}: {}", batch.task.rules.in_words()));
        }
        let summary = run_and_audit(&app, batch, &stop).await;
        app.close().await?;
        if let Some(simulation) = simulation {
            simulation.shutdown().await;
        }
        summary
    })?;
    tell(&summary, args)?;
    Ok(exit_code(&summary))
}

/// Runs, with audits beside it; those that are left are done at the end, unless it is stopped.
async fn run_and_audit(
    app: &Arc<App>,
    batch: Batch,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let auditor = Auditor::new(app);
    let done = CancellationToken::new();
    let documents = async {
        let summary = run(app, batch, stop).await;
        done.cancel();
        summary
    };
    let (summary, ()) = tokio::join!(documents, auditor.serve(&done));
    let summary = summary?;
    auditor.work_off(stop).await?;
    Ok(summary)
}

/// The config's fields, unless the command line names others.
fn fields(task: &TaskConfig, args: &RunArgs) -> Fields {
    let Fields { text, id, gold } = Fields::of(task);
    Fields {
        text: args.text_field.clone().unwrap_or(text),
        id: args.id_field.clone().unwrap_or(id),
        gold: args.gold_field.clone().unwrap_or(gold),
    }
}

fn simulated(fingerprint: &[u8; 32], wrong_rate: f64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(fingerprint);
    hash.update(wrong_rate.to_le_bytes());
    hash.finalize().into()
}

async fn simulate(
    config: &Config,
    name: &TaskName,
    args: &RunArgs,
    input: &Input,
) -> anyhow::Result<Option<Simulation>> {
    let Some(wrong_rate) = args.simulate_frontier else {
        return Ok(None);
    };
    let Some(labels) = config.tasks[name].task.labels.clone() else {
        bail!("task {name} has no labels, so its answers can't be simulated");
    };
    let mut answers = Vec::new();
    input.for_each(|row| {
        if let (Ok(text), Some(gold)) = (row.text, row.gold) {
            answers.push((text, gold));
        }
        true
    })?;
    if answers.is_empty() {
        bail!(
            "no row gives its right answer, from which a frontier is simulated; name its field with --gold-field"
        );
    }
    let known = [Known { labels, answers }];
    let tasks = std::slice::from_ref(name);
    let simulation = Simulation::start(config, tasks, &known, wrong_rate, &config.data_dir).await?;
    Ok(Some(simulation))
}

/// A token that is set at the first interrupt; at the second the program ends at once, which
/// loses nothing: the next call goes on from the ledger.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut stopping = crate::signal::Stopping::listen().context("signals can't be received")?;
    let token = stop.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the process, which it serves to end"
    )]
    tokio::spawn(async move {
        stopping.recv().await;
        token.cancel();
        complain("stopping; documents in work are finished, a second interrupt ends at once");
        stopping.recv().await;
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    });
    Ok(stop)
}

fn tell(summary: &Summary, args: &RunArgs) -> anyhow::Result<()> {
    if args.json {
        say(serde_json::to_string_pretty(summary)?);
    } else {
        say(summary);
    }
    if summary.retryable > 0 {
        complain(format_args!(
            "{} documents failed that may do better later; the same command tries them again",
            summary.retryable
        ));
    }
    Ok(())
}

fn exit_code(summary: &Summary) -> ExitCode {
    match summary {
        Summary { output: None, .. } => ExitCode::from(EXIT_INTERRUPTED),
        Summary { retryable: 1.., .. } => ExitCode::from(EXIT_RETRY),
        Summary { failed: 1.., .. } => ExitCode::from(EXIT_DATA),
        _ => ExitCode::SUCCESS,
    }
}
