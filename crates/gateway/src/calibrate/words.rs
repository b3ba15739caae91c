//! The report on the terminal.

use std::fmt;

use domain::Picodollars;

use super::report::{LabelReport, Report, TierReport};
use super::routed::Routed;
use crate::terminal::{count, figures, percent, percent_short};

/// An estimated amount with the digits that matter.
pub(super) fn dollars(usd: f64) -> String {
    Picodollars::new((usd * 1e12).round() as i64).to_string()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.task, self.statement)?;
        writeln!(f, "{}", self.tier_table())?;
        if self.tiers.iter().any(|tier| !tier.by_label.is_empty()) {
            writeln!(f, "{}", self.label_table())?;
        }
        if self.tiers.iter().any(|tier| !tier.missed.is_empty()) {
            writeln!(f, "{}", self.missed_table())?;
        }
        if !self.classes.is_empty() {
            writeln!(f, "{}", self.class_table())?;
        }
        writeln!(f, "{}", self.kept_in_house())?;
        for tier in &self.tiers {
            writeln!(f, "answers of {} are ranked {}", tier.tier, tier.ranked)?;
            if let Some(router) = &tier.router {
                writeln!(f, "{}", routed(&tier.tier, router))?;
            }
        }
        if let Some(cost) = &self.cost {
            writeln!(
                f,
                "1,000 such documents cost about {} at {} instead of {}",
                dollars(cost.cascade_usd_per_thousand),
                cost.frontier,
                dollars(cost.all_frontier_usd_per_thousand)
            )?;
        }
        for told in self.drawn() {
            writeln!(f, "{told}")?;
        }
        if self.records_repeated > 0 {
            writeln!(f, "{}", repeated(self.records_repeated))?;
        }
        if self.records_without_reference > 0 {
            writeln!(
                f,
                "{} records are left out: {} gave them no answer",
                count(self.records_without_reference),
                self.reference
            )?;
        }
        if self.reference_cost_usd != "0" {
            writeln!(f, "the reference cost ${}", self.reference_cost_usd)?;
        }
        if !self.certified {
            writeln!(f, "{}", self.advice())?;
        }
        write!(f, "certificate: {}", self.certificate)
    }
}

/// What is to be known of records whose texts repeat others.
pub(super) fn repeated(records: usize) -> String {
    format!(
        "{} records repeat the text of another word by word: that is right where it was asked so \
         often; where the file only holds records twice, give each once, or more is claimed than \
         is proven",
        count(records)
    )
}

/// What a tier's router skips, and what that loses.
pub(super) fn routed(tier: &str, router: &Routed) -> String {
    if let Some(why) = &router.why_none {
        return format!("{tier} is asked whatever is passed on to it: {why}");
    }
    let fitted_on = router.fitted_on.unwrap_or_default();
    format!(
        "its router, of {} records, spares {tier} {} of the {} records that reach it ({}), and with \
         them {} answers that it would have kept; that saves {:.1} s",
        count(fitted_on),
        count(router.skipped),
        count(router.reached),
        percent(router.share_skipped),
        count(router.lost),
        router.seconds_saved,
    )
}

/// What is proven of a tier stands on this, where records count unequally.
fn stands_on(tier: &TierReport) -> String {
    let name = &tier.tier;
    let is_weighed = |of: &&LabelReport| of.weighing.is_some();
    match tier.weighing {
        Some(weighing) => format!(
            "what is proven of {name} stands on {} of them, by a betting test that weighs each: \
             they say as much as {} of one weight",
            count(tier.records),
            count(weighing.effective.round() as usize),
        ),
        None if !tier.by_label.is_empty() => format!(
            "what is proven of {name} is proven by weighing them for {} of its {} labels, and by \
             an exact test of those left by lot for the others",
            count(tier.by_label.iter().filter(is_weighed).count()),
            count(tier.by_label.len()),
        ),
        None => format!(
            "what is proven of {name} stands on {} that are left of them when they are thinned \
             out by lot to the same chance, by an exact test",
            count(tier.records),
        ),
    }
}

impl Report {
    /// What comes of all tiers together.
    pub(super) fn kept_in_house(&self) -> String {
        let (records, share) = (count(self.records), percent(self.share_kept));
        if self.records_weighed {
            let wrong = percent(self.share_wrong);
            return format!(
                "of requests such as these {records} {share} are kept in house, {wrong} of them \
                 with a wrong answer"
            );
        }
        let errors = count(self.errors);
        format!("of these {records} records {share} are kept in house, {errors} of them wrong")
    }

