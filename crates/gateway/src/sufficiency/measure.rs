//! What the tiers inside, the cascade and the frontier make of the same records.

use std::time::Instant;

use domain::{Picodollars, TierName};
use routing::cascade::Rule;

use super::Sides;
use crate::app::App;
use crate::config::TaskConfig;
use crate::deferral::Heard;
use crate::learn::Labelled;
use crate::learn::asking::{self, Given};
use crate::reference::{Referred, asked};

/// What came of asking.
pub(super) struct Measured {
    /// The answer inside, where nothing leaves: that of the last tier that was asked;
    /// (n_records).
    pub(super) inside: Vec<Option<usize>>,
    /// Whether the cascade keeps it; (n_records).
    pub(super) kept: Vec<bool>,
    /// How long all that took this machine.
    pub(super) seconds_inside: f64,
    /// The frontier's answer and its cost; (n_records).
    pub(super) frontier: Vec<Referred>,
    /// What it was paid in all.
    pub(super) cost: Picodollars,
}

impl Measured {
    /// What the cascade answers.
    pub(super) fn cascade(&self, record: usize) -> Option<usize> {
        if self.kept[record] {
            self.inside[record]
        } else {
            self.frontier[record].label
        }
    }

    /// What the frontier was paid for the records of which this is true.
    pub(super) fn paid(&self, of: impl Fn(usize) -> bool) -> f64 {
        let costs = self.frontier.iter().enumerate().filter(|(i, _)| of(*i));
        costs.map(|(_, answer)| answer.cost.as_usd_f64()).sum()
    }
}

/// Asks the tiers inside, each about what those before it don't keep, and then the frontier about
/// all records.
///
/// # Errors
/// When a tier answers none of the records, or the ledger can't record what it cost.
pub(super) async fn measure(
    app: &App,
    task: &TaskConfig,
    sides: &Sides,
    records: &[Labelled],
) -> anyhow::Result<Measured> {
    let mut inside = vec![None; records.len()];
    let mut kept = vec![false; records.len()];
    let ready = &app.tasks[&task.task.name];
    let (student, ranking) = (ready.student.as_ref(), ready.rules.ranking(task.task.kind));
    let mut said: Vec<Vec<(&TierName, Given)>> = records.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    for (index, tier) in sides.inside.iter().enumerate() {
        let last = index + 1 == sides.inside.len();
        let rule = rule(app, task, tier);
        if rule == Rule::Never && !last {
            continue;
        }
        let left: Vec<usize> = (0..records.len()).filter(|&i| !kept[i]).collect();
        let texts = left.iter().map(|&i| records[i].text.as_str());
        let answers = asking::inside(app, (task, student), tier, texts).await?;
        for (record, answer) in left.into_iter().zip(answers) {
            let Some(answer) = answer else { continue };
            let Some(label) = answer.label else { continue };
            inside[record] = Some(label);
            let text = &records[record].text;
            let earlier = said[record].iter().map(|(tier, it)| it.said(tier));
            let earlier: Vec<Heard<'_>> = earlier.collect();
            // What a router skips is asked all the same: it is a part of what is right inside.
            let skipped = ranking.foretold(tier, || text.clone(), &earlier);
            let confidence = ranking.confidence(text, answer.said(tier), &earlier);
            kept[record] = skipped.is_none() && rule.accepts(Some(label), Some(confidence));
            said[record].push((tier, answer));
        }
    }
    let seconds_inside = start.elapsed().as_secs_f64();
    let texts: Vec<String> = records.iter().map(|record| record.text.clone()).collect();
    let (frontier, cost) = asked(app, task, &sides.frontier, &texts).await?;
    Ok(Measured {
        inside,
        kept,
        seconds_inside,
        frontier,
        cost,
    })
}

/// When the cascade accepts this tier's answer.
fn rule(app: &App, task: &TaskConfig, tier: &TierName) -> Rule {
    let rungs = app.tasks[&task.task.name].rules.cascade.rungs();
    let rung = rungs.iter().find(|rung| rung.tier == *tier);
    rung.map_or(Rule::Never, |rung| rung.rule.clone())
}
