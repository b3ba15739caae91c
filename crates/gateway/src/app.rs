//! The application: ledger, tiers and tasks put together from the config, and taken apart in
//! order at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use domain::{TaskName, TierKind, TierName};
use ledger::{Forgetting, Ledger};
use tokio::sync::Notify;

use crate::audit::{self, Watch};
use crate::certificate::{self, Circumstances, Extent, Standing};
use crate::clock;
use crate::config::{self, Config, TaskConfig};
use crate::data_folder;
use crate::learn;
use crate::metrics::Metrics;
use crate::ready::{Proven, ReadyTask};
use crate::simulation::Simulation;
use crate::tier::Tier;
use crate::tier::connect;
use crate::tier::local::LocalTier;
use crate::tier::remote::RemoteTier;

/// Everything that answering takes.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
    pub(crate) tiers: BTreeMap<TierName, Tier>,
    pub(crate) tasks: BTreeMap<TaskName, Arc<ReadyTask>>,
    /// Those that have taken the place of one of `tasks` since the start.
    renewed: RwLock<BTreeMap<TaskName, Arc<ReadyTask>>>,
    pub(crate) metrics: Metrics,
    /// Told when an answer was chosen to be audited.
    pub(crate) audit_chosen: Notify,
}

/// The file of the ledger in the data folder.
pub(crate) fn ledger_file(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("ledger.sqlite")
}

impl App {
    /// The application with these tasks ready, and the tiers that they need. Learning and loading
    /// a model may take a while; both show their progress on the terminal.
    ///
    /// # Errors
    /// When the ledger can't be opened, a model can't be loaded, or a task can't be learned.
    pub(crate) async fn start(
        config: Config,
        tasks: &[TaskName],
        simulation: Option<&Simulation>,
    ) -> anyhow::Result<Self> {
        let wanted = |name: &&TierName| {
            let mut tasks = tasks.iter();
            tasks.any(|task| config.tasks[task].task.tiers.contains(name))
        };
        let tiers: Vec<TierName> = config.tiers.keys().filter(wanted).cloned().collect();
        let app = Self::build(config, (tasks, &tiers), simulation, &|_| {}).await?;
        app.warn_of_certificates();
        Ok(app)
    }

    /// The application with these tiers and this task, for the command that certifies it: as
    /// [`App::start`], but that the task has no certificate yet is no news.
    ///
    /// # Errors
    /// As [`App::start`].
    pub(crate) async fn start_to_certify(
        config: Config,
        task: &TaskName,
        tiers: &[TierName],
    ) -> anyhow::Result<Self> {
        let tasks = std::slice::from_ref(task);
        Self::build(config, (tasks, tiers), None, &|_| {}).await
    }

    /// The application with all that the config names. What it is busy with is told at each step,
    /// in words that follow "it is".
    ///
    /// # Errors
    /// As [`App::start`].
    pub(crate) async fn start_all(
        config: Config,
        tell: &(dyn Fn(String) + Sync),
    ) -> anyhow::Result<Self> {
        let tasks: Vec<TaskName> = config.tasks.keys().cloned().collect();
        let tiers: Vec<TierName> = config.tiers.keys().cloned().collect();
        let app = Self::build(config, (&tasks, &tiers), None, tell).await?;
        app.warn_of_certificates();
        Ok(app)
    }

    fn warn_of_certificates(&self) {
        for (name, task) in &self.tasks {
            if let Some(warning) = task.rules.standing.warning(&self.config, name) {
                tracing::warn!("{warning}");
            }
            if let Some(early) = &task.early
                && !matches!(early.standing, Standing::Certified(_))
            {
                let why = early.standing.in_words();
                tracing::warn!(task.id = %name, why, "no streamed answer is shown early");
            }
        }
    }

    async fn build(
        config: Config,
        (tasks, tier_names): (&[TaskName], &[TierName]),
        simulation: Option<&Simulation>,
        tell: &(dyn Fn(String) + Sync),
    ) -> anyhow::Result<Self> {
        tell("opening the ledger".to_owned());
        let folder = &config.data_dir;
        data_folder::make(folder)
            .with_context(|| format!("the data folder {} can't be made", folder.display()))?;
        if data_folder::is_open_to_all(folder) {
            tracing::warn!(
                "every user of this machine may look into the data folder {}, where prompts and \
                 answers may lie; chmod 700 keeps it to the program's own",
                folder.display()
            );
        }
        let file = ledger_file(&config);
        let ledger = tokio::task::spawn_blocking(move || Ledger::open(&file)).await??;
        let adopted = ledger.adopt_orphans(clock::now()).await?;
        if adopted.attempts > 0 {
            tracing::warn!(
                attempts = adopted.attempts,
                cost_usd = %adopted.kept.to_usd(),
                "a run ended before its paid attempts were resolved; they stay booked at their worst case"
            );
        }
        ledger.forget(Forgetting::Expired(clock::now())).await?;
        let mut tiers = BTreeMap::new();
        for name in tier_names {
            tell(format!("starting tier {name}"));
            let tier = start_tier(name, &config.tiers[name], &ledger, simulation)?;
            tiers.insert(name.clone(), tier);
        }
        let mut ready = BTreeMap::new();
        for name in tasks {
            let task = &config.tasks[name];
            tell(format!("making task {name} ready"));
            let learned = learn::learned(&config, task, &tiers).await?;
            let circumstances = Circumstances {
                config: &config,
                student: learned.as_ref().and_then(|l| l.student.as_ref()),
                tiers: Some(&tiers),
            };
            let proven = proven(task, &circumstances, &ledger).await?;
            let task = ReadyTask::new(&config, task, learned, proven);
            ready.insert(name.clone(), Arc::new(task));
        }
        let app = Self {
            config,
            ledger,
            tiers,
            tasks: ready,
            renewed: RwLock::default(),
            metrics: Metrics::new(),
            audit_chosen: Notify::new(),
        };
        app.note_monitors().await?;
        Ok(app)
    }