    /// How records of live traffic came to be these, in sentences; none of other records.
    pub(super) fn drawn(&self) -> Vec<String> {
        let Some(known) = self.records_known else {
            return Vec::new();
        };
        let (records, known) = (count(self.records), count(known));
        if !self.records_weighed {
            return vec![format!(
                "the records are {records} of {known} requests whose right answer is known, by \
                 lot, so that each had the same chance"
            )];
        }
        let counted = format!(
            "the records are {records} of {known} requests whose right answer is known; in all \
             shares each counts as often as it was improbable to become known"
        );
        let tiers = self.tiers.iter().map(stands_on);
        std::iter::once(counted).chain(tiers).collect()
    }

    /// What would help where nothing could be proven.
    pub(super) fn advice(&self) -> String {
        match self.records_wanting {
            Some(wanting) => format!(
                "about {} records more, answered as these were, would prove something",
                count(wanting)
            ),
            None => format!(
                "no number of such records would do: more than {} even of the surest answers are \
                 wrong; a better model, clearer labels, or more records to learn from may help",
                percent_short(self.max_error)
            ),
        }
    }

    fn tier_table(&self) -> comfy_table::Table {
        let header = [
            "tier",
            "δ",
            "records",
            "kept from",
            "kept",
            "share",
            "wrong",
            "wrong at most",
            "right of all",
        ];
        let mut table = figures(&header);
        for tier in &self.tiers {
            let proven = |text: String| match tier.threshold {
                Some(_) => text,
                None => "–".to_owned(),
            };
            table.add_row([
                tier.tier.clone(),
                percent_short(tier.delta),
                count(tier.records),
                tier.threshold
                    .map_or_else(|| "nothing".to_owned(), |t| format!("{t:.4}")),
                proven(count(tier.kept)),
                proven(percent(tier.share_kept)),
                proven(count(tier.errors)),
                proven(format!("{:.2} %", tier.bound * 100.0)),
                tier.accuracy.map_or_else(|| "–".to_owned(), percent),
            ]);
        }
        table
    }

    fn label_table(&self) -> comfy_table::Table {
        let header = [
            "kept as",
            "tier",
            "δ",
            "records",
            "kept from",
            "kept",
            "wrong",
            "wrong at most",
            "allowed",
        ];
        let mut table = figures(&header);
        for tier in &self.tiers {
            for of in &tier.by_label {
                let label = of.label.as_deref().unwrap_or("(any other)");
                let mut row = vec![
                    label.to_owned(),
                    tier.tier.clone(),
                    percent_short(of.delta),
                    count(of.records),
                ];
                row.extend(match (of.threshold, of.records_wanting) {
                    (Some(threshold), _) => [
                        format!("{threshold:.4}"),
                        count(of.kept),
                        count(of.errors),
                        format!("{:.2} %", of.bound * 100.0),
                    ],
                    (None, wanting) => {
                        let wanting = wanting.map_or_else(
                            || "not proven".to_owned(),
                            |wanting| format!("{} records more", count(wanting)),
                        );
                        [
                            "nothing".to_owned(),
                            "–".to_owned(),
                            "–".to_owned(),
                            wanting,
                        ]
                    }
                });
                row.push(percent_short(of.max_wrong));
                table.add_row(row);
            }
        }
        table
    }

    fn missed_table(&self) -> comfy_table::Table {
        let header = [
            "not to be missed",
            "tier",
            "δ",
            "records",
            "missed",
            "missed at most",
            "allowed",
        ];
        let mut table = figures(&header);
        for tier in &self.tiers {
            for missed in &tier.missed {
                table.add_row([
                    missed.label.clone(),
                    tier.tier.clone(),
                    percent_short(missed.delta),
                    count(missed.records),
                    count(missed.errors),
                    match missed.bound {
                        bound if bound < 1.0 => format!("{:.2} %", bound * 100.0),
                        _ => "not proven".to_owned(),
                    },
                    percent_short(missed.max_missed),
                ]);
            }
        }
        table
    }

    fn class_table(&self) -> comfy_table::Table {
        let header = [
            "label",
            "records",
            "kept",
            "share",
            "kept and wrong",
            "of its records (95 %)",
        ];
        let mut table = figures(&header);
        for class in &self.classes {
            let (low, high) = class.missed_interval_95;
            table.add_row([
                class.label.clone(),
                count(class.records),
                count(class.kept),
                percent(class.share_kept),
                count(class.kept_wrong),
                format!(
                    "{} ({:.1}–{:.1})",
                    percent(class.missed),
                    low * 100.0,
                    high * 100.0
                ),
            ]);
        }
        table
    }
}
