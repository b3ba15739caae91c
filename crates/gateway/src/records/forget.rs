//! Deleting records.

use anyhow::bail;
use domain::TaskName;
use ledger::{Forgetting, RequestId, Timestamp};

use super::writing;
use crate::cli::ConfigArgs;
use crate::clock;
use crate::config;
use crate::terminal::{count, say};

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

/// `tiergate records forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForgetArgs {
    /// The task, as the config names it.
    task: String,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The records of these requests.
    #[arg(long, value_name = "ID", num_args = 1..)]
    id: Vec<String>,
    /// What was asked more than so many days ago.
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u16>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &ForgetArgs) -> anyhow::Result<()> {
    let config = config::load_without_secrets(&args.config.config)?;
    let task = config.task_named(&args.task)?;
    let what = forgetting(&args.what, &task);
    let deleted = writing(&config, async |ledger| Ok(ledger.forget(what).await?))?;
    if deleted < args.what.id.len() as u64 {
        bail!(
            "{deleted} of these {} records were there and are deleted; the others are no records \
             of task {task}, or were deleted before",
            args.what.id.len()
        );
    }
    let deleted = usize::try_from(deleted).unwrap_or(usize::MAX);
    say(format_args!(
        "{} records of {task} are deleted",
        count(deleted)
    ));
    Ok(())
}

fn forgetting(what: &What, task: &TaskName) -> Forgetting {
    let now = clock::now().unix_ms();
    match what.older_than {
        _ if !what.id.is_empty() => {
            let ids = what.id.iter().cloned().map(RequestId).collect();
            Forgetting::Requests(task.clone(), ids)
        }
        Some(days) => {
            let before = now - i64::from(days) * MS_PER_DAY;
            Forgetting::Before(task.clone(), Timestamp::from_unix_ms(before))
        }
        // What is answered at this very moment is not meant.
        None => Forgetting::Before(task.clone(), Timestamp::from_unix_ms(now + 1)),
    }
}