    /// Shows in the metrics how the watched certificates stand.
    async fn note_monitors(&self) -> anyhow::Result<()> {
        for task in self.tasks.values() {
            for watch in task.all_rules().filter_map(|rules| rules.watch.as_ref()) {
                let monitored = self.ledger.monitor(watch.certificate.clone()).await?;
                if let Some(monitored) = monitored {
                    audit::work::note(self, task, &monitored);
                }
            }
        }
        Ok(())
    }

    /// The task of this name as it is answered now.
    pub(crate) fn task(&self, name: &TaskName) -> Option<Arc<ReadyTask>> {
        let renewed = self.renewed.read().unwrap_or_else(PoisonError::into_inner);
        renewed.get(name).or_else(|| self.tasks.get(name)).cloned()
    }

    /// Has a task answered so from the next request on.
    pub(crate) fn put(&self, task: ReadyTask) {
        let mut renewed = self.renewed.write().unwrap_or_else(PoisonError::into_inner);
        renewed.insert(task.task.name.clone(), Arc::new(task));
    }

    /// The tier of this name with the task that asks it alone.
    pub(crate) fn direct(&self, name: &TierName) -> Option<ReadyTask> {
        let kind = self.tiers.get(name)?.kind();
        matches!(kind, TierKind::Local | TierKind::Pool | TierKind::Frontier)
            .then(|| ReadyTask::direct(&self.config, name, kind))
    }

    /// Writes what is still under way into the ledger and closes it.
    ///
    /// # Errors
    /// When the ledger can't be written.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.ledger
            .close()
            .await
            .context("the ledger can't be closed")
    }
}

/// What is proven of a task now, and how that is watched from now on.
///
/// # Errors
/// When the folder's key or the ledger can't be read or written.
pub(crate) async fn proven(
    task: &TaskConfig,
    circumstances: &Circumstances<'_>,
    ledger: &Ledger,
) -> anyhow::Result<Proven> {
    let whole = Standing::of(task, circumstances, Extent::Whole);
    let early = task.early_tokens.map(Extent::First);
    let early = early.map(|extent| Standing::of(task, circumstances, extent));
    watching(circumstances.config, task, (whole, early), ledger).await
}

/// What is proven of a task by these certificates, of whole answers and of their beginnings, and
/// how that is watched from now on.
///
/// # Errors
/// As [`proven`].
pub(crate) async fn watching(
    config: &Config,
    task: &TaskConfig,
    (whole, early): (Standing, Option<Standing>),
    ledger: &Ledger,
) -> anyhow::Result<Proven> {
    let id = |standing: &Standing| standing.certificate().map(certificate::id);
    let both = (id(&whole), early.as_ref().and_then(id));
    Ok(Proven {
        whole: watched(config, task, (whole, both.1), ledger).await?,
        early: match early {
            Some(early) => Some(watched(config, task, (early, both.0), ledger).await?),
            None => None,
        },
    })
}

/// A task's standing in the light of what its certificate's audits have shown, and how it is
/// watched from now on, beside another of the task's certificates.
///
/// # Errors
/// When the folder's key or the ledger can't be read or written.
pub(crate) async fn watched(
    config: &Config,
    task: &TaskConfig,
    (standing, beside): (Standing, Option<String>),
    ledger: &Ledger,
) -> anyhow::Result<(Standing, Option<Watch>)> {
    let Some(certificate) = standing.certificate() else {
        return Ok((standing, None));
    };
    let watch = Watch::of(config, task, certificate)?;
    let monitored = match &watch {
        Some(watch) => Some(
            ledger
                .open_monitor(watch.beginning(beside)?, clock::now())
                .await?,
        ),
        // Once revoked it stays so, also where nobody watches any more.
        None => ledger.monitor(certificate::id(certificate)).await?,
    };
    Ok((standing.watched(monitored.as_ref()), watch))
}

fn start_tier(
    name: &TierName,
    settings: &config::Tier,
    ledger: &Ledger,
    simulation: Option<&Simulation>,
) -> anyhow::Result<Tier> {
    let kind = settings.kind();
    Ok(match settings {
        config::Tier::Student => Tier::Student,
        config::Tier::Person => Tier::Person,
        config::Tier::Local(local) => {
            Tier::Local(LocalTier::start(local).with_context(|| format!("tiers.{name}.model"))?)
        }
        config::Tier::Pool(remote) | config::Tier::Frontier(remote) => {
            let simulated = simulation.and_then(|simulation| simulation.url(name));
            let pool = connect::pool(remote, simulated).with_context(|| format!("tiers.{name}"))?;
            Tier::Remote(Box::new(RemoteTier::new(
                remote,
                kind,
                pool,
                ledger.clone(),
            )))
        }
    })
}
