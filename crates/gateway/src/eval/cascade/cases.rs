//! The records, with what each tier made of them.

use anyhow::{Context as _, bail};
use domain::{Label, Labels};
use routing::folds::{Folds, out_of_fold};
use routing::student::{Example, Student, StudentOptions};

use super::CascadeArgs;
use crate::eval::pairs;
use crate::eval::records::{self, EvalRecord};

/// The name by which a student takes the place of a model.
const STUDENT: &str = "student";

/// What one tier made of a record.
pub(super) struct Given {
    pub(super) answer: String,
    pub(super) correct: bool,
    /// How sure it was, on the scale of log-odds, 0 where it didn't say.
    pub(super) sureness: f64,
    pub(super) cost_usd: f64,
}

/// A record with what each tier and the frontier made of it.
pub(super) struct Case {
    pub(super) tiers: Vec<Given>,
    pub(super) frontier: Given,
    /// The student's log-odds of each answer.
    pub(super) student: Vec<(String, f64)>,
}

/// What is learned from and tested on.
pub(super) struct Cases {
    /// Those of the training file that have all answers.
    pub(super) extra: Vec<Case>,
    /// Those of the test file.
    pub(super) cases: Vec<Case>,
    /// Records of the test file without one of the answers.
    pub(super) left_out: usize,
}

pub(super) fn cases(args: &CascadeArgs) -> anyhow::Result<Cases> {
    let has_student = args.tiers.iter().any(|tier| tier == STUDENT);
    let is_taught = |record: &EvalRecord| -> anyhow::Result<()> {
        if has_student {
            record.text()?;
            record.gold()?;
        }
        Ok(())
    };
    let models = |record: &EvalRecord| -> anyhow::Result<()> {
        is_taught(record)?;
        let names = args.tiers.iter().chain([&args.frontier]);
        let mut names = names.filter(|name| *name != STUDENT || !has_student);
        names.try_for_each(|name| given(record, name, &Odds::new()).map(|_| ()))
    };
    let (train, _) = records::with(records::read(&args.train)?, is_taught)?;
    let (test, left_out) = records::with(records::read(&args.test)?, models)?;
    let (seen, unseen) = if has_student {
        student_odds(&train, &test, args.seed)?
    } else {
        (vec![Vec::new(); train.len()], vec![Vec::new(); test.len()])
    };
    let extra = train.iter().zip(seen);
    let extra = extra.filter(|(record, _)| models(record).is_ok());
    let extra = extra.map(|(record, odds)| case(record, odds, args));
    let cases = test.iter().zip(unseen);
    let cases = cases.map(|(record, odds)| case(record, odds, args));
    Ok(Cases {
        extra: extra.collect::<anyhow::Result<_>>()?,
        cases: cases.collect::<anyhow::Result<_>>()?,
        left_out,
    })
}

type Odds = Vec<(String, f64)>;

/// The student's log-odds: out of fold on the records it learns from, and on the others.
fn student_odds(
    train: &[EvalRecord],
    test: &[EvalRecord],
    seed: u64,
) -> anyhow::Result<(Vec<Odds>, Vec<Odds>)> {
    let mut names = train
        .iter()
        .map(EvalRecord::gold)
        .collect::<anyhow::Result<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    let label = |name: &&str| Label {
        name: (*name).to_owned(),
        definition: None,
    };
    let labels = Labels::new(names.iter().map(label).collect())
        .context("the training records' `gold` answers are no set of labels")?;
    let example = |record: &'_ EvalRecord| -> anyhow::Result<usize> {
        let gold = record.gold()?;
        names
            .iter()
            .position(|name| *name == gold)
            .context("every gold answer is a label")
    };
    let mut examples = Vec::with_capacity(train.len());
    for record in train {
        examples.push(Example {
            text: record.text()?,
            label: example(record)?,
        });
    }
    let options = StudentOptions {
        seed,
        ..StudentOptions::default()
    }
    .chosen_for(&labels, &examples)?;
    let student = Student::train(&labels, &examples, &options)?;
    let folds = Folds::new(examples.len(), 5, seed)?;
    let odds = |p: &domain::LabelProbabilities| -> Odds {
        names
            .iter()
            .zip(p.as_slice())
            .map(|(name, &p)| ((*name).to_owned(), log_odds(p)))
            .collect()
    };
    let seen = out_of_fold(&labels, &examples, &options, &folds)?;
    let unseen = test
        .iter()
        .map(|record| Ok(odds(&student.predict(record.text()?))));
    Ok((
        seen.iter().map(odds).collect(),
        unseen.collect::<anyhow::Result<_>>()?,
    ))
}

/// The log-odds of a probability, kept within ±8.
pub(super) fn log_odds(p: f64) -> f64 {
    let p = p.clamp(3.4e-4, 1.0 - 3.4e-4);
    (p / (1.0 - p)).ln()
}

fn case(record: &EvalRecord, student: Odds, args: &CascadeArgs) -> anyhow::Result<Case> {
    let given = |name: &String| given(record, name, &student);
    Ok(Case {
        tiers: args
            .tiers
            .iter()
            .map(given)
            .collect::<anyhow::Result<_>>()?,
        frontier: given(&args.frontier)?,
        student,
    })
}

fn given(record: &EvalRecord, name: &str, student: &Odds) -> anyhow::Result<Given> {
    if name == STUDENT && !student.is_empty() {
        let top = student.iter().reduce(|a, b| if b.1 > a.1 { b } else { a });
        let (answer, sureness) = top.cloned().context("a student has labels")?;
        let correct = answer == record.gold()?;
        return Ok(Given {
            answer,
            correct,
            sureness,
            cost_usd: 0.0,
        });
    }
    let model = record.model(name)?;
    let (Some(answer), Some(correct)) =
        (&model.answer, pairs::right(model, record.gold.as_deref()))
    else {
        bail!(
            "{}: `{name}` has no answer, or nothing says whether it is right",
            record.place
        );
    };
    // Scores from 0 to 1 are probabilities, negative ones their logarithms.
    let probability = |score: f64| {
        if score > 0.0 {
            score.min(1.0)
        } else {
            score.exp()
        }
    };
    let sureness = pairs::score(model).map_or(0.0, |score| log_odds(probability(score)));
    let cost_usd = model.cost_usd.unwrap_or(0.0);
    Ok(Given {
        answer: answer.trim().to_lowercase(),
        correct,
        sureness,
        cost_usd,
    })
}
