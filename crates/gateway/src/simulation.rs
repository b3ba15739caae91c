//! A simulated frontier, for trials without a key: local stand-ins that answer from known right
//! answers, wrong at a stated rate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use domain::{Labels, Price, TaskName, TierName, TokenRate};
use standin::{AnswerSet, Answers, RunningStandin, Standin, StandinOptions};

use crate::config::{Config, Tier};
use crate::data_folder;

/// Chooses the texts that are answered wrongly.
const SEED: u64 = 1;

/// A task's texts with their right answers.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) labels: Labels,
    pub(crate) answers: Vec<(String, String)>,
}

/// A stand-in at work for each frontier that some tasks name. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Simulation {
    standins: BTreeMap<TierName, RunningStandin>,
}

impl Simulation {
    /// Starts the stand-ins; each keeps its own bill in `folder`, at the tier's prices.
    ///
    /// # Errors
    /// When no tier of the tasks is a frontier, the rate is no share, or a stand-in can't start.
    pub(crate) async fn start(
        config: &Config,
        tasks: &[TaskName],
        known: &[Known],
        wrong_rate: f64,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        if !(0.0..=1.0).contains(&wrong_rate) {
            bail!(
                "{wrong_rate} is no share of wrong answers; give one of 0 to 1, for example 0.03"
            );
        }
        data_folder::make(folder)
            .with_context(|| format!("the folder {} can't be made", folder.display()))?;
        let named = |name: &TierName| {
            tasks
                .iter()
                .any(|task| config.tasks[task].task.tiers.contains(name))
        };
        let mut standins = BTreeMap::new();
        for (name, tier) in config.tiers.iter().filter(|(name, _)| named(name)) {
            let Tier::Frontier(settings) = tier else {
                continue;
            };
            let options = StandinOptions {
                model: settings.model.clone(),
                wrong_rate,
                seed: SEED,
                price: settings.price.unwrap_or_else(free),
                journal: Some(folder.join(format!("{name}-bill.jsonl"))),
                ..StandinOptions::new(answers(known))
            };
            standins.insert(name.clone(), Standin::start(options).await?);
        }
        if standins.is_empty() {
            bail!("there is no frontier to simulate; the tiers in question are all inside");
        }
        Ok(Self { standins })
    }

    /// The base URL at which a tier is simulated, if it is.
    pub(crate) fn url(&self, tier: &TierName) -> Option<String> {
        self.standins.get(tier).map(RunningStandin::url)
    }

    /// Ends the stand-ins when they have answered what they were asked.
    pub(crate) async fn shutdown(self) {
        for standin in self.standins.into_values() {
            standin.shutdown().await;
        }
    }
}

fn answers(known: &[Known]) -> Answers {
    let sets = known.iter().map(|known| {
        let labels = known
            .labels
            .iter()
            .map(|label| label.name.clone())
            .collect();
        AnswerSet::new(labels, known.answers.iter().cloned())
    });
    Answers::new(sets.collect())
}

fn free() -> Price {
    let zero = TokenRate::default();
    Price {
        input: zero,
        cached_input: zero,
        cache_write: zero,
        output: zero,
    }
}
