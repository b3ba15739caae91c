//! The report on the terminal, and its sentences.

use std::fmt;

use domain::Picodollars;

use super::findings::{Comparison, Report, Way};
use crate::terminal::{count, figures, percent, percent_short};

/// An amount with the digits that matter.
pub(super) fn dollars(usd: f64) -> String {
    /// Above this, cents are enough.
    const LARGE: f64 = 10.0;
    if usd >= LARGE {
        return format!("${usd:.2}");
    }
    let digits = if usd > 0.0 {
        (3 - usd.log10().floor() as i32 - 1).clamp(2, 12)
    } else {
        2
    };
    let scale = 10_f64.powi(digits);
    let rounded = (usd * scale).round() / scale;
    Picodollars::new((rounded * 1e12).round() as i64).to_string()
}

/// A number of documents, rounded to three digits where it is large.
pub(super) fn documents(n: f64) -> String {
    let scale = 10_f64.powi((n.max(1.0).log10().floor() as i32 - 2).max(0));
    count(((n / scale).round() * scale) as usize)
}

/// Points of a hundred, with their sign.
pub(super) fn points(share: f64) -> String {
    format!("{:+.1}", share * 100.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        writeln!(f, "{}", self.table())?;
        for sentence in self.sentences() {
            writeln!(f, "{sentence}")?;
        }
        match self.simulated_wrong_rate {
            Some(_) => write!(f, "A real frontier would cost about ${}.", self.cost_usd),
            None => write!(f, "{} was paid ${} for this.", self.frontier, self.cost_usd),
        }
    }
}

impl Report {
    /// What was compared.
    pub(super) fn title(&self) -> String {
        let simulated = match self.simulated_wrong_rate {
            Some(rate) => format!(" (simulated, wrong at {})", percent_short(rate)),
            None => String::new(),
        };
        format!(
            "{}: {} records, inside beside {}{simulated}; thresholds: {}",
            self.task,
            count(self.records),
            self.frontier,
            self.thresholds
        )
    }

    fn table(&self) -> comfy_table::Table {
        let header = [
            "",
            "right",
            "(95 %)",
            "beside frontier",
            "(95 %)",
            "in house",
            "per 1,000 docs",
            "of it machine",
        ];
        let mut table = figures(&header);
        for way in &self.ways {
            let (low, high) = way.right_interval_95;
            let beside = way.beside_frontier.as_ref();
            table.add_row([
                way.way.to_owned(),
                percent(way.right),
                format!("{:.1}–{:.1}", low * 100.0, high * 100.0),
                beside.map_or("–".to_owned(), |it| points(it.difference)),
                beside.map_or("–".to_owned(), interval),
                percent(way.in_house),
                dollars(way.usd_per_thousand()),
                dollars(way.machine_usd_per_thousand),
            ]);
        }
        table
    }

    /// What the numbers mean, for the person who pays.
    pub(super) fn sentences(&self) -> Vec<String> {
        let [inside, cascade, _] = &self.ways;
        let mut sentences = vec![
            self.verdict("The tiers inside alone", inside),
            self.verdict("The cascade", cascade),
            self.lead_sentence(),
            self.cost_sentence(),
        ];
        if let Some(month) = &self.month {
            sentences.push(format!(
                "A month of {} documents: {} inside alone, {} by the cascade, {} by {} alone \
                 ({} machine{} at {} a month).",
                count(usize::try_from(month.documents).unwrap_or(usize::MAX)),
                dollars(month.inside_usd),
                dollars(month.cascade_usd),
                dollars(month.frontier_usd),
                self.frontier,
                month.machines,
                if month.machines == 1 { "" } else { "s" },
                dollars(self.break_even.machine_usd_per_month),
            ));
        }
        sentences
    }

    fn verdict(&self, who: &str, way: &Way) -> String {
        let Some(beside) = &way.beside_frontier else {
            return String::new();
        };
        let margin = percent_short(self.margin);
        let (low, _) = beside.difference_interval_95;
        let worst = points(low);
        match (beside.verdict, beside.records_wanted) {
            ("enough", _) => format!(
                "{who}: enough. At worst {worst} points beside {}, and {margin} is allowed.",
                self.frontier
            ),
            ("not enough", _) => format!(
                "{who}: not enough. Worse than {} by more than the {margin} that is allowed.",
                self.frontier
            ),
            (_, Some(records)) => format!(
                "{who}: not known yet. At worst {worst} points; about {} records would tell.",
                documents(records as f64)
            ),
            (_, None) => format!(
                "{who}: not known. The difference lies at the {margin} that is allowed, so more \
                 records would not tell."
            ),
        }
    }

    fn lead_sentence(&self) -> String {
        let (low, high) = self.lead.interval_95;
        let now = format!(
            "{} is right {} points more often than the tiers inside ({} to {})",
            self.frontier,
            points(self.lead.share),
            points(low),
            points(high)
        );
        let Some(before) = &self.lead.before else {
            return format!("{now}; this is the first report of the task.");
        };
        let (low, high) = before.moved_interval_95;
        let sure = if low <= 0.0 && high >= 0.0 {
            ", which may be chance"
        } else {
            ""
        };
        let records = if before.same_records {
            "the same"
        } else {
            "other"
        };
        format!(
            "{now}; on {} it was {} on {records} records. It moved by {} ({} to {}){sure}.",
            before.made.get(..10).unwrap_or(&before.made),
            points(before.share),
            points(before.moved),
            points(low),
            points(high),
        )
    }

    fn cost_sentence(&self) -> String {
        let machine = &self.machine;
        let speed = format!(
            "This machine answers {} documents an hour inside",
            documents(machine.documents_per_hour)
        );
        if machine.usd_per_hour <= 0.0 {
            return format!(
                "{speed}. What its hour costs is not stated (machine_usd_per_hour of a local \
                 tier), so it counts as nothing."
            );
        }
        let month = dollars(self.break_even.machine_usd_per_month);
        match self.break_even.documents_per_month {
            Some(volume) => format!(
                "{speed}. At {month} a month it pays for itself from {} documents a month, of the \
                 {} it can do.",
                documents(volume),
                documents(machine.documents_per_month)
            ),
            None if self.break_even.saved_usd_per_thousand <= 0.0 => {
                format!(
                    "{speed}, but the cascade saves nothing at {}.",
                    self.frontier
                )
            }
            None => format!(
                "{speed}; even at its {} a month it would save less than the {month} it costs.",
                documents(machine.documents_per_month)
            ),
        }
    }
}

fn interval(beside: &Comparison) -> String {
    let (low, high) = beside.difference_interval_95;
    format!("{} to {}", points(low), points(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_three_digits() {
        for (usd, text) in [
            (0.0, "$0"),
            (58.4, "$58.40"),
            (0.083_061, "$0.08310"),
            (0.000_001_234_5, "$0.000001230"),
        ] {
            assert_eq!(dollars(usd), text);
        }
    }

    #[test]
    fn documents_keep_three_digits() {
        for (n, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (1234.0, "1,230"),
            (9_876_543.0, "9,880,000"),
        ] {
            assert_eq!(documents(n), text);
        }
    }
}
