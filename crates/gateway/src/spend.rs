//! `tiergate ledger`: what was spent, on what, and what all-frontier would have cost.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use domain::{Picodollars, TaskName};
use ledger::{Balance, Purpose, Reader, SpendLine, TaskDecisions, TimeRange, Timestamp, Total};
use serde_json::{Value, json};

use crate::app::ledger_file;
use crate::certificate::{Extent, Standing};
use crate::certificates::standings;
use crate::cli::LedgerArgs;
use crate::clock::{date_of, midnight};
use crate::config;
use crate::terminal::{count, figures, percent, say};

/// What the ledger of a config holds.
struct Spend {
    lines: Vec<SpendLine>,
    decisions: Vec<TaskDecisions>,
    balances: Vec<Balance>,
    /// Where the thresholds of tasks with a target come from.
    standings: Vec<(TaskName, Extent, Standing)>,
}

/// Shows the ledger.
///
/// # Errors
/// When the config is wrong, there is no ledger, it can't be read, or its sums don't agree with
/// its lines.
pub(crate) fn command(args: &LedgerArgs) -> anyhow::Result<ExitCode> {
    // Reading needs no key.
    let mut config = config::load_without_secrets(&args.config.config)?;
    if args.simulated {
        config.keep_simulated_apart();
    }
    let file = ledger_file(&config);
    if !file.exists() {
        bail!(
            "there is no ledger at {} yet; `tiergate run` and `tiergate serve` write one",
            file.display()
        );
    }
    let reader = Reader::open(&file)?;
    let faults = reader.verify()?;
    if !faults.is_empty() {
        bail!(
            "the ledger {} contradicts itself; keep the file and report this:\n  {}",
            file.display(),
            faults.join("\n  ")
        );
    }
    let range = range(args)?;
    let spend = Spend {
        lines: reader.spend(range)?,
        decisions: reader.decisions(range)?,
        balances: reader.balances()?,
        standings: standings(&config, Some(&reader))?,
    };
    if args.json {
        say(format_args!("{:#}", spend.to_json()));
    } else {
        say(spend.to_text());
    }
    Ok(ExitCode::SUCCESS)
}

fn range(args: &LedgerArgs) -> anyhow::Result<TimeRange> {
    let from = args.from.map_or(Timestamp::from_unix_ms(0), midnight);
    let Some(to) = args.to else {
        return Ok(TimeRange::since(from));
    };
    let after = to.tomorrow().context("--to is the last day there is")?;
    if args.from.is_some_and(|from| from > to) {
        bail!("--from is after --to; give the earlier day first");
    }
    Ok(TimeRange::from(from..midnight(after)))
}

impl Spend {
    fn to_text(&self) -> String {
        let mut parts = vec![self.spent().to_string(), self.compared().to_string()];
        if !self.balances.is_empty() {
            parts.push(self.budgets().to_string());
        }
        parts.push(self.notes());
        parts.join("\n")
    }

    fn spent(&self) -> comfy_table::Table {
        let header = [
            "day (UTC)",
            "task",
            "tier",
            "attempts",
            "tokens in",
            "out",
            "settled",
            "held",
            "kept",
        ];
        let mut table = figures(&header);
        let (mut attempts, mut settled, mut held, mut kept) =
            (0, Total::ZERO, Total::ZERO, Total::ZERO);
        for line in &self.lines {
            table.add_row([
                date_of(line.day).to_string(),
                line.task.to_string(),
                match line.purpose {
                    Purpose::Answer => line.tier.to_string(),
                    Purpose::Audit => format!("{} (audits)", line.tier),
                },
                thousands(line.attempts),
                thousands(line.prompt_tokens),
                thousands(line.completion_tokens),
                dollars(line.settled),
                dollars(line.held),
                dollars(line.kept),
            ]);
            attempts += line.attempts;
            settled += line.settled;
            held += line.held;
            kept += line.kept;
        }
        let none = String::new;
        table.add_row([
            "all".to_owned(),
            none(),
            none(),
            thousands(attempts),
            none(),
            none(),
            dollars(settled),
            dollars(held),
            dollars(kept),
        ]);
        table
    }

    fn compared(&self) -> comfy_table::Table {
        let header = [
            "task",
            "requests",
            "answered by",
            "review",
            "failed",
            "cost",
            "all-frontier",
            "saved",
        ];
        let mut table = figures(&header);
        for task in &self.decisions {
            let answered: Vec<String> = task
                .answered_by
                .iter()
                .map(|(tier, answered)| format!("{tier} {}", thousands(*answered)))
                .collect();
            let compared = &task.compared;
            let (instead, saved) = match compared.requests {
                0 => ("–".to_owned(), "–".to_owned()),
                _ => (dollars(compared.counterfactual), saved(compared)),
            };
            table.add_row([
                task.task.to_string(),
                thousands(task.requests),
                answered.join(", "),
                thousands(task.review),
                thousands(task.failed),
                dollars(task.cost),
                instead,
                saved,
            ]);
        }
        table
    }

