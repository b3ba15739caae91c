//! What records that certify nothing lead to expect of a task's tiers: the task's own labelled
//! ones, or some that were put aside. Thresholds may be chosen, and deferral heads fitted, by them
//! before the records that certify are looked at.

use anyhow::Context as _;
use domain::{TierKind, TierName};
use routing::cascade::Rule;
use routing::certificate::{Goal, Risk, certify};
use routing::deferral::{Brought, Deferral};
use routing::head::{HeadError, RECORDS_MIN};
use routing::precall::{PrecallError, PrecallRouter};
use routing::student::Student;
use routing::threshold::Scored;

use super::hearing::Hearing;
use super::ladder::Ladder;
use super::records::Sample;
use crate::app::App;
use crate::certificate::certifiable;
use crate::config::TaskConfig;
use crate::deferral::{Ranking, TierHead, brought};
use crate::learn;
use crate::learn::asking::Given;
use crate::precall::{TierRouter, foreknown};

/// The most records that an engine is asked about; more would hardly change what is expected.
const ASKED_MAX: usize = 2_000;

/// As many as a head should be fitted on, where there are so many.
const HEAD_WISH: usize = 500;

/// By what a student's answers are ranked that no other tier's come before.
pub(super) const RANKED_STUDENT: &str = "by its probability, which it has learned";

/// Records on the way of a document from tier to tier.
pub(super) struct Expectation<'a> {
    hearing: Hearing<'a>,
    sample: Sample,
    /// Whether the task's student learned from these records, so that others have to stand in.
    is_own: bool,
    /// Those that the tiers before pass on.
    left: Vec<usize>,
}

/// By what a tier's answers are ranked, and why.
pub(super) struct Ranked {
    pub(super) head: Option<TierHead>,
    pub(super) why: String,
}

impl<'a> Expectation<'a> {
    /// What the task's own records lead to expect; `None` in a task that has none, or whose
    /// student stands alone, so that nothing can come of it.
    ///
    /// # Errors
    /// When they can't be read.
    pub(super) fn of_own(app: &'a App, task: &'a TaskConfig) -> anyhow::Result<Option<Self>> {
        if let [only] = &certifiable(&app.config, task)[..]
            && app.tiers[only].kind() == TierKind::Student
        {
            return Ok(None);
        }
        let Some((records, _)) = learn::own(&app.config, task)? else {
            return Ok(None);
        };
        let labels = task.task.labels.clone();
        let labels = labels.context("a task with records of its own has labels")?;
        let sample = Sample::known(task.task.name.clone(), labels, records);
        Ok(Some(Self::new((app, task, None), sample, true)))
    }

