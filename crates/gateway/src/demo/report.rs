//! The demo's report: tables for a person, points and a curve for the plot.

use std::fmt;

use domain::{Picodollars, Price, TierKind};

use super::measure::{Answer, Way, Work};
use super::plot::{CostQuality, Point};
use crate::app::App;
use crate::config::Tier;
use crate::terminal::{count, figures, percent};

/// What the demo measured.
#[derive(Debug)]
pub(super) struct Report {
    /// The cascade, all local, all frontier.
    ways: [Way; 3],
    costs: [Picodollars; 3],
    /// For each way, the share of documents to be flagged that were.
    flag_recall: [Option<f64>; 3],
    frontier: String,
    /// What an hour of this machine costs its owner.
    machine_usd_per_hour: Picodollars,
    /// The whole demo's time, learning and comparisons included.
    pub(super) seconds: f64,
}

impl Report {
    /// Reads the figures off.
    ///
    /// # Errors
    /// When an amount is none.
    pub(super) fn new(app: &App, ways: [Way; 3], wrong: Option<f64>) -> anyhow::Result<Self> {
        let config = &app.config;
        let tasks = &config.tasks;
        let recall = |way: &Way| {
            way.works.iter().find_map(|work| {
                let task = &tasks[&work.task];
                work.flag_recall(task.task.labels.as_ref()?, &task.flagged)
            })
        };
        let flag_recall = [recall(&ways[0]), recall(&ways[1]), recall(&ways[2])];
        let costs = [ways[0].cost()?, ways[1].cost()?, ways[2].cost()?];
        let machine = config.tiers.values().find_map(|tier| match tier {
            Tier::Local(local) => Some(local.machine_usd_per_hour),
            _ => None,
        });
        Ok(Self {
            flag_recall,
            costs,
            ways,
            frontier: about_frontier(app, wrong),
            machine_usd_per_hour: machine.unwrap_or(Picodollars::ZERO),
            seconds: 0.0,
        })
    }

    /// Cost against quality: the three ways, and the cascade's curve.
    pub(super) fn cost_quality(&self) -> CostQuality {
        let documents = self.ways[0].documents().max(1) as f64;
        let point = |index: usize| Point {
            name: self.ways[index].name.clone(),
            usd_per_thousand: self.costs[index].as_usd_f64() / documents * 1e3,
            accuracy: self.ways[index].accuracy(),
        };
        CostQuality {
            title: format!(
                "{} documents: cost against quality (line: the cascade at every threshold)",
                count(self.ways[0].documents())
            ),
            curve: curve(&self.ways),
            points: vec![point(1), point(2), point(0)],
        }
    }

    fn shares(&self) -> comfy_table::Table {
        let cascade = &self.ways[0];
        let names = cascade.works.iter().map(|work| work.task.as_str());
        let header: Vec<&str> = std::iter::once("answered by").chain(names).collect();
        let mut table = figures(&header);
        let Some(first) = cascade.works.first() else {
            return table;
        };
        for (index, tier) in first.summary.tiers.iter().enumerate() {
            let cells = cascade.works.iter().map(|work| {
                let answered = work.summary.tiers[index].answered;
                let share = percent(work.summary.tiers[index].share);
                format!(
                    "{}  {share:>6}",
                    count(usize::try_from(answered).unwrap_or(0))
                )
            });
            table.add_row(std::iter::once(tier.tier.clone()).chain(cells));
        }
        let kept = cascade
            .works
            .iter()
            .map(|work| percent(work.summary.share_in_house));
        table.add_row(std::iter::once("kept in house".to_owned()).chain(kept));
        let escalated = cascade.works.iter().map(|work| percent(escalated(work)));
        table.add_row(std::iter::once("escalated".to_owned()).chain(escalated));
        table
    }

    fn comparison(&self) -> comfy_table::Table {
        let tasks = self.ways[0]
            .works
            .iter()
            .map(|work| format!("{} right", work.task));
        let mut header = vec![String::new()];
        header.extend(tasks);
        header.extend(["flags found", "cost", "per 1,000 docs", "seconds"].map(str::to_owned));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = figures(&header);
        for (index, way) in self.ways.iter().enumerate() {
            let mut row = vec![way.name.clone()];
            row.extend(way.works.iter().map(|work| percent(work.accuracy())));
            row.push(self.flag_recall[index].map_or_else(|| "–".to_owned(), percent));
            row.push(self.costs[index].to_string());
            let documents = i64::try_from(way.documents().max(1)).unwrap_or(i64::MAX);
            let per_thousand = self.costs[index].get() / documents * 1000;
            row.push(Picodollars::new(per_thousand).to_string());
            row.push(format!("{:.1}", way.seconds()));
            table.add_row(row);
        }
        table
    }
}

