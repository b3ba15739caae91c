//! The numbers of a report.

use domain::{Picodollars, TaskName, TierName};
use routing::evaluation::Share;
use routing::paired::{Paired, Sufficiency};
use serde::Serialize;

use super::Sides;
use super::history::Earlier;
use super::measure::Measured;
use crate::app::App;
use crate::cli::SufficiencyArgs;
use crate::config;
use crate::learn::{self, Labelled};

/// Hours of a month: a year's 8,760 over twelve.
const HOURS_A_MONTH: f64 = 730.0;

/// All that is said.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) task: String,
    /// RFC 3339, in UTC, to the microsecond: it names the report's file.
    pub(super) made: String,
    /// The frontier's answers were simulated, wrong at this rate.
    pub(super) simulated_wrong_rate: Option<f64>,
    pub(super) records: usize,
    pub(super) records_sha256: String,
    /// The share of all answers that may be worse than the frontier's.
    pub(super) margin: f64,
    /// Where the cascade's thresholds come from: `stated`, `estimated`, `certified`, `unproven`.
    pub(super) thresholds: &'static str,
    pub(super) frontier: String,
    /// Inside alone, the cascade, the frontier alone.
    pub(super) ways: [Way; 3],
    /// How much more often the frontier is right than the tiers inside alone.
    pub(super) lead: Lead,
    pub(super) machine: Machine,
    pub(super) break_even: BreakEven,
    /// What a month costs each way, where a volume was stated.
    pub(super) month: Option<Month>,
    /// What the frontier was paid for this report.
    pub(super) cost_usd: String,
}

/// One way of answering all records.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    pub(super) way: &'static str,
    pub(super) right: f64,
    pub(super) right_interval_95: (f64, f64),
    /// The share of the documents that never left.
    pub(super) in_house: f64,
    pub(super) frontier_usd_per_thousand: f64,
    pub(super) machine_usd_per_thousand: f64,
    /// Beside the frontier alone; `None` for itself.
    pub(super) beside_frontier: Option<Comparison>,
}

impl Way {
    pub(super) fn usd_per_thousand(&self) -> f64 {
        self.frontier_usd_per_thousand + self.machine_usd_per_thousand
    }
}

/// One way beside the frontier alone, record by record.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Its share of right answers less the frontier's.
    pub(super) difference: f64,
    pub(super) difference_interval_95: (f64, f64),
    /// `enough`, `not enough` or `open`.
    pub(super) verdict: &'static str,
    /// Where it is open: about so many records in all would say.
    pub(super) records_wanted: Option<usize>,
}

/// The frontier's lead over the tiers inside alone.
#[derive(Debug, Serialize)]
pub(super) struct Lead {
    pub(super) share: f64,
    pub(super) interval_95: (f64, f64),
    pub(super) before: Option<Before>,
}

/// How the lead moved since the last report.
#[derive(Debug, Serialize)]
pub(super) struct Before {
    pub(super) made: String,
    pub(super) share: f64,
    pub(super) moved: f64,
    /// As of two samples apart; wider than need be where the records are the same.
    pub(super) moved_interval_95: (f64, f64),
    pub(super) same_records: bool,
}

/// What the tiers inside take of this machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) usd_per_hour: f64,
    pub(super) seconds: f64,
    pub(super) documents_per_hour: f64,
    pub(super) documents_per_month: f64,
}

/// From which volume on the machine pays for itself, if it stands there all month.
#[derive(Debug, Serialize)]
pub(super) struct BreakEven {
    pub(super) machine_usd_per_month: f64,
    /// What the cascade saves at the frontier.
    pub(super) saved_usd_per_thousand: f64,
    /// `None` where it saves nothing, or one machine can't do so many.
    pub(super) documents_per_month: Option<f64>,
}

/// What a month of a stated volume costs.
#[derive(Debug, Serialize)]
pub(super) struct Month {
    pub(super) documents: u64,
    /// Machines like this one that it takes inside.
    pub(super) machines: u64,
    pub(super) inside_usd: f64,
    pub(super) cascade_usd: f64,
    pub(super) frontier_usd: f64,
}

impl Report {
    pub(super) fn new(
        args: &SufficiencyArgs,
        (app, task, sides): (&App, &TaskName, &Sides),
        (records, measured): (&[Labelled], &Measured),
        before: Option<Earlier>,
    ) -> Self {
        let ready = &app.tasks[task];
        let labels = ready.task.labels.as_ref();
        let digest = labels.map_or_else(String::new, |labels| learn::digest(records, labels));
        let machine = Machine::new(app, sides, (records.len(), measured.seconds_inside));
        let ways = ways(args.margin, records, measured, &machine);
        let lead = lead(records, measured, before, &digest);
        let break_even = BreakEven::new(&ways, &machine);
        Self {
            task: task.to_string(),
            made: jiff::Timestamp::now().to_string(),
            simulated_wrong_rate: args.simulate_frontier,
            records: records.len(),
            records_sha256: digest,
            margin: args.margin,
            thresholds: ready.rules.standing.word(),
            frontier: sides.frontier.to_string(),
            month: args.volume.map(|n| Month::new(n, &ways, &machine)),
            ways,
            lead,
            machine,
            break_even,
            cost_usd: measured.cost.to_usd(),
        }
    }
}