    /// What records lead to expect that were put aside, with this student.
    pub(super) fn of_others(
        (app, task, student): (&'a App, &'a TaskConfig, Option<&'a Student>),
        sample: Sample,
    ) -> Self {
        Self::new((app, task, student), sample, false)
    }

    fn new(
        (app, task, student): (&'a App, &'a TaskConfig, Option<&'a Student>),
        sample: Sample,
        is_own: bool,
    ) -> Self {
        Self {
            left: (0..sample.records.len()).collect(),
            hearing: Hearing::new(app, (task, student)),
            sample,
            is_own,
        }
    }

    /// Has a tier answer the records that the tiers before it pass on.
    ///
    /// # Errors
    /// When the records are too few for a student to be held out, or an engine answers none.
    pub(super) async fn hear(&mut self, tier: &TierName) -> anyhow::Result<()> {
        let kind = self.hearing.kind_of(tier);
        if kind == TierKind::Student && self.is_own {
            let predictions = learn::held_out(self.hearing.task())?;
            let given = predictions.into_iter().enumerate();
            let given = given.map(|(record, it)| (record, Some(Given::label(it))));
            self.hearing.note(tier, given);
            return Ok(());
        }
        if kind != TierKind::Student {
            self.left.truncate(ASKED_MAX);
        }
        let asked = self.for_head();
        self.hearing.listen(tier, &self.sample, &asked).await
    }

    /// The records that a head is fitted on: those that the tiers before pass on, and where these
    /// are few some that they keep. A head that was fitted on others ranks a little worse and
    /// proves nothing wrong.
    fn for_head(&self) -> Vec<usize> {
        let mut records = self.left.clone();
        let others = (0..self.sample.records.len()).filter(|it| !self.left.contains(it));
        records.extend(others.take(HEAD_WISH.saturating_sub(self.left.len())));
        records
    }

    /// The head that ranks a tier's answers better than their raw confidence, after these tiers.
    pub(super) fn head(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        heard: Vec<TierName>,
    ) -> Ranked {
        if self.hearing.kind_of(tier) == TierKind::Student && heard.is_empty() {
            return Ranked::raw(RANKED_STUDENT.to_owned());
        }
        let (hearing, sample) = (&self.hearing, &self.sample);
        let record = |&record: &usize| -> Option<(Brought<'_>, bool)> {
            let said = hearing.said(tier, record)?;
            let earlier = hearing.earlier(&heard, ranking, (sample, record));
            let text = sample.records[record].text.as_str();
            let kind = hearing.task().task.kind;
            let right = hearing.is_right(tier, sample, record)?;
            Some((brought(kind, (said, &earlier), &heard, text), right))
        };
        let asked = self.for_head();
        let records: Vec<_> = asked.iter().filter_map(record).collect();
        let n_records = records.len();
        match Deferral::fit(&records) {
            Ok(Some(deferral)) => Ranked {
                why: format!("by a head of {n_records} records"),
                head: Some(TierHead {
                    heard,
                    records: n_records,
                    deferral,
                }),
            },
            Ok(None) => Ranked::raw(format!(
                "by its raw confidence, beside which a head of {n_records} records ranks no better"
            )),
            Err(HeadError::TooFew(few)) => Ranked::raw(format!(
                "by its raw confidence, because {few} records are too few for a head; 200 would do"
            )),
            Err(fault) => Ranked::raw(format!("by its raw confidence: {fault}")),
        }
    }

    /// What tells in advance which answers of a tier would not be kept, where its threshold is
    /// where these records lead to expect it for a goal; or why there is no such thing.
    pub(super) fn router(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        (heard, goal, risk): (Vec<TierName>, Goal, Risk),
    ) -> Result<TierRouter, String> {
        let asked = self.for_head();
        if asked.len() < RECORDS_MIN {
            return Err(PrecallError::TooFew(asked.len()).to_string());
        }
        let scored = |&record: &usize| self.scored(tier, ranking, record);
        let scored: Vec<Scored> = self.left.iter().filter_map(scored).collect();
        let threshold = certify(&scored, risk, as_likely_as_not(goal)).threshold;
        let threshold = threshold.ok_or_else(|| {
            let records = scored.len();
            format!("by what {records} records lead to expect, nothing would be kept in any case")
        })?;
        let (hearing, sample) = (&self.hearing, &self.sample);
        let record = |&record: &usize| {
            let confidence = hearing.confidence(tier, ranking, (sample, record))?;
            let earlier = hearing.earlier(&heard, ranking, (sample, record));
            let known = foreknown(&sample.records[record].text, &earlier, &heard)?;
            Some((known, confidence >= threshold))
        };
        let records: Vec<_> = asked.iter().filter_map(record).collect();
        let router = PrecallRouter::fit(&records).map_err(|fault| fault.to_string())?;
        Ok(TierRouter {
            records: records.len(),
            heard,
            router,
        })
    }

    /// The steps for a tier's threshold, by what it makes of these records.
    pub(super) fn ladder(&self, tier: &TierName, ranking: Ranking<'_>, goal: Goal) -> Ladder {
        let scored = |&record: &usize| self.scored(tier, ranking, record);
        let scored: Vec<Scored> = self.left.iter().filter_map(scored).collect();
        Ladder::new(&scored, goal)
    }

    /// Takes away what a tier keeps by this rule.
    pub(super) fn pass_on(&mut self, tier: &TierName, ranking: Ranking<'_>, rule: &Rule) {
        let mut left = std::mem::take(&mut self.left);
        left.retain(|&record| {
            let answer = self.hearing.answer(tier, ranking, (&self.sample, record));
            !answer.is_some_and(|it| rule.accepts(Some(it.label), Some(it.confidence)))
        });
        self.left = left;
    }

    fn scored(&self, tier: &TierName, ranking: Ranking<'_>, record: usize) -> Option<Scored> {
        Some(Scored {
            confidence: self
                .hearing
                .confidence(tier, ranking, (&self.sample, record))?,
            correct: self.hearing.is_right(tier, &self.sample, record)?,
        })
    }
}

/// The same goal where it need only be met as often as not: what is expected, and not proven.
fn as_likely_as_not(goal: Goal) -> Goal {
    Goal::new(goal.alpha(), 0.5).unwrap_or(goal)
}

impl Ranked {
    pub(super) fn raw(why: String) -> Self {
        Self { head: None, why }
    }
}
