//! `tiergate eval cascade`: tiers one after the other, and a frontier for what none is sure of.
//!
//! After all tiers, or in turn after each, a deferral head says how likely the best answer so far is right, from the
//! student's probabilities, the other tiers' confidence and their agreement. One threshold on
//! that probability decides. Heads and threshold for a record are fitted on other
//! records: the test file is cut into folds, and records of the training file that have the
//! tiers' answers are added to each.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use domain::{Label, Labels};
use routing::evaluation::Share;
use routing::folds::{Folds, out_of_fold};
use routing::head::{Head, Observation};
use routing::student::{Example, Student, StudentOptions};
use serde_json::{Value, json};

use super::output::{self, percent};
use super::pairs;
use super::records::{self, EvalRecord};
use crate::terminal::table;

/// The name by which a student takes the place of a model.
const STUDENT: &str = "student";

/// How strongly the heads' weights are held to zero.
const RIDGE: f64 = 1.0;

/// A threshold must meet its goal with so many standard errors to spare on the records it is
/// chosen on: what is just met here is missed on other records every second time.
const MARGIN: f64 = 1.0;

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

/// What one tier made of a record.
struct Given {
    answer: String,
    correct: bool,
    /// How sure it was, on the scale of log-odds, 0 where it didn't say.
    sureness: f64,
    cost_usd: f64,
}

/// A record with what each tier and the frontier made of it.
struct Case {
    tiers: Vec<Given>,
    frontier: Given,
    /// The student's log-odds of each answer.
    student: Vec<(String, f64)>,
}

/// The best answer after so many tiers: whose it is, and how likely it is right.
#[derive(Clone, Copy)]
struct Stage {
    tier: usize,
    asked: usize,
    probability: f64,
}

/// The head for answers after so many tiers.
struct Fitted {
    asked: usize,
    head: Head,
}

/// How a record was answered.
struct Answered {
    /// The tier after which it was accepted; the number of tiers for the frontier.
    after: usize,
    correct: bool,
    agrees: bool,
    cost_usd: f64,
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

/// What is learned from and tested on.
struct Cases {
    /// Those of the training file that have all answers.
    extra: Vec<Case>,
    /// Those of the test file.
    cases: Vec<Case>,
    /// Records of the test file without one of the answers.
    left_out: usize,
}

fn cases(args: &CascadeArgs) -> anyhow::Result<Cases> {
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
fn log_odds(p: f64) -> f64 {
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

/// What speaks for the answer of one tier, after the first so many tiers.
fn evidence(case: &Case, tier: usize, asked: usize) -> Vec<f64> {
    let answer = &case.tiers[tier].answer;
    let mut evidence = Vec::new();
    for given in &case.tiers[..asked] {
        let agrees = given.answer == *answer;
        // A tier speaks for its own answer and as strongly against another.
        evidence.push(if agrees { 1.0 } else { 0.0 });
        evidence.push(
            if agrees {
                given.sureness
            } else {
                -given.sureness
            } / 4.0,
        );
    }
    if let Some((_, odds)) = case.student.iter().find(|(label, _)| label == answer) {
        evidence.push(odds / 4.0);
    } else if !case.student.is_empty() {
        evidence.push(log_odds(0.0) / 4.0);
    }
    evidence
}

/// One head for each number of tiers after which an answer may be accepted.
fn heads(cases: &[&Case], args: &CascadeArgs) -> anyhow::Result<Vec<Fitted>> {
    let n_tiers = args.tiers.len();
    let head = |asked: usize| {
        let observation = |case: &&Case, tier: usize| Observation {
            evidence: evidence(case, tier, asked),
            correct: case.tiers[tier].correct,
        };
        let records: Vec<Observation> = cases
            .iter()
            .flat_map(|case| (0..asked).map(move |tier| observation(case, tier)))
            .collect();
        let head =
            Head::fit(&records, RIDGE).context("too few records to fit the deferral head on")?;
        Ok(Fitted { asked, head })
    };
    (if args.in_turn { 1 } else { n_tiers }..=n_tiers)
        .map(head)
        .collect()
}

/// The best answer after each number of tiers asked.
fn stages(case: &Case, heads: &[Fitted]) -> Vec<Stage> {
    let stage = |fitted: &Fitted| {
        let asked = fitted.asked;
        let probability = |tier| fitted.head.probability(&evidence(case, tier, asked));
        (0..asked)
            .map(|tier| Stage {
                tier,
                asked,
                probability: probability(tier),
            })
            .reduce(|a, b| if b.probability > a.probability { b } else { a })
    };
    heads.iter().filter_map(stage).collect()
}

fn answer(case: &Case, heads: &[Fitted], threshold: f64) -> Answered {
    let accepted = stages(case, heads)
        .into_iter()
        .find(|stage| stage.probability >= threshold);
    let last = accepted.map_or(&case.frontier, |stage| &case.tiers[stage.tier]);
    let asked = accepted.map_or(case.tiers.len(), |stage| stage.asked);
    let frontier_cost = if accepted.is_none() {
        case.frontier.cost_usd
    } else {
        0.0
    };
    let asked_cost: f64 = case.tiers[..asked].iter().map(|given| given.cost_usd).sum();
    Answered {
        after: accepted.map_or(case.tiers.len(), |stage| stage.asked - 1),
        correct: last.correct,
        agrees: last.answer == case.frontier.answer,
        cost_usd: asked_cost + frontier_cost,
    }
}

/// The lowest threshold that keeps to the largest share of calls, or else that is as often right
/// as the frontier alone.
fn threshold(cases: &[&Case], heads: &[Fitted], calls_max: Option<f64>) -> f64 {
    // What counts for a threshold is each record's highest probability on the way.
    let mut records: Vec<(f64, &Case)> = cases
        .iter()
        .map(|case| {
            let top = stages(case, heads)
                .iter()
                .map(|stage| stage.probability)
                .fold(0.0, f64::max);
            (top, *case)
        })
        .collect();
    records.sort_by(|a, b| b.0.total_cmp(&a.0));
    if let Some(share) = calls_max {
        let n = records.len() as f64;
        let share = share - MARGIN * (share * (1.0 - share) / n).sqrt();
        let kept = (((1.0 - share) * n).ceil() as usize).min(records.len());
        return records
            .get(kept.max(1) - 1)
            .map_or(f64::INFINITY, |(top, _)| *top);
    }
    let steps = (0..=200).map(|step| f64::from(step) / 200.0);
    steps
        .into_iter()
        .find(|&t| loses_nothing(cases, heads, t))
        .unwrap_or(f64::INFINITY)
}

/// Whether the cascade gains on the frontier alone by more than the margin.
fn loses_nothing(cases: &[&Case], heads: &[Fitted], threshold: f64) -> bool {
    let (mut gained, mut lost) = (0.0_f64, 0.0_f64);
    for case in cases {
        match (
            answer(case, heads, threshold).correct,
            case.frontier.correct,
        ) {
            (true, false) => gained += 1.0,
            (false, true) => lost += 1.0,
            _ => {}
        }
    }
    gained - lost >= MARGIN * (gained + lost).sqrt()
}

/// What the cascade came to.
struct Findings<'a> {
    cases: &'a [Case],
    answered: &'a [Answered],
    args: &'a CascadeArgs,
    left_out: usize,
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

    fn to_json(&self) -> Value {
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

    fn to_text(&self) -> Vec<String> {
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
