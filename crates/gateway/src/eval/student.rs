//! `tiergate eval student`: how well a student learns a task from its labels.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use domain::{Label, Labels};
use routing::evaluation::{Prediction, Report};
use routing::folds::Folds;
use routing::random::Random;
use routing::student::{Example, Student, StudentOptions};
use serde_json::{Value, json};

use super::output::{self, percent};
use super::records::{self, EvalRecord};
use crate::terminal::table;

/// What to train and test a student on.
#[derive(clap::Args, Debug)]
pub(crate) struct StudentArgs {
    /// Records to learn from
    #[arg(long, requires = "test", required_unless_present = "data")]
    train: Option<PathBuf>,
    /// Records to be tested on
    #[arg(long, requires = "train")]
    test: Option<PathBuf>,
    /// Records that are cut into folds, each tested by a student that learned from the others
    #[arg(long, conflicts_with_all = ["train", "test"])]
    data: Option<PathBuf>,
    /// Number of folds
    #[arg(long, default_value_t = 5, requires = "data")]
    folds: usize,
    /// Learn from only this many records, drawn by chance
    #[arg(long)]
    labels_max: Option<usize>,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came of training and testing.
struct Findings {
    labels: Labels,
    report: Report,
    n_train: usize,
    seconds_train: f64,
    seconds_predict: f64,
    /// Texts that were both learned from and tested on: they flatter the student.
    texts_in_both: usize,
    /// Records without a text or a right answer.
    left_out: usize,
}

pub(crate) fn run(args: &StudentArgs) -> anyhow::Result<()> {
    let findings = findings(args)?;
    output::print(&if args.json {
        output::Report::Machine(findings.to_json())
    } else {
        output::Report::People(findings.to_text())
    });
    Ok(())
}

fn findings(args: &StudentArgs) -> anyhow::Result<Findings> {
    if let Some(path) = &args.data {
        let (records, left_out) = known(path)?;
        let folds = Folds::new(records.len(), args.folds, args.seed)
            .with_context(|| path.display().to_string())?;
        let parts: Vec<_> = (0..folds.n_folds())
            .map(|k| (folds.train(k), folds.test(k)))
            .collect();
        return test_parts((&records, left_out), &parts, args);
    }
    let (Some(train), Some(test)) = (&args.train, &args.test) else {
        bail!("say what to learn from: --train F --test F, or --data F for folds of one file");
    };
    let (mut records, left_out) = known(train)?;
    let n_train = records.len();
    let (tested, left_out_too) = known(test)?;
    records.extend(tested);
    let part = ((0..n_train).collect(), (n_train..records.len()).collect());
    test_parts((&records, left_out + left_out_too), &[part], args)
}

/// The records of a file that have a text and a right answer, and how many have not.
fn known(path: &Path) -> anyhow::Result<(Vec<EvalRecord>, usize)> {
    records::with(records::read(path)?, |record| {
        record.text()?;
        record.gold().map(|_| ())
    })
}

/// Trains on the first and tests on the second list of each part, and reports on all tests.
fn test_parts(
    (records, left_out): (&[EvalRecord], usize),
    parts: &[(Vec<usize>, Vec<usize>)],
    args: &StudentArgs,
) -> anyhow::Result<Findings> {
    let labels = labels(records)?;
    let mut examples = Vec::with_capacity(records.len());
    for record in records {
        let gold = record.gold()?;
        let label = labels.iter().position(|label| label.name == gold);
        let label = label.context("every gold answer is a label")?;
        examples.push(Example {
            text: record.text()?,
            label,
        });
    }
    let options = StudentOptions {
        seed: args.seed,
        ..StudentOptions::default()
    };
    let (mut predictions, mut seconds_train, mut seconds_predict) = (Vec::new(), 0.0, 0.0);
    let (mut n_train, mut texts_in_both) = (0, 0);
    for (train, test) in parts {
        let train = drawn(train, args);
        let seen: Vec<Example<'_>> = train.iter().map(|&i| examples[i]).collect();
        let start = Instant::now();
        let options = options.clone().chosen_for(&labels, &seen)?;
        let student = Student::train(&labels, &seen, &options)?;
        seconds_train += start.elapsed().as_secs_f64();
        let start = Instant::now();
        for &i in test {
            let probabilities = student.predict(examples[i].text);
            predictions.push(Prediction::of(&probabilities, examples[i].label));
        }
        seconds_predict += start.elapsed().as_secs_f64();
        let texts: HashSet<&str> = seen.iter().map(|example| example.text).collect();
        texts_in_both += test
            .iter()
            .filter(|&&i| texts.contains(examples[i].text))
            .count();
        n_train = n_train.max(train.len());
    }
    let report = Report::new(&predictions, labels.len());
    Ok(Findings {
        labels,
        report,
        n_train,
        seconds_train,
        seconds_predict,
        texts_in_both,
        left_out,
    })
}

/// The labels are the gold answers that occur, in alphabetical order.
fn labels(records: &[EvalRecord]) -> anyhow::Result<Labels> {
    let mut names = records
        .iter()
        .map(EvalRecord::gold)
        .collect::<anyhow::Result<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    let label = |name: &str| Label {
        name: name.to_owned(),
        definition: None,
    };
    let labels = names.into_iter().map(label).collect();
    Labels::new(labels).context("the records' `gold` answers are no set of labels")
}

fn drawn(train: &[usize], args: &StudentArgs) -> Vec<usize> {
    let mut train = train.to_vec();
    if let Some(most) = args.labels_max {
        Random::new(args.seed).shuffle(&mut train);
        train.truncate(most);
    }
    train
}

impl Findings {
    fn documents_per_second(&self) -> f64 {
        self.report.accuracy.of as f64 / self.seconds_predict
    }

