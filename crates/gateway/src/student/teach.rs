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
    let learning = tasks.filter_map(|task| {
        Some(Learning {
            task: task.task.name.clone(),
            every: task.learn_every?,
            tried_at: 0,
            is_broken: false,
        })
    });
    let mut learning: Vec<Learning> = learning.collect();
    while !stop.is_cancelled() && !learning.is_empty() {
        for task in &mut learning {
            if let Err(error) = task.look(app).await {
                let error = format!("{error:#}");
                tracing::error!(task.id = %task.task, error, "no lesson can be given any more");
                task.is_broken = true;
            }
        }
        // What is wrong stays so until a person has looked.
        learning.retain(|task| !task.is_broken);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// A task whose student goes on learning.
struct Learning {
    task: TaskName,
    /// How many right answers more make a lesson.
    every: u64,
    /// How many were known when one was last tried here.
    tried_at: u64,
    is_broken: bool,
}

impl Learning {
    /// Gives a lesson if enough has become known since the last.
    async fn look(&mut self, app: &Arc<App>) -> anyhow::Result<()> {
        let name = &self.task;
        let task = app.task(name);
        let task = task.with_context(|| format!("task {name} isn't ready"))?;
        let certificate = task.rules.standing.certificate();
        let Some(Reference::Tier(reference)) = certificate.map(|it| &it.reference) else {
            return Ok(());
        };
        let reader = Reader::open(&ledger_file(&app.config))?;
        let known = reader.labels_known(name, reference)?;
        let lessons = reader.lessons(name)?;
        let last = lessons.last().map_or(0, |lesson| lesson.labels);
        // Fewer are known when some were deleted since.
        let last = last.max(self.tried_at).min(known);
        if known < last + self.every {
            return Ok(());
        }
        self.tried_at = known;
        // It computes for seconds or minutes, beside the requests.
        let (app, name) = (Arc::clone(app), name.clone());
        let giving = move || Handle::current().block_on(lesson::give(&app, &name));
        if let Given::Not(why) = tokio::task::spawn_blocking(giving).await?? {
            tracing::info!(why, "no lesson was given");
        }
        Ok(())
    }
}
