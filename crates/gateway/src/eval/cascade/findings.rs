//! What is told of it.

use routing::evaluation::Share;
use serde_json::{Value, json};

use super::CascadeArgs;
use super::answering::Answered;
use super::cases::Case;
use crate::eval::output::{self, percent};
use crate::terminal::table;

/// What the cascade came to.
pub(super) struct Findings<'a> {
    pub(super) cases: &'a [Case],
    pub(super) answered: &'a [Answered],
    pub(super) args: &'a CascadeArgs,
    pub(super) left_out: usize,
}

impl Findings<'_> {
    fn share(&self, hit: impl Fn(&Answered) -> bool) -> Share {
        Share {
            hits: self.answered.iter().filter(|a| hit(a)).count(),
            of: self.answered.len(),
        }
    }

    fn alone(&self, tier: Option<usize>) -> Share {
        let given = |case: &Case| tier.map_or(case.frontier.correct, |t| case.tiers[t].correct);
        Share {
            hits: self.cases.iter().filter(|c| given(c)).count(),
            of: self.cases.len(),
        }
    }

    fn cost(&self) -> (f64, f64) {
        let cascade: f64 = self.answered.iter().map(|a| a.cost_usd).sum();
        (
            cascade,
            self.cases.iter().map(|case| case.frontier.cost_usd).sum(),
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let frontier = self.args.tiers.len();
        let tiers: Vec<Value> = (0..frontier)
            .map(|tier| {
                json!({
                    "tier": self.args.tiers[tier],
                    "share": self.share(|a| a.after == tier).value(),
                    "accuracy_alone": self.alone(Some(tier)).value(),
                })
            })
            .collect();
        let (cost, frontier_cost) = self.cost();
        json!({
            "accuracy": self.share(|a| a.correct).value(),
            "accuracy_interval_95": self.share(|a| a.correct).interval(),
            "frontier_share": self.share(|a| a.after == frontier).value(),
            "frontier_accuracy": self.alone(None).value(),
            "disagreement": self.share(|a| !a.agrees).value(),
            "tiers": tiers,
            "cost_usd": cost,
            "frontier_cost_usd": frontier_cost,
            "records": self.cases.len(),
            "records_left_out": self.left_out,
        })
    }

    pub(super) fn to_text(&self) -> Vec<String> {
        let mut rows = table(&["", "answers", "right when alone"]);
        let names = self
            .args
            .tiers
            .iter()
            .chain([&self.args.frontier])
            .enumerate();
        for (tier, name) in names {
            let alone = self.alone((tier < self.args.tiers.len()).then_some(tier));
            rows.add_row(vec![
                name.clone(),
                percent(self.share(|a| a.after == tier)),
                percent(alone),
            ]);
        }
        let (cost, frontier_cost) = self.cost();
        let mut lines = vec![
            format!("cascade right on {}", percent(self.share(|a| a.correct))),
            format!(
                "differs from {} on {}",
                self.args.frontier,
                percent(self.share(|a| !a.agrees))
            ),
            format!(
                "costs ${cost:.4}, {} alone ${frontier_cost:.4}",
                self.args.frontier
            ),
            rows.to_string(),
        ];
        lines.extend(output::left_out(
            self.left_out,
            "an answer of one of them, or whether it is right",
        ));
        lines
    }
}
