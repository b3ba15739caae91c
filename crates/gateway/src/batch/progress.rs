//! What a run shows while it works: documents, throughput, what stayed in house, money.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::{Picodollars, TierName, Zone};
use indicatif::ProgressBar;

use crate::answer::{Answered, End};
use crate::ready::ReadyTask;
use crate::terminal;

/// The bar of one run; clones are the same bar. Without a terminal nothing is drawn.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    counts: Arc<Counts>,
    outside: Arc<Vec<TierName>>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    inside: AtomicU64,
    failed: AtomicU64,
    picodollars: AtomicI64,
}

impl Progress {
    /// A bar headed `title` over `rows` rows of which `already` have a result.
    pub(super) fn start(title: String, task: &ReadyTask, rows: u64, already: u64) -> Self {
        let template = "{prefix} [{bar:28}] {pos}/{len} · {rate} · {msg} · {eta} left";
        let bar = terminal::bar(rows, template);
        bar.set_prefix(title);
        bar.set_position(already);
        bar.reset_eta();
        let rungs = task.rules.cascade.rungs().iter();
        let outside = rungs.filter(|rung| rung.kind.zone() == Zone::Outside);
        let outside = Arc::new(outside.map(|rung| rung.tier.clone()).collect());
        let progress = Self {
            bar,
            counts: Arc::default(),
            outside,
        };
        progress.show();
        progress
    }

    /// Counts a document that was put to the tiers.
    pub(super) fn answered(&self, answered: &Answered) {
        let counts = &self.counts;
        match &answered.end {
            End::Accepted { tier, .. } => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                if !self.outside.contains(tier) {
                    counts.inside.fetch_add(1, Ordering::Relaxed);
                }
            }
            End::Review { .. } => {}
            End::Failed { .. } => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        counts
            .picodollars
            .fetch_add(answered.cost.get(), Ordering::Relaxed);
        self.step();
    }

    /// Counts a row that holds no document.
    pub(super) fn unreadable(&self) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        self.step();
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn step(&self) {
        self.bar.inc(1);
        self.show();
    }

    fn show(&self) {
        let counts = &self.counts;
        let answered = counts.answered.load(Ordering::Relaxed);
        let inside = counts.inside.load(Ordering::Relaxed);
        let share = if answered == 0 {
            0.0
        } else {
            inside as f64 / answered as f64 * 100.0
        };
        let spent = Picodollars::new(counts.picodollars.load(Ordering::Relaxed));
        let failed = match counts.failed.load(Ordering::Relaxed) {
            0 => String::new(),
            failed => format!(" · {failed} failed"),
        };
        self.bar
            .set_message(format!("{share:.0} % in house · {spent}{failed}"));
    }
}
