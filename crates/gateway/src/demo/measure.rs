//! What the demo's runs came to, read back from their results.

use std::path::PathBuf;

use anyhow::Context as _;
use domain::{Labels, Picodollars, TaskName};
use serde::Deserialize;

use crate::batch::Summary;

/// One way of answering all documents: the cascade, or a tier alone.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: String,
    /// One for each task.
    pub(super) works: Vec<Work>,
}

/// One task over all documents.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) task: TaskName,
    pub(super) output: PathBuf,
    pub(super) summary: Summary,
    pub(super) answers: Vec<Answer>,
}

/// A line of results, as far as it is counted.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) answer: Option<String>,
    pub(super) gold: Option<String>,
    pub(super) cost_usd: String,
    pub(super) decision: Vec<Step>,
}

/// What one tier answered.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) answer: Option<String>,
    pub(super) confidence: Option<f64>,
}

impl Work {
    /// The results that a run wrote.
    pub(super) fn read(task: &TaskName, output: PathBuf, summary: Summary) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&output)
            .with_context(|| format!("{} can't be read", output.display()))?;
        let answers: Result<Vec<Answer>, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Self {
            task: task.clone(),
            output,
            summary,
            answers: answers?,
        })
    }

    /// The share of documents answered rightly, 0 to 1; one without an answer is not.
    pub(super) fn accuracy(&self) -> f64 {
        share(self.answers.iter().map(Answer::is_right))
    }

    /// Of the documents that should be flagged, the share that was; `None` without such labels.
    pub(super) fn flag_recall(&self, labels: &Labels, flagged: &[usize]) -> Option<f64> {
        let is_flag = |name: &Option<String>| {
            name.as_ref()
                .and_then(|name| labels.parse(name))
                .is_some_and(|l| flagged.contains(&l))
        };
        let due = self.answers.iter().filter(|answer| is_flag(&answer.gold));
        (!flagged.is_empty()).then(|| share(due.map(|answer| is_flag(&answer.answer))))
    }
}

impl Answer {
    pub(super) fn is_right(&self) -> bool {
        self.answer.is_some() && self.answer == self.gold
    }
}

impl Way {
    /// What all its answers cost.
    pub(super) fn cost(&self) -> anyhow::Result<Picodollars> {
        let mut cost = Picodollars::ZERO;
        for work in &self.works {
            cost = cost.plus(Picodollars::from_usd(&work.summary.cost_usd)?)?;
        }
        Ok(cost)
    }

    /// The share of right answers over all tasks.
    pub(super) fn accuracy(&self) -> f64 {
        share(
            self.works
                .iter()
                .flat_map(|work| &work.answers)
                .map(Answer::is_right),
        )
    }

    pub(super) fn answers(&self) -> usize {
        self.works.iter().map(|work| work.answers.len()).sum()
    }

    pub(super) fn documents(&self) -> usize {
        self.works.first().map_or(0, |work| work.answers.len())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.works.iter().map(|work| work.summary.seconds).sum()
    }
}

/// The share that is true; 0 of none.
fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0_u32, 0_u32);
    for is in of {
        yes += u32::from(is);
        all += 1;
    }
    if all == 0 {
        0.0
    } else {
        f64::from(yes) / f64::from(all)
    }
}