/// The share of a task's documents that the frontier was asked about because no tier before it
/// was sure enough.
fn escalated(work: &Work) -> f64 {
    let frontier = work.summary.tiers.last();
    frontier.map_or(0.0, |frontier| frontier.share)
}

fn about_frontier(app: &App, wrong: Option<f64>) -> String {
    let frontiers = app
        .config
        .tiers
        .iter()
        .filter(|(_, tier)| tier.kind() == TierKind::Frontier);
    let mut about = frontiers.filter_map(|(name, tier)| {
        let settings = tier.remote()?;
        let Price { input, output, .. } = settings.price?;
        let (input, output) = (input.to_usd_per_million(), output.to_usd_per_million());
        let price = format!("${input} a million tokens in and ${output} out");
        Some(match wrong {
            Some(rate) => format!(
                "The frontier is simulated: a server on this machine that gives a wrong answer to {:.0} % of the\ndocuments, the right one otherwise, and bills {price}.",
                rate * 100.0
            ),
            None => format!("The frontier is {name}, {} at {price}.", settings.model),
        })
    });
    about.next().unwrap_or_default()
}

/// The cascade with one threshold for all its tiers before the frontier, from 1 (the frontier
/// answers everything) to 0 (the student does): US dollars per 1,000 documents, accuracy.
fn curve([cascade, local, frontier]: &[Way; 3]) -> Vec<(f64, f64)> {
    const STEPS: u32 = 200;
    let rows = cascade
        .works
        .iter()
        .zip(&local.works)
        .zip(&frontier.works)
        .flat_map(|((c, l), f)| {
            c.answers
                .iter()
                .zip(&l.answers)
                .zip(&f.answers)
                .map(|((c, l), f)| Sweep::of(c, l, f))
        });
    let rows: Vec<Sweep> = rows.collect();
    let documents = cascade.documents().max(1) as f64;
    let at = |step: u32| {
        let threshold = f64::from(STEPS - step) / f64::from(STEPS) * 1.001;
        let (mut usd, mut right) = (0.0, 0_u32);
        for row in &rows {
            let kept = row
                .inside
                .iter()
                .find(|(confidence, _)| *confidence >= threshold);
            let (cost, is_right) = match kept {
                Some(&(_, is_right)) => (0.0, is_right),
                None => row.frontier,
            };
            usd += cost;
            right += u32::from(is_right);
        }
        (
            usd / documents * 1e3,
            f64::from(right) / rows.len().max(1) as f64,
        )
    };
    (0..=STEPS).map(at).collect()
}

/// What each tier said of one document.
struct Sweep {
    /// Confidence and whether it was right, for the student and the local model.
    inside: [(f64, bool); 2],
    /// Cost in US dollars and whether it was right.
    frontier: (f64, bool),
}

impl Sweep {
    fn of(cascade: &Answer, local: &Answer, frontier: &Answer) -> Self {
        let inside = |answer: &Answer| {
            let step = answer.decision.first();
            let confidence = step.and_then(|step| step.confidence).unwrap_or(0.0);
            (
                confidence,
                step.is_some_and(|step| step.answer.is_some() && step.answer == answer.gold),
            )
        };
        let cost = Picodollars::from_usd(&frontier.cost_usd).map_or(0.0, Picodollars::as_usd_f64);
        Self {
            inside: [inside(cascade), inside(local)],
            frontier: (cost, frontier.is_right()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cascade = &self.ways[0];
        writeln!(
            f,
            "{} made-up financial documents, each put to {} tasks.\n{}",
            count(cascade.documents()),
            cascade.works.len(),
            self.frontier
        )?;
        writeln!(f, "{}", self.shares())?;
        writeln!(f, "{}", self.comparison())?;
        let (spent, instead) = (self.costs[0], self.costs[2]);
        let saved = 1.0 - spent.as_usd_f64() / instead.as_usd_f64().max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "The cascade spent {spent} where all-frontier spends {instead}: {} less.",
            percent(saved)
        )?;
        let machine = self.machine_usd_per_hour;
        write!(
            f,
            "Its {} answers took {:.1} s of this machine; at ${} an hour that is ${:.6}. The whole demo took {:.1} s.",
            count(cascade.answers()),
            cascade.seconds(),
            machine.to_usd(),
            machine.as_usd_f64() * cascade.seconds() / 3600.0,
            self.seconds
        )?;
        Ok(())
    }
}