    fn budgets(&self) -> comfy_table::Table {
        let header = ["budget", "since (UTC)", "settled", "held", "kept"];
        let mut table = figures(&header);
        for balance in &self.balances {
            table.add_row([
                balance.budget.clone(),
                date_of(balance.window_start).to_string(),
                balance.settled.to_string(),
                balance.held.to_string(),
                balance.kept.to_string(),
            ]);
        }
        table
    }

    fn notes(&self) -> String {
        let mut notes = vec![
            "settled: booked from the vendor's usage; held: attempts under way, at their worst case; kept: attempts whose usage never came, at their worst case.".to_owned(),
        ];
        let estimated: u64 = self
            .decisions
            .iter()
            .map(|task| task.compared.estimated)
            .sum();
        if estimated > 0 {
            notes.push(format!(
                "all-frontier: for {} requests that the frontier did not answer it is estimated from the length of prompt and answer, four bytes a token.",
                thousands(estimated)
            ));
        }
        for (task, extent, standing) in &self.standings {
            let task = extent.name(task);
            notes.push(format!("{task}: {}.", standing.in_words()));
        }
        let over: u64 = self.lines.iter().map(|line| line.over_hold).sum();
        if over > 0 {
            notes.push(format!(
                "{over} attempts cost more than was held for them: compare the config's prices and limits with the vendor's."
            ));
        }
        notes.join("\n")
    }

    /// Amounts are exact, as texts in US dollars.
    fn to_json(&self) -> Value {
        let spend = self.lines.iter().map(|line| {
            json!({
                "day": date_of(line.day).to_string(),
                "task": line.task.as_str(),
                "tier": line.tier.as_str(),
                "purpose": match line.purpose {
                    Purpose::Answer => "answer",
                    Purpose::Audit => "audit",
                },
                "attempts": line.attempts,
                "prompt_tokens": line.prompt_tokens,
                "cached_prompt_tokens": line.cached_prompt_tokens,
                "completion_tokens": line.completion_tokens,
                "settled_usd": line.settled.to_usd(),
                "held_usd": line.held.to_usd(),
                "kept_usd": line.kept.to_usd(),
                "released_usd": line.released.to_usd(),
                "over_hold": line.over_hold,
            })
        });
        let tasks = self.decisions.iter().map(|task| {
            let answered: serde_json::Map<String, Value> = task
                .answered_by
                .iter()
                .map(|(tier, n)| (tier.to_string(), json!(n)))
                .collect();
            json!({
                "task": task.task.as_str(),
                "requests": task.requests,
                "answered_by": answered,
                "review": task.review,
                "failed": task.failed,
                "escalations": task.escalations,
                "fallbacks": task.fallbacks,
                "cost_usd": task.cost.to_usd(),
                "all_frontier": {
                    "requests": task.compared.requests,
                    "estimated": task.compared.estimated,
                    "cost_usd": task.compared.cost.to_usd(),
                    "instead_usd": task.compared.counterfactual.to_usd(),
                },
            })
        });
        let budgets = self.balances.iter().map(|balance| {
            json!({
                "budget": balance.budget,
                "since": date_of(balance.window_start).to_string(),
                "settled_usd": balance.settled.to_usd(),
                "held_usd": balance.held.to_usd(),
                "kept_usd": balance.kept.to_usd(),
            })
        });
        json!({
            "thresholds": self.standings.iter().map(thresholds_json).collect::<Vec<_>>(),
            "spend": spend.collect::<Vec<_>>(),
            "tasks": tasks.collect::<Vec<_>>(),
            "budgets": budgets.collect::<Vec<_>>(),
        })
    }
}

fn thresholds_json((task, extent, standing): &(TaskName, Extent, Standing)) -> Value {
    let certificate = standing.certificate().map(|certificate| {
        json!({
            "made": certificate.made.to_string(),
            "max_error": certificate.goal.alpha(),
            "confidence": certificate.confidence(),
            "records": certificate.records,
        })
    });
    json!({
        "task": extent.name(task),
        "thresholds": standing.word(),
        "certificate": certificate,
    })
}

fn saved(compared: &ledger::Compared) -> String {
    let instead = compared.counterfactual.as_usd_f64();
    if instead > 0.0 {
        percent(1.0 - compared.cost.as_usd_f64() / instead)
    } else {
        "–".to_owned()
    }
}

/// A sum for a person; beyond what one line can hold it is shown to the last digit.
fn dollars(total: Total) -> String {
    match i64::try_from(total.0) {
        Ok(amount) => Picodollars::new(amount).to_string(),
        Err(_) => format!("${}", total.to_usd()),
    }
}

fn thousands(number: u64) -> String {
    usize::try_from(number).map_or_else(|_| number.to_string(), count)
}
