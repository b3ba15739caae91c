//! `tiergate eval cascade`: tiers one after the other, and a frontier for what none is sure of.
//!
//! After all tiers, or in turn after each, a deferral head says how likely the best answer so far
//! is right, from the student's probabilities, the other tiers' confidence and their agreement. One
//! threshold on that probability decides. Heads and threshold for a record are fitted on other
//! records: the test file is cut into folds, and records of the training file that have the tiers'
//! answers are added to each.

mod answering;
mod cases;
mod findings;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use routing::folds::Folds;

use self::answering::{answer, heads, threshold};
use self::cases::{Case, Cases, cases};
use self::findings::Findings;
use super::output;

/// What to put in order.
#[derive(clap::Args, Debug)]
pub(crate) struct CascadeArgs {
    /// Records to learn from: the student, and heads where they have the tiers' answers
    #[arg(long)]
    train: PathBuf,
    /// Records to be tested on
    #[arg(long)]
    test: PathBuf,
    /// Tiers in the order they are asked; `student` is one learned from the training records
    #[arg(long, value_delimiter = ',', required = true)]
    tiers: Vec<String>,
    /// The model that answers what no tier is sure of
    #[arg(long)]
    frontier: String,
    /// Largest share of frontier calls; without it, the fewest that lose no accuracy
    #[arg(long)]
    calls_max: Option<f64>,
    /// Accept after any tier; without it all tiers are asked first and compared
    #[arg(long)]
    in_turn: bool,
    /// Folds of the test records
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CascadeArgs) -> anyhow::Result<()> {
    if let Some(share) = args.calls_max {
        ensure!(
            (0.0..=1.0).contains(&share),
            "--calls-max: {share} is outside 0 to 1, for example 0.2"
        );
    }
    let Cases {
        extra,
        cases,
        left_out,
    } = cases(args)?;
    let folds = Folds::new(cases.len(), args.folds, args.seed)
        .with_context(|| args.test.display().to_string())?;
    let mut answered = Vec::with_capacity(cases.len());
    for fold in 0..folds.n_folds() {
        let fitted: Vec<&Case> = folds
            .train(fold)
            .into_iter()
            .map(|i| &cases[i])
            .chain(&extra)
            .collect();
        let heads = heads(&fitted, args)?;
        let threshold = threshold(&fitted, &heads, args.calls_max);
        answered.extend(
            folds
                .test(fold)
                .into_iter()
                .map(|i| answer(&cases[i], &heads, threshold)),
        );
    }
    let findings = Findings {
        cases: &cases,
        answered: &answered,
        args,
        left_out,
    };
    output::print(&if args.json {
        output::Report::Machine(findings.to_json())
    } else {
        output::Report::People(findings.to_text())
    });
    Ok(())
}
