//! What a run comes to, read back from its stored results.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use domain::{Picodollars, TierName, Zone};
use ledger::{JobId, Reader};
use serde::{Deserialize, Serialize};

use crate::ready::ReadyTask;

/// A run's result, for a person (`Display`) or for a machine (`Serialize`).
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) task: String,
    /// Where the thresholds come from: `certified`, `estimated` on held-out records, `stated` in
    /// the config, or `unproven`: there are none.
    pub(crate) thresholds: &'static str,
    /// Rows of the input.
    pub(crate) rows: u64,
    /// Of these, how many an earlier call had done.
    pub(crate) already: u64,
    pub(crate) answered: u64,
    pub(crate) review: u64,
    pub(crate) failed: u64,
    /// Of the failed, how many the same call would try again.
    pub(crate) retryable: u64,
    pub(crate) escalations: u64,
    pub(crate) fallbacks: u64,
    /// Accepted answers by tier, in the task's order.
    pub(crate) tiers: Vec<TierShare>,
    /// Share of all rows that a tier inside answered and kept, 0 to 1.
    pub(crate) share_in_house: f64,
    /// Share of right answers among the accepted ones, where the input gives the right answers.
    pub(crate) accuracy: Option<f64>,
    /// The same among those kept in house.
    pub(crate) accuracy_in_house: Option<f64>,
    /// Exact, in US dollars.
    pub(crate) cost_usd: String,
    pub(crate) seconds: f64,
    pub(crate) documents_per_second: f64,
    /// The file of results; none when the run was stopped before its end.
    pub(crate) output: Option<PathBuf>,
}

/// What one tier answered.
#[derive(Debug, Serialize)]
pub(crate) struct TierShare {
    pub(crate) tier: String,
    pub(crate) answered: u64,
    /// Of all rows, 0 to 1.
    pub(crate) share: f64,
    /// Rows for which a router passed it over.
    pub(crate) skipped: u64,
    pub(crate) right: u64,
    /// Answers whose row gives the right answer.
    pub(crate) known: u64,
}

/// The part of a result line that is counted.
#[derive(Deserialize)]
struct Counted {
    status: String,
    answer: Option<String>,
    tier: Option<String>,
    gold: Option<String>,
    escalations: u64,
    fallbacks: u64,
    cost_usd: String,
    #[serde(default)]
    decision: Vec<CountedStep>,
}

/// What is counted of a tier's turn.
#[derive(Deserialize)]
struct CountedStep {
    tier: String,
    verdict: String,
}

#[derive(Default)]
struct Tally {
    answered: u64,
    skipped: u64,
    right: u64,
    known: u64,
}

