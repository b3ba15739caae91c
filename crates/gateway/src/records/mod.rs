//! `tiergate records …`: what a task was asked and what the tiers made of it, where it keeps that.
//!
//! A task keeps nothing unless its config says so. What is kept lies in the ledger, beside the
//! decision and in the same transaction, until its days are over or somebody has it forgotten.

pub(crate) mod content;
mod export;
mod forget;
mod label;
mod list;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use domain::TaskName;
use ledger::{Ledger, Reader};

use crate::app::ledger_file;
use crate::cli::{ConfigArgs, Days};
use crate::config::{self, Config};

/// The commands about records.
#[derive(Debug, Subcommand)]
pub(crate) enum RecordsCommand {
    /// Write a task's records to a file that `eval` and `calibrate` read.
    Export(export::ExportArgs),
    /// Show which records a task keeps, without their texts.
    List(list::ListArgs),
    /// Give right answers: from a file, or one by one for what waits for a person.
    Label(label::LabelArgs),
    /// Delete records for good.
    Forget(forget::ForgetArgs),
}

/// Does what the command says.
///
/// # Errors
/// When the config is wrong, the ledger can't be read or written, or what is asked can't be done;
/// the message says what.
pub(crate) fn run(command: &RecordsCommand) -> anyhow::Result<ExitCode> {
    match command {
        RecordsCommand::Export(args) => export::run(args).map(|()| ExitCode::SUCCESS),
        RecordsCommand::List(args) => list::run(args).map(|()| ExitCode::SUCCESS),
        RecordsCommand::Label(args) => label::run(args),
        RecordsCommand::Forget(args) => forget::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// A task's records of some days.
#[derive(Debug, Args)]
struct TaskArgs {
    /// The task, as the config names it.
    task: String,
    #[command(flatten)]
    days: Days,
    #[command(flatten)]
    config: ConfigArgs,
}

impl TaskArgs {
    /// The config, which needs no secrets for this, and the task's name in it.
    fn load(&self) -> anyhow::Result<(Config, TaskName)> {
        let config = config::load_without_secrets(&self.config.config)?;
        let name = config.task_named(&self.task)?;
        Ok((config, name))
    }
}

fn check_there(config: &Config) -> anyhow::Result<()> {
    let file = ledger_file(config);
    if !file.exists() {
        bail!(
            "there is no ledger at {} yet; `tiergate run` and `tiergate serve` write one",
            file.display()
        );
    }
    Ok(())
}

fn reader(config: &Config) -> anyhow::Result<Reader> {
    check_there(config)?;
    Ok(Reader::open(&ledger_file(config))?)
}

/// Does something with the ledger open for writing, beside whatever else has it open.
fn writing<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Ledger) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    check_there(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let ledger = Ledger::open(&ledger_file(config))?;
    runtime.block_on(async {
        let done = work(&ledger).await;
        ledger.close().await?;
        done
    })
}

/// That there are no such records, and what would change that.
fn none(config: &Config, task: &TaskName) -> String {
    match config.tasks[task].keep_days {
        Some(days) => format!("no such records of task {task}; each is kept for {days} days"),
        None => format!(
            "no such records of task {task}, and it keeps none; add records = {{ keep = true, \
             days = 30 }} to the section tasks.{task} of {}",
            config.file.display()
        ),
    }
}
