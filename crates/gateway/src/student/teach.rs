//! Lessons in the background of a server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::TaskName;
use ledger::Reader;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::lesson::{self, Given};
use crate::app::{App, ledger_file};
use crate::certificate::Reference;

/// How often it is looked whether enough has become known for a lesson.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Gives lessons where the config says so, until told to stop.
///
/// # Cancel safety
/// When dropped midway the present student stays, or the new one is in use with its certificate.
pub(crate) async fn serve(app: &Arc<App>, stop: &CancellationToken) {
    let tasks = app.config.tasks.values();
    let learning = tasks.filter_map(|task| Some((task.task.name.clone(), task.learn_every?)));
    let mut learning: Vec<(TaskName, u64)> = learning.collect();
    while !stop.is_cancelled() && !learning.is_empty() {
        let mut refused = None;
        for (name, every) in &learning {
            if let Err(error) = look(app, name, *every).await {
                tracing::error!(task.id = %name, error = format!("{error:#}"), "no lesson can be given any more");
                refused = Some(name.clone());
            }
        }
        // What is wrong stays so until a person has looked.
        learning.retain(|(name, _)| Some(name) != refused.as_ref());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn look(app: &Arc<App>, name: &TaskName, every: u64) -> anyhow::Result<()> {
    let task = app
        .task(name)
        .with_context(|| format!("task {name} isn't ready"))?;
    let certificate = task.standing.certificate();
    let Some(Reference::Tier(reference)) = certificate.map(|it| &it.reference) else {
        return Ok(());
    };
    let reader = Reader::open(&ledger_file(&app.config))?;
    let known = reader.labels_known(name, reference)?;
    let last = reader
        .lessons(name)?
        .last()
        .map_or(0, |lesson| lesson.labels);
    // Fewer are known when some were deleted since.
    if known < last.min(known) + every {
        return Ok(());
    }
    // It computes for seconds or minutes, beside the requests.
    let (app, name) = (Arc::clone(app), name.clone());
    let giving = move || Handle::current().block_on(lesson::give(&app, &name));
    if let Given::Not(why) = tokio::task::spawn_blocking(giving).await?? {
        tracing::debug!(why, "no lesson was given");
    }
    Ok(())
}
