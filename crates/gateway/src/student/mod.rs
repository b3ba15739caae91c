//! `tiergate student …`: a task's students, what they were taught, and which one is in use.

pub(crate) mod lesson;
pub(crate) mod shelf;
pub(crate) mod teach;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::TaskName;
use ledger::Reader;
use serde_json::{Value, json};

use self::lesson::Given;
use self::shelf::Shelf;
use crate::app::{App, ledger_file};
use crate::certificate::certifiable;
use crate::cli::ConfigArgs;
use crate::clock::date_of;
use crate::config::{self, Config};
use crate::learn;
use crate::terminal::{figures, percent, say};

/// The commands about students.
#[derive(Debug, Subcommand)]
pub(crate) enum StudentCommand {
    /// Show a task's students, and the lessons that were given.
    List(ListArgs),
    /// Take another of its students into use, with its certificate.
    Use(UseArgs),
    /// Give its student a lesson now, as `serve` does in the background where the config says so.
    Teach(TaskArgs),
}

/// A task.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    /// The task, as the config names it.
    task: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// `tiergate student list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    of: TaskArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `tiergate student use`.
#[derive(Debug, clap::Args)]
pub(crate) struct UseArgs {
    #[command(flatten)]
    of: TaskArgs,
    /// Its number in the list; 0 is the one that learned from the task's own records alone.
    number: u32,
}

/// Does what the command says.
///
/// # Errors
/// When the config is wrong, the task has no student, or a file can't be read or written.
pub(crate) fn run(command: &StudentCommand) -> anyhow::Result<ExitCode> {
    match command {
        StudentCommand::List(args) => list(args)?,
        StudentCommand::Use(args) => take(args)?,
        StudentCommand::Teach(args) => teach_now(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &TaskArgs) -> anyhow::Result<(Config, TaskName)> {
    let config = config::load_without_secrets(&args.config.config)?;
    let name = config.task_named(&args.task)?;
    Ok((config, name))
}

fn shelf(config: &Config, name: &TaskName) -> anyhow::Result<(Shelf, [u8; 32])> {
    let own = learn::own(config, &config.tasks[name])?;
    let (_, key) = own.with_context(|| format!("task {name} has no records to learn from"))?;
    Ok((Shelf::of(config, name), key))
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let (config, name) = load(&args.of)?;
    let (shelf, key) = shelf(&config, &name)?;
    let file = ledger_file(&config);
    let lessons = match file.exists() {
        true => Reader::open(&file)?.lessons(&name)?,
        false => Vec::new(),
    };
    let (all, in_use) = (shelf.all(), shelf.in_use(key));
    if args.json {
        let students = all.iter().map(|(number, taught)| {
            json!({
                "number": number, "made": taught.made, "in_use": *number == in_use,
                "taught_by_persons": taught.gold, "taught_by_reference": taught.reference,
            })
        });
        let lessons = lessons.iter().map(|lesson| {
            json!({
                "at_ms": lesson.at.unix_ms(), "labels": lesson.labels, "taught": lesson.taught,
                "proof": lesson.proof, "share_before": lesson.share_before,
                "share_after": lesson.share_after, "seconds": lesson.seconds,
                "student": lesson.student, "certificate": lesson.certificate,
            })
        });
        let (students, lessons): (Vec<Value>, Vec<Value>) = (students.collect(), lessons.collect());
        let list = json!({ "task": name.as_str(), "in_use": in_use, "students": students, "lessons": lessons });
        say(format_args!("{list:#}"));
        return Ok(());
    }
    let header = [
        "lesson (UTC)",
        "known",
        "taught",
        "proof",
        "kept before",
        "kept after",
        "seconds",
        "student",
    ];
    let mut table = figures(&header);
    for lesson in &lessons {
        table.add_row([
            date_of(lesson.at).to_string(),
            lesson.labels.to_string(),
            lesson.taught.to_string(),
            lesson.proof.to_string(),
            percent(lesson.share_before),
            percent(lesson.share_after),
            format!("{:.1}", lesson.seconds),
            lesson
                .student
                .clone()
                .unwrap_or_else(|| "as before".to_owned()),
        ]);
    }
    say(table);
    say(format_args!(
        "{name}: student {in_use} is in use, of {} that were taught; 0 learned from the records alone",
        all.len()
    ));
    Ok(())
}

fn take(args: &UseArgs) -> anyhow::Result<()> {
    let (config, name) = load(&args.of)?;
    let (shelf, key) = shelf(&config, &name)?;
    if shelf.in_use(key) == args.number {
        bail!("student {} of {name} is in use already", args.number);
    }
    shelf.take(key, args.number)?;
    say(format_args!(
        "student {} of {name} is in use, with its certificate, from the program's next start",
        args.number
    ));
    Ok(())
}

fn teach_now(args: &TaskArgs) -> anyhow::Result<()> {
    let (config, name) = load(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let given = runtime.block_on(async {
        let tiers = certifiable(&config, &config.tasks[&name]);
        let app = App::start_to_certify(config, &name, &tiers).await?;
        let given = lesson::give(&app, &name).await;
        app.close().await?;
        given
    })?;
    let lesson = match given {
        Given::Lesson(lesson) => lesson,
        Given::Not(why) => bail!("no lesson was given: {why}"),
    };
    say(format_args!(
        "{name}: {} right answers are known; {} taught a new student, {} others certify it",
        lesson.labels, lesson.taught, lesson.proof
    ));
    let (before, after) = (percent(lesson.share_before), percent(lesson.share_after));
    match &lesson.student {
        Some(number) => say(format_args!(
            "student {number} keeps {after} of them, the one before {before}: it is in use from \
             the program's next start"
        )),
        None => say(format_args!(
            "the new student would keep {after} of them, the present one keeps {before} and stays"
        )),
    }
    Ok(())
}
