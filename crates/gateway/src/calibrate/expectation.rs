//! What a task's own records lead to expect of its tiers. None of them certifies anything, so that
//! thresholds may be chosen by them before the records that do are looked at.

use domain::TierName;
use routing::certificate::Goal;
use routing::threshold::Scored;

use super::ladder::Ladder;
use crate::app::App;
use crate::config::TaskConfig;
use crate::learn::asking::{self, Answer};
use crate::learn::{self, Labelled};
use crate::tier::Tier;

/// The most records that an engine is asked about; more would hardly change what is expected.
const ASKED_MAX: usize = 2_000;

/// A task's own records on the way of a document from tier to tier.
pub(super) struct Expectation<'a> {
    app: &'a App,
    task: &'a TaskConfig,
    records: Vec<Labelled>,
    /// Those that the tiers before pass on.
    left: Vec<usize>,
    /// What the last tier made of each of these.
    scores: Vec<Option<Scored>>,
}

impl<'a> Expectation<'a> {
    /// All of the records; `None` in a task that has none.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn new(app: &'a App, task: &'a TaskConfig) -> anyhow::Result<Option<Self>> {
        let own = learn::own(&app.config, task)?;
        Ok(own.map(|(records, _)| Self {
            app,
            task,
            left: (0..records.len()).collect(),
            records,
            scores: Vec::new(),
        }))
    }

    /// The steps for a tier's threshold, for what the tiers before it pass on.
    ///
    /// # Errors
    /// When the records are too few for a student to be held out, or an engine answers none.
    pub(super) async fn ladder(&mut self, name: &TierName, goal: Goal) -> anyhow::Result<Ladder> {
        self.scores = match &self.app.tiers[name] {
            Tier::Student => {
                let all = learn::held_out(self.task)?;
                let score = |&record: &usize| all.get(record).copied();
                self.left.iter().map(score).collect()
            }
            tier => {
                self.left.truncate(ASKED_MAX);
                let text = |&record: &usize| self.records[record].text.as_str();
                let texts = self.left.iter().map(text);
                let answers = asking::labelled(self.task, name, tier, texts).await?;
                let score = |(answer, &record): (Option<Answer>, &usize)| {
                    let answer = answer?;
                    Some(Scored {
                        confidence: answer.confidence,
                        correct: answer.label == self.records[record].label,
                    })
                };
                answers.into_iter().zip(&self.left).map(score).collect()
            }
        };
        let known: Vec<Scored> = self.scores.iter().flatten().copied().collect();
        Ok(Ladder::new(&known, goal))
    }

    /// Takes away what the tier keeps that was asked last.
    pub(super) fn pass_on(&mut self, threshold: f64) {
        let mut scores = std::mem::take(&mut self.scores).into_iter();
        let passed = |score: Option<Scored>| score.is_none_or(|it| it.confidence < threshold);
        self.left.retain(|_| scores.next().is_none_or(passed));
    }
}
