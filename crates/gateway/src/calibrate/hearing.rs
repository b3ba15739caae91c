//! What tiers say of records, kept so that nobody is asked twice where several things are proven.

use std::collections::HashMap;
use std::time::Instant;

use domain::{TierKind, TierName};
use routing::student::Student;

use super::records::{RIGHT, Sample};
use crate::app::App;
use crate::config::TaskConfig;
use crate::deferral::{Heard, Ranking};
use crate::learn::asking::{self, Answer, Given};

/// What a task's tiers, the student being this one, said of the records of one sample.
pub(super) struct Hearing<'a> {
    app: &'a App,
    task: &'a TaskConfig,
    student: Option<&'a Student>,
    told: HashMap<TierName, HashMap<usize, Option<Given>>>,
    /// For how many seconds each tier was busy with how many records.
    busy: HashMap<TierName, (f64, usize)>,
}

impl<'a> Hearing<'a> {
    /// Nothing was said yet.
    pub(super) fn new(
        app: &'a App,
        (task, student): (&'a TaskConfig, Option<&'a Student>),
    ) -> Self {
        Self {
            app,
            task,
            student,
            told: HashMap::new(),
            busy: HashMap::new(),
        }
    }

    pub(super) fn task(&self) -> &'a TaskConfig {
        self.task
    }

    pub(super) fn kind_of(&self, tier: &TierName) -> TierKind {
        self.app.tiers[tier].kind()
    }

    /// Has a tier answer the records that it has not answered yet. A record that it fails on goes
    /// on, as it would in production.
    ///
    /// # Errors
    /// When it answers none of them.
    pub(super) async fn listen(
        &mut self,
        tier: &TierName,
        sample: &Sample,
        left: &[usize],
    ) -> anyhow::Result<()> {
        let known = self.told.get(tier);
        let is_open = |record: &usize| !known.is_some_and(|known| known.contains_key(record));
        let open: Vec<usize> = left.iter().copied().filter(is_open).collect();
        let texts = open
            .iter()
            .map(|&record| sample.records[record].text.as_str());
        let start = Instant::now();
        let given = asking::inside(self.app, (self.task, self.student), tier, texts).await?;
        let busy = self.busy.entry(tier.clone()).or_default();
        busy.0 += start.elapsed().as_secs_f64();
        busy.1 += open.len();
        self.note(tier, open.into_iter().zip(given));
        Ok(())
    }

    /// Notes what a tier said of records.
    pub(super) fn note(
        &mut self,
        tier: &TierName,
        given: impl IntoIterator<Item = (usize, Option<Given>)>,
    ) {
        self.told.entry(tier.clone()).or_default().extend(given);
    }

    /// How long a tier took for a record, many being in work at once; 0 of one that was not asked.
    pub(super) fn seconds_each(&self, tier: &TierName) -> f64 {
        let busy = self.busy.get(tier).filter(|(_, records)| *records > 0);
        busy.map_or(0.0, |(seconds, records)| seconds / *records as f64)
    }

    fn given(&self, tier: &TierName, record: usize) -> Option<&Given> {
        self.told.get(tier)?.get(&record)?.as_ref()
    }

    /// What a tier said of a record, if it answered.
    pub(super) fn said(&self, tier: &TierName, record: usize) -> Option<Heard<'_>> {
        let (tier, told) = self.told.get_key_value(tier)?;
        Some(told.get(&record)?.as_ref()?.said(tier))
    }

    /// What these tiers said of a record, so far as they are asked about it and answered.
    pub(super) fn earlier(
        &self,
        heard: &[TierName],
        ranking: Ranking<'_>,
        (sample, record): (&Sample, usize),
    ) -> Vec<Heard<'_>> {
        let is_asked = |tier: &&TierName| !self.is_skipped(tier, ranking, (sample, record));
        let asked = heard.iter().filter(is_asked);
        asked.filter_map(|tier| self.said(tier, record)).collect()
    }

    /// Whether a tier's router passes it over for a record.
    pub(super) fn is_skipped(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        (sample, record): (&Sample, usize),
    ) -> bool {
        let Some(router) = ranking.routers.get(tier) else {
            return false;
        };
        let earlier = self.earlier(&router.heard, ranking, (sample, record));
        let text = || sample.records[record].text.clone();
        ranking.foretold(tier, text, &earlier).is_some()
    }

    /// How sure a tier is of its answer to a record, if it is asked and gave one.
    pub(super) fn confidence(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        (sample, record): (&Sample, usize),
    ) -> Option<f64> {
        let said = self.said(tier, record)?;
        if self.is_skipped(tier, ranking, (sample, record)) {
            return None;
        }
        let heard = ranking.heads.get(tier).map(|head| &head.heard[..]);
        let earlier = self.earlier(heard.unwrap_or_default(), ranking, (sample, record));
        let text = &sample.records[record].text;
        Some(ranking.confidence(text, said, &earlier))
    }

    /// Whether a tier's answer to a record is right, if it gave one. What nobody has judged counts
    /// as wrong, which can make a claim too careful and never too bold.
    pub(super) fn is_right(&self, tier: &TierName, sample: &Sample, record: usize) -> Option<bool> {
        Some(self.label(tier, sample, record)? == sample.records[record].label)
    }

    /// The label of a tier's answer, if it gave one; of a free one that of [`RIGHT`] or another.
    fn label(&self, tier: &TierName, sample: &Sample, record: usize) -> Option<usize> {
        let given = self.given(tier, record)?;
        let Some(expected) = &sample.expected else {
            return given.label;
        };
        let agrees = expected[record].agrees(self.task.task.kind, tier, &given.text);
        Some(RIGHT + usize::from(agrees != Some(true)))
    }

    /// A tier's answer to a record with how sure it is of it, if it is asked and gave one.
    pub(super) fn answer(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        (sample, record): (&Sample, usize),
    ) -> Option<Answer> {
        Some(Answer {
            label: self.label(tier, sample, record)?,
            confidence: self.confidence(tier, ranking, (sample, record))?,
        })
    }

    /// A tier's answers to these records, with how sure it is of each.
    pub(super) fn answers(
        &self,
        tier: &TierName,
        ranking: Ranking<'_>,
        (sample, left): (&Sample, &[usize]),
    ) -> Vec<(usize, Answer)> {
        let answer = |&record: &usize| {
            let answer = self.answer(tier, ranking, (sample, record));
            Some((record, answer?))
        };
        let unknown = left
            .iter()
            .filter(|&&it| self.is_unjudged(tier, sample, it));
        let unknown = unknown.count();
        if unknown > 0 {
            tracing::warn!(
                tier.id = %tier,
                records = unknown,
                "answers count as wrong because the records judge other answers of this tier, and \
                 give no right one"
            );
        }
        left.iter().filter_map(answer).collect()
    }

    fn is_unjudged(&self, tier: &TierName, sample: &Sample, record: usize) -> bool {
        match (&sample.expected, self.given(tier, record)) {
            (Some(expected), Some(given)) => {
                let kind = self.task.task.kind;
                expected[record].agrees(kind, tier, &given.text).is_none()
            }
            _ => false,
        }
    }
}
