//! Certificates that are written while a server runs: taken up between two requests.
//!
//! What stands is only ever replaced by what is proven. A file that is half written, damaged, of
//! other circumstances or gone changes nothing; it is told, and looked at again when it changes.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::TaskName;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, watching};
use crate::certificate::{self, Circumstances, Extent, Standing};
use crate::learn;
use crate::ready::{ReadyTask, Rules};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Takes up new certificates until told to stop.
///
/// # Cancel safety
/// When dropped midway the present certificate stays, or the new one is in use.
pub(crate) async fn serve(app: &Arc<App>, stop: &CancellationToken) {
    let tasks = app.config.tasks.iter();
    let demand = tasks.filter(|(_, task)| task.target.is_some_and(|it| it.confidence.is_some()));
    let mut files: Vec<Files> = demand
        .map(|(name, _)| Files {
            task: name.clone(),
            seen: None,
        })
        .collect();
    while !stop.is_cancelled() && !files.is_empty() {
        for files in &mut files {
            files.look(app).await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What shows that a file is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        Some(Self {
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            inode: about.ino(),
        })
    }
}

/// The certificates of a task.
struct Files {
    task: TaskName,
    /// As they were when they were last read.
    seen: Option<Vec<Option<Stamp>>>,
}

impl Files {
    async fn look(&mut self, app: &Arc<App>) {
        let folder = &app.config.certificates;
        let extents = extents(app, &self.task);
        let paths = extents.map(|extent| certificate::path(folder, &self.task, extent));
        let stamps: Vec<Option<Stamp>> = paths.map(|path| Stamp::of(&path)).collect();
        if self.seen.as_ref() == Some(&stamps) {
            return;
        }
        // What changes while it is read is read again.
        self.seen = Some(stamps);
        let (app, name) = (Arc::clone(app), self.task.clone());
        // Reading back a student computes, beside the requests.
        let reading = move || Handle::current().block_on(renew(&app, &name));
        let read = tokio::task::spawn_blocking(reading).await;
        if let Err(error) = read.map_err(anyhow::Error::from).and_then(|read| read) {
            let error = format!("{error:#}");
            tracing::error!(task.id = %self.task, error, "no new certificate can be taken up");
        }
    }
}

/// How much of an answer the task's certificates are about.
fn extents(app: &App, name: &TaskName) -> impl Iterator<Item = Extent> + use<> {
    let early = app.config.tasks[name].early_tokens.map(Extent::First);
    [Some(Extent::Whole), early].into_iter().flatten()
}

/// Has the task answered under its new certificates, where there are any.
async fn renew(app: &App, name: &TaskName) -> anyhow::Result<()> {
    let Some(ready) = app.task(name) else {
        return Ok(());
    };
    let task = &app.config.tasks[name];
    let learned = learn::learned(&app.config, task, &app.tiers).await?;
    let circumstances = Circumstances {
        config: &app.config,
        student: learned.as_ref().and_then(|it| it.student.as_ref()),
        tiers: Some(&app.tiers),
    };
    let chosen = |rules: &Rules| {
        let found = Standing::of(task, &circumstances, rules.extent);
        choose(app, name, rules, found)
    };
    let (whole, is_new) = chosen(&ready.rules);
    let early = ready.early.as_ref().map(chosen);
    if !is_new && early.as_ref().is_none_or(|(_, is_new)| !is_new) {
        return Ok(());
    }
    let standings = (whole, early.map(|(standing, _)| standing));
    let proven = watching(&app.config, task, standings, &app.ledger).await?;
    let ready = ReadyTask::new(&app.config, task, learned, proven);
    for rules in ready.all_rules() {
        tracing::info!(task.id = %name, tiers = %rules.in_words(), "certificates were taken up");
    }
    app.put(ready);
    Ok(())
}

/// What is to stand of what was found beside what stands, and whether that is new.
fn choose(app: &App, name: &TaskName, rules: &Rules, found: Standing) -> (Standing, bool) {
    let present = rules.standing.clone();
    let name = rules.extent.name(name);
    match (&found, &present) {
        (Standing::Certified(new), _) => {
            let is_new = Some(certificate::id(new)) != rules.certificate;
            if is_new {
                app.metrics.certificate_read(&name, "taken");
            }
            (if is_new { found } else { present }, is_new)
        }
        (_, Standing::Certified(_) | Standing::Revoked(..)) => {
            app.metrics.certificate_read(&name, "refused");
            let why = found.in_words();
            tracing::warn!(
                task.id = name,
                why,
                "a certificate's file is not taken up; what stood before still stands"
            );
            (present, false)
        }
        _ => (present, false),
    }
}
