//! `tiergate eval online`: a student that learns from a teacher while it works.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use domain::{Label, Labels};
use routing::evaluation::Share;
use routing::online::{OnlineOptions, OnlineStudent, Verdict};
use routing::student::StudentOptions;
use serde_json::{Value, json};

use super::output::{self, percent};
use super::records::{self, EvalRecord};

/// The student's inverse regularisation: a teacher's labels are noisier than gold ones, so it is
/// held closer to zero than its default.
const REGULARISATION: f64 = 1.0;

/// The stream and the budget.
#[derive(clap::Args, Debug)]
pub(crate) struct OnlineArgs {
    /// Records in stream order, with texts and the teacher's answers
    #[arg(long)]
    records: PathBuf,
    /// The model that is called where the student is unsure
    #[arg(long)]
    teacher: String,
    /// The label that must not be missed
    #[arg(long)]
    flag: Option<String>,
    /// How much more a missed flag counts than another wrong answer
    #[arg(long, default_value_t = 1.0, requires = "flag")]
    flag_weight: f64,
    /// Share of requests for which the teacher may be called
    #[arg(long, default_value_t = 0.4)]
    calls: f64,
    /// Share of kept requests that are called as audits
    #[arg(long, default_value_t = 0.02)]
    audits: f64,
    /// Labels before the first student is trained
    #[arg(long, default_value_t = 200)]
    labels_first: usize,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came of the stream.
#[derive(Default)]
struct Findings {
    /// Records without a text or the teacher's answer.
    left_out: usize,
    call_share: f64,
    /// Answers, called ones included, that are the teacher's.
    agreement: Share,
    /// Kept answers that are the teacher's.
    agreement_kept: Share,
    /// Audits in which the student would have agreed.
    agreement_audited: Share,
    right: Share,
    teacher_right: Share,
    /// Records whose gold answer is the flag that were answered with it.
    recall: Share,
    teacher_recall: Share,
    /// Records that the teacher flags that were flagged.
    recall_of_teacher: Share,
}

pub(crate) fn run(args: &OnlineArgs) -> anyhow::Result<()> {
    for (name, share) in [("--calls", args.calls), ("--audits", args.audits)] {
        ensure!(
            (0.0..=1.0).contains(&share),
            "{name}: {share} is outside 0 to 1, for example 0.02"
        );
    }
    let (records, left_out) = records::with(records::read(&args.records)?, |record| {
        record.text()?;
        taught(record, args).map(|_| ())
    })?;
    let findings = Findings {
        left_out,
        ..stream(&records, args)?
    };
    output::print(&if args.json {
        output::Report::Machine(findings.to_json(records.len()))
    } else {
        output::Report::People(findings.to_text(args))
    });
    Ok(())
}

fn taught<'a>(record: &'a EvalRecord, args: &OnlineArgs) -> anyhow::Result<&'a str> {
    let Some(answer) = &record.model(&args.teacher)?.answer else {
        bail!(
            "{}: `{}` has no answer; a teacher must have answered",
            record.place,
            args.teacher
        );
    };
    Ok(answer)
}

fn stream(records: &[EvalRecord], args: &OnlineArgs) -> anyhow::Result<Findings> {
    let mut names = records
        .iter()
        .map(|r| taught(r, args))
        .collect::<anyhow::Result<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    let index = |answer: &str| names.iter().position(|name| *name == answer);
    let flag = match &args.flag {
        None => None,
        Some(flag) => Some(index(flag).with_context(|| {
            format!(
                "--flag: the teacher never answers `{flag}`, but {}",
                names.join(", ")
            )
        })?),
    };
    let label = |name: &&str| Label {
        name: (*name).to_owned(),
        definition: None,
    };
    let labels = Labels::new(names.iter().map(label).collect())
        .context("the teacher's answers are no set of labels")?;
    let options = OnlineOptions {
        calls: args.calls,
        audits: args.audits,
        flag: flag.map(|flag| (flag, args.flag_weight)),
        labels_first: args.labels_first,
        student: StudentOptions {
            seed: args.seed,
            inverse_regularisation: REGULARISATION,
            ..StudentOptions::default()
        },
        seed: args.seed,
    };
    let mut online = OnlineStudent::new(labels, options);
    let mut findings = Findings::default();
    for record in records {
        let (text, teacher) = (
            record.text()?,
            index(taught(record, args)?).unwrap_or_default(),
        );
        let answer = match online.decide(text) {
            Verdict::Keep(p) => {
                count(&mut findings.agreement_kept, p.top().0 == teacher);
                p.top().0
            }
            verdict => {
                if let Verdict::Audit(p) = verdict {
                    count(&mut findings.agreement_audited, p.top().0 == teacher);
                }
                online.learn(text, teacher);
                teacher
            }
        };
        findings.count(record, names[answer], names[teacher], args.flag.as_deref());
    }
    findings.call_share = online.call_share();
    Ok(findings)
}

fn count(share: &mut Share, hit: bool) {
    share.of += 1;
    share.hits += usize::from(hit);
}

impl Findings {
    fn count(&mut self, record: &EvalRecord, answer: &str, teacher: &str, flag: Option<&str>) {
        count(&mut self.agreement, answer == teacher);
        if let Some(gold) = record.gold.as_deref() {
            count(&mut self.right, answer == gold);
            count(&mut self.teacher_right, teacher == gold);
            if flag == Some(gold) {
                count(&mut self.recall, answer == gold);
                count(&mut self.teacher_recall, teacher == gold);
            }
        }
        if flag == Some(teacher) {
            count(&mut self.recall_of_teacher, answer == teacher);
        }
    }

    fn to_json(&self, n_records: usize) -> Value {
        json!({
            "agreement": self.agreement.value(),
            "recall": self.recall.value(),
            "call_share": self.call_share,
            "agreement_kept": self.agreement_kept.value(),
            "agreement_audited": self.agreement_audited.value(),
            "agreement_audited_interval_95": self.agreement_audited.interval(),
            "accuracy": self.right.value(),
            "teacher_accuracy": self.teacher_right.value(),
            "teacher_recall": self.teacher_recall.value(),
            "recall_of_teacher_flags": self.recall_of_teacher.value(),
            "records": n_records,
            "records_left_out": self.left_out,
        })
    }

    fn to_text(&self, args: &OnlineArgs) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{} called for {:.1} % of requests",
                args.teacher,
                self.call_share * 100.0
            ),
            format!("answers are the teacher's on {}", percent(self.agreement)),
            format!(
                "kept answers on {}, audited ones on {}",
                percent(self.agreement_kept),
                percent(self.agreement_audited)
            ),
            format!(
                "right on {}, the teacher on {}",
                percent(self.right),
                percent(self.teacher_right)
            ),
        ];
        if let Some(flag) = &args.flag {
            lines.push(format!(
                "of `{flag}` found {}, the teacher {}; of what the teacher flags {}",
                percent(self.recall),
                percent(self.teacher_recall),
                percent(self.recall_of_teacher)
            ));
        }
        let lacking = format!("a text or an answer of {}", args.teacher);
        lines.extend(output::left_out(self.left_out, &lacking));
        lines
    }
}