    fn to_json(&self) -> Value {
        let classes: serde_json::Map<String, Value> = self
            .labels
            .iter()
            .zip(&self.report.classes)
            .map(|(label, class)| {
                let value = json!({
                    "precision": class.precision.value(),
                    "recall": class.recall.value(),
                    "f1": class.f1(),
                    "support": class.recall.of,
                });
                (label.name.clone(), value)
            })
            .collect();
        let by_share = self.report.by_share.iter().map(|kept| {
            json!({
                "share": kept.share,
                "kept": kept.accuracy.of,
                "accuracy": kept.accuracy.value(),
                "threshold": kept.threshold,
            })
        });
        json!({
            "accuracy": self.report.accuracy.value(),
            "accuracy_interval_95": self.report.accuracy.interval(),
            "macro_f1": self.report.macro_f1(),
            "calibration_error": self.report.calibration_error,
            "n_train": self.n_train,
            "n_test": self.report.accuracy.of,
            "texts_in_both": self.texts_in_both,
            "records_left_out": self.left_out,
            "classes": classes,
            "by_share": by_share.collect::<Vec<_>>(),
            "seconds_train": self.seconds_train,
            "documents_per_second": self.documents_per_second(),
        })
    }

    fn to_text(&self) -> Vec<String> {
        let report = &self.report;
        let mut classes = table(&["label", "records", "precision", "recall", "F1"]);
        let number = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{:.1} %", x * 100.0));
        for (label, class) in self.labels.iter().zip(&report.classes) {
            classes.add_row(vec![
                label.name.clone(),
                class.recall.of.to_string(),
                number(class.precision.value()),
                number(class.recall.value()),
                number(class.f1()),
            ]);
        }
        let mut shares = table(&["surest", "records", "accuracy", "from confidence"]);
        for kept in &report.by_share {
            shares.add_row(vec![
                format!("{:.0} %", kept.share * 100.0),
                kept.accuracy.of.to_string(),
                percent(kept.accuracy),
                format!("{:.3}", kept.threshold),
            ]);
        }
        let mut lines = vec![
            format!(
                "accuracy {} on {} records",
                percent(report.accuracy),
                report.accuracy.of
            ),
            format!(
                "macro F1 {:.1} %, calibration error {:.1} points",
                report.macro_f1() * 100.0,
                report.calibration_error * 100.0
            ),
            format!(
                "learned from {} records, {:.2} s in all; answers {:.0} documents a second",
                self.n_train,
                self.seconds_train,
                self.documents_per_second()
            ),
        ];
        if self.texts_in_both > 0 {
            lines.push(format!(
                "beware: {} of the tested texts were also learned from; they flatter the student",
                self.texts_in_both
            ));
        }
        lines.extend(output::left_out(self.left_out, "a text or a right answer"));
        lines.push(classes.to_string());
        lines.push(shares.to_string());
        lines
    }
}