fn ways(margin: f64, records: &[Labelled], measured: &Measured, machine: &Machine) -> [Way; 3] {
    let right = |answer: Option<usize>, i: usize| answer == Some(records[i].label);
    let inside = |i: usize| right(measured.inside[i], i);
    let cascade = |i: usize| right(measured.cascade(i), i);
    let frontier = |i: usize| right(measured.frontier[i].label, i);
    let n = records.len();
    let share = |is: &dyn Fn(usize) -> bool| Share {
        hits: (0..n).filter(|&i| is(i)).count(),
        of: n,
    };
    let beside = |is: &dyn Fn(usize) -> bool| {
        let paired = Paired::of((0..n).map(|i| (is(i), frontier(i))));
        Comparison::new(paired, margin)
    };
    let thousand = 1e3 / n as f64;
    let of_machine = machine.usd_per_hour / machine.documents_per_hour * 1e3;
    let way = |name, is: &dyn Fn(usize) -> bool| Way {
        way: name,
        right: share(is).value().unwrap_or(0.0),
        right_interval_95: share(is).interval(),
        in_house: 1.0,
        frontier_usd_per_thousand: 0.0,
        machine_usd_per_thousand: of_machine,
        beside_frontier: None,
    };
    [
        Way {
            beside_frontier: Some(beside(&inside)),
            ..way("inside", &inside)
        },
        Way {
            in_house: share(&|i| measured.kept[i]).value().unwrap_or(0.0),
            frontier_usd_per_thousand: measured.paid(|i| !measured.kept[i]) * thousand,
            beside_frontier: Some(beside(&cascade)),
            ..way("cascade", &cascade)
        },
        Way {
            in_house: 0.0,
            frontier_usd_per_thousand: measured.paid(|_| true) * thousand,
            machine_usd_per_thousand: 0.0,
            ..way("frontier", &frontier)
        },
    ]
}

impl Comparison {
    fn new(paired: Paired, margin: f64) -> Self {
        let (verdict, records_wanted) = match paired.sufficiency(margin) {
            Sufficiency::Enough => ("enough", None),
            Sufficiency::NotEnough => ("not enough", None),
            Sufficiency::Open { records } => ("open", records),
        };
        Self {
            difference: paired.difference(),
            difference_interval_95: paired.interval(),
            verdict,
            records_wanted,
        }
    }
}

fn lead(records: &[Labelled], measured: &Measured, before: Option<Earlier>, sha256: &str) -> Lead {
    let pair = |(i, record): (usize, &Labelled)| {
        let gold = Some(record.label);
        (
            measured.frontier[i].label == gold,
            measured.inside[i] == gold,
        )
    };
    let paired = Paired::of(records.iter().enumerate().map(pair));
    let (share, interval) = (paired.difference(), paired.interval());
    let moved = |earlier: Earlier| {
        let half = |(low, high): (f64, f64)| (high - low) / 2.0;
        let moved = share - earlier.lead.share;
        let half = half(interval).hypot(half(earlier.lead.interval_95));
        Before {
            share: earlier.lead.share,
            moved,
            moved_interval_95: (moved - half, moved + half),
            same_records: earlier.records_sha256 == sha256,
            made: earlier.made,
        }
    };
    Lead {
        share,
        interval_95: interval,
        before: before.map(moved),
    }
}

impl Machine {
    fn new(app: &App, sides: &Sides, (documents, seconds): (usize, f64)) -> Self {
        let price = |tier: &TierName| match &app.config.tiers[tier] {
            config::Tier::Local(local) => local.machine_usd_per_hour,
            _ => Picodollars::ZERO,
        };
        // Engines of one task stand on one machine; it is paid for once.
        let dearest = sides.inside.iter().map(price).max();
        let per_hour = documents as f64 / seconds.max(1e-9) * 3600.0;
        Self {
            usd_per_hour: dearest.unwrap_or(Picodollars::ZERO).as_usd_f64(),
            seconds,
            documents_per_hour: per_hour,
            documents_per_month: per_hour * HOURS_A_MONTH,
        }
    }
}

impl BreakEven {
    fn new(ways: &[Way; 3], machine: &Machine) -> Self {
        let [_, cascade, frontier] = ways;
        let saved = frontier.frontier_usd_per_thousand - cascade.frontier_usd_per_thousand;
        let month = machine.usd_per_hour * HOURS_A_MONTH;
        let documents = month / saved * 1e3;
        let possible = saved > 0.0 && documents <= machine.documents_per_month;
        Self {
            machine_usd_per_month: month,
            saved_usd_per_thousand: saved,
            documents_per_month: possible.then(|| documents.ceil()),
        }
    }
}

impl Month {
    fn new(documents: u64, ways: &[Way; 3], machine: &Machine) -> Self {
        let [_, cascade, frontier] = ways;
        let n = documents as f64;
        let machines = (n / machine.documents_per_month).ceil().max(1.0);
        let stand = machines * machine.usd_per_hour * HOURS_A_MONTH;
        Self {
            documents,
            machines: machines as u64,
            inside_usd: stand,
            cascade_usd: stand + cascade.frontier_usd_per_thousand * n / 1e3,
            frontier_usd: frontier.frontier_usd_per_thousand * n / 1e3,
        }
    }
}
