//! `tiergate eval router`: how well one can tell before the call that the strong tier is needed.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use routing::folds::Folds;
use routing::router::{Comparison, Router, RouterReport};
use serde_json::{Value, json};

use super::output;
use super::pairs;
use super::records::{self, EvalRecord};
use crate::terminal::table;

/// What to learn a router from.
#[derive(clap::Args, Debug)]
pub(crate) struct RouterArgs {
    /// Records with texts and both models' correctness
    #[arg(long)]
    records: PathBuf,
    /// The model that is asked by default
    #[arg(long)]
    weak: String,
    /// The model that is asked where it is worth it
    #[arg(long)]
    strong: String,
    /// Number of folds; each is routed by a router that learned from the others
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came of it.
struct Findings {
    report: RouterReport,
    n_records: usize,
    /// Records without a text, or of which it isn't known whether one of the models was right.
    left_out: usize,
    seconds_train: f64,
    /// Of one decision, on one core.
    microseconds: f64,
}

pub(crate) fn run(args: &RouterArgs) -> anyhow::Result<()> {
    let records = records::read(&args.records)?;
    let (records, left_out) =
        records::with(records, |record| comparison(record, args).map(|_| ()))?;
    let comparisons = records
        .iter()
        .map(|record| comparison(record, args))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        comparisons.iter().any(|it| it.gain() != 0),
        "{}: `{}` and `{}` are right on the same records, so there is nothing to choose",
        args.records.display(),
        args.weak,
        args.strong
    );
    let folds = Folds::new(records.len(), args.folds, args.seed)
        .with_context(|| args.records.display().to_string())?;
    let (mut scored, mut seconds_train, mut seconds) = (Vec::new(), 0.0, 0.0);
    for fold in 0..folds.n_folds() {
        let seen: Vec<_> = folds
            .train(fold)
            .into_iter()
            .map(|i| comparisons[i])
            .collect();
        let start = Instant::now();
        let router =
            Router::train(&seen, args.seed).with_context(|| args.records.display().to_string())?;
        seconds_train += start.elapsed().as_secs_f64();
        let start = Instant::now();
        for i in folds.test(fold) {
            let record = comparisons[i];
            scored.push((router.gain(record.text, record.subject), record));
        }
        seconds += start.elapsed().as_secs_f64();
    }
    let findings = Findings {
        report: RouterReport::new(&scored),
        n_records: scored.len(),
        left_out,
        seconds_train,
        microseconds: seconds * 1e6 / scored.len() as f64,
    };
    output::print(&if args.json {
        output::Report::Machine(findings.to_json())
    } else {
        output::Report::People(findings.to_text(args))
    });
    Ok(())
}

fn comparison<'a>(record: &'a EvalRecord, args: &RouterArgs) -> anyhow::Result<Comparison<'a>> {
    let right = |name: &str| match pairs::right(record.model(name)?, record.gold.as_deref()) {
        Some(right) => Ok(right),
        None => bail!(
            "{}: `{name}` has neither `correct` nor an answer beside `gold`",
            record.place
        ),
    };
    Ok(Comparison {
        text: record.text()?,
        subject: record.subject.as_deref().unwrap_or_default(),
        weak_right: right(&args.weak)?,
        strong_right: right(&args.strong)?,
    })
}

impl Findings {
    fn to_json(&self) -> Value {
        let (weak, strong) = self.report.ends();
        let percent = |share: Option<f64>| share.map(|share| share * 100.0);
        json!({
            "apgr": self.report.apgr(),
            "cpt50": percent(self.report.calls_for(0.5)),
            "cpt80": percent(self.report.calls_for(0.8)),
            "weak_accuracy": weak,
            "strong_accuracy": strong,
            "points": self.report.points,
            "records": self.n_records,
            "records_left_out": self.left_out,
            "seconds_train": self.seconds_train,
            "microseconds_per_request": self.microseconds,
        })
    }

    fn to_text(&self, args: &RouterArgs) -> Vec<String> {
        let percent =
            |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{:.1} %", x * 100.0));
        let (weak, strong) = self.report.ends();
        let mut rows = table(&["calls of the strong tier", "accuracy"]);
        for &(share, accuracy) in &self.report.points {
            rows.add_row(vec![percent(Some(share)), percent(Some(accuracy))]);
        }
        let mut lines = vec![
            format!(
                "{} alone {}, {} alone {}",
                args.weak,
                percent(Some(weak)),
                args.strong,
                percent(Some(strong))
            ),
            format!(
                "APGR {}; half of the gap with {} of calls, four fifths with {}",
                self.report
                    .apgr()
                    .map_or("–".to_owned(), |apgr| format!("{apgr:.3}")),
                percent(self.report.calls_for(0.5)),
                percent(self.report.calls_for(0.8))
            ),
            format!(
                "{:.0} µs a request, {:.1} s to learn",
                self.microseconds, self.seconds_train
            ),
            rows.to_string(),
        ];
        lines.extend(output::left_out(
            self.left_out,
            "a text, or whether a model was right",
        ));
        lines
    }
}