impl Summary {
    /// Counts the stored results of a job.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub(crate) fn read(reader: &Reader, job: JobId, task: &ReadyTask) -> anyhow::Result<Self> {
        let mut summary = Self::empty(task);
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let mut cost = Picodollars::ZERO;
        for item in reader.job_results(job)? {
            let item = item?;
            let line: Counted = serde_json::from_str(&item.result)?;
            cost = cost.plus(Picodollars::from_usd(&line.cost_usd)?)?;
            summary.escalations += line.escalations;
            summary.fallbacks += line.fallbacks;
            summary.rows += 1;
            for step in line.decision.iter().filter(|it| it.verdict == "skipped") {
                tallies.entry(step.tier.clone()).or_default().skipped += 1;
            }
            match (line.status.as_str(), &line.tier) {
                ("answered", Some(tier)) => {
                    summary.answered += 1;
                    let tally = tallies.entry(tier.clone()).or_default();
                    tally.answered += 1;
                    if let (Some(gold), Some(answer)) = (&line.gold, &line.answer) {
                        tally.known += 1;
                        tally.right += u64::from(same(task, gold, answer));
                    }
                }
                ("review", _) => summary.review += 1,
                _ => {
                    summary.failed += 1;
                    let retryable = ledger::ItemStatus::Failed { retryable: true };
                    summary.retryable += u64::from(item.status == retryable);
                }
            }
        }
        summary.cost_usd = cost.to_usd();
        summary.add_shares(task, &tallies);
        Ok(summary)
    }

    fn add_shares(&mut self, task: &ReadyTask, tallies: &BTreeMap<String, Tally>) {
        let share = |part: u64| {
            if self.rows == 0 {
                0.0
            } else {
                part as f64 / self.rows as f64
            }
        };
        let none = Tally::default();
        let of = |tier: &TierName| tallies.get(tier.as_str()).unwrap_or(&none);
        let accuracy = |tallies: &mut dyn Iterator<Item = &Tally>| {
            let (right, known) = tallies.fold((0, 0), |(r, k), t| (r + t.right, k + t.known));
            (known > 0).then(|| right as f64 / known as f64)
        };
        let rungs = task.rules.cascade.rungs();
        let inside = || rungs.iter().filter(|rung| rung.kind.zone() == Zone::Inside);
        let accuracy_in_house = accuracy(&mut inside().map(|rung| of(&rung.tier)));
        let accuracy_all = accuracy(&mut tallies.values());
        let share_in_house = share(inside().map(|rung| of(&rung.tier).answered).sum());
        let asked = rungs
            .iter()
            .filter(|rung| rung.kind != domain::TierKind::Person);
        let tiers = asked.map(|rung| {
            let &Tally {
                answered,
                skipped,
                right,
                known,
            } = of(&rung.tier);
            TierShare {
                tier: rung.tier.to_string(),
                answered,
                share: share(answered),
                skipped,
                right,
                known,
            }
        });
        let tiers = tiers.collect();
        self.tiers = tiers;
        self.share_in_house = share_in_house;
        self.accuracy = accuracy_all;
        self.accuracy_in_house = accuracy_in_house;
    }

    fn empty(task: &ReadyTask) -> Self {
        Self {
            task: task.task.name.to_string(),
            thresholds: task.rules.standing_now(),
            rows: 0,
            already: 0,
            answered: 0,
            review: 0,
            failed: 0,
            retryable: 0,
            escalations: 0,
            fallbacks: 0,
            tiers: Vec::new(),
            share_in_house: 0.0,
            accuracy: None,
            accuracy_in_house: None,
            cost_usd: "0".to_owned(),
            seconds: 0.0,
            documents_per_second: 0.0,
            output: None,
        }
    }

    /// Sets how long this call took; its throughput counts what it did itself.
    pub(crate) fn took(&mut self, seconds: f64) {
        let done = (self.answered + self.review + self.failed).saturating_sub(self.already);
        self.seconds = seconds;
        self.documents_per_second = if seconds > 0.0 {
            done as f64 / seconds
        } else {
            0.0
        };
    }
}

/// Whether an answer is the right one; labels are compared as labels.
fn same(task: &ReadyTask, gold: &str, answer: &str) -> bool {
    match &task.task.labels {
        Some(labels) => labels
            .parse(gold)
            .is_some_and(|gold| labels.parse(answer) == Some(gold)),
        None => gold.trim() == answer.trim(),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let results = self.answered + self.review + self.failed;
        writeln!(
            f,
            "{}: {results} of {} documents, {:.0} a second, {:.1} s",
            self.task, self.rows, self.documents_per_second, self.seconds
        )?;
        if self.already > 0 {
            writeln!(f, "  {} had been done before", self.already)?;
        }
        for tier in &self.tiers {
            write!(
                f,
                "  {:<12} {:>8}  {:>7}",
                tier.tier,
                tier.answered,
                percent(tier.share)
            )?;
            if tier.known > 0 {
                let right = tier.right as f64 / tier.known as f64;
                write!(f, "  {} right", percent(right))?;
            }
            if tier.skipped > 0 {
                write!(f, "  its router skipped {}", tier.skipped)?;
            }
            writeln!(f)?;
        }
        for (name, count) in [("for review", self.review), ("failed", self.failed)] {
            if count > 0 {
                let share = percent(count as f64 / self.rows as f64);
                writeln!(f, "  {name:<12} {count:>8}  {share:>7}")?;
            }
        }
        if let Some(accuracy) = self.accuracy {
            let inside = self.accuracy_in_house.map_or_else(String::new, |accuracy| {
                format!(", {} of those kept in house", percent(accuracy))
            });
            writeln!(f, "  right: {} of the answers{inside}", percent(accuracy))?;
        }
        let cost = Picodollars::from_usd(&self.cost_usd).unwrap_or(Picodollars::ZERO);
        writeln!(
            f,
            "  {} in house, {cost} spent",
            percent(self.share_in_house)
        )?;
        match &self.output {
            Some(output) => write!(f, "  results: {}", output.display()),
            None => write!(
                f,
                "  stopped before the end; the same command goes on from here"
            ),
        }
    }
}
