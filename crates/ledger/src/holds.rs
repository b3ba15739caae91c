//! Holds: money that is spoken for before an attempt leaves.

use std::collections::HashSet;

use domain::{Picodollars, TaskName, TierName, Usage};
use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::params;

use crate::budgets::{self, BudgetLimit};
use crate::error::{Fault, LedgerError, contradiction};
use crate::ids::{AttemptId, RequestId, Timestamp};
use crate::resolutions::{End, Resolution};
use crate::writer::{Books, DroppedHolds};

const ATTEMPT: &str = "
    INSERT INTO attempts (id, run, request, task, tier, model, worst_case, held_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const OPEN: &str = "INSERT INTO open_holds (attempt, run) VALUES (?1, ?2)";

/// A hold that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// The attempt, never booked before.
    pub attempt: AttemptId,
    /// The request that it serves.
    pub request: RequestId,
    /// The request's task.
    pub task: TaskName,
    /// The tier that is asked.
    pub tier: TierName,
    /// The name by which the tier calls its model.
    pub model: String,
    /// The most that the vendor can bill for the attempt; not negative.
    pub worst_case: Picodollars,
    /// The time now.
    pub at: Timestamp,
    /// The budgets that must all have room; each at most once.
    pub budgets: Vec<BudgetLimit>,
}

impl NewHold {
    /// Refuses what no hold can be.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        if self.worst_case < Picodollars::ZERO {
            return Err(LedgerError::Invalid(format!(
                "attempt {}: a worst case of {} USD is negative; a hold is 0 or more",
                self.attempt,
                self.worst_case.to_usd()
            )));
        }
        let mut seen = HashSet::new();
        for budget in &self.budgets {
            if !seen.insert((&budget.name, budget.window_start)) {
                return Err(LedgerError::Invalid(format!(
                    "attempt {}: budget `{}` is named twice; name each once",
                    self.attempt, budget.name
                )));
            }
        }
        Ok(())
    }
}

/// Money held for one attempt, until it is resolved.
///
/// A hold that is dropped, because its client went away or its task was cancelled, is booked
/// without anybody's help: released if it was never marked as sent, kept at its worst case if it
/// was. So neither is money spent that no budget knows of, nor is room taken for ever by an
/// attempt that never left.
#[derive(Debug)]
#[must_use = "a hold that is dropped unsent is released at once"]
pub struct Hold {
    resolution: Resolution,
}

impl Hold {
    pub(crate) fn new(attempt: AttemptId, at: Timestamp, dropped: DroppedHolds) -> Self {
        Self {
            resolution: Resolution::guarded(attempt, at, dropped),
        }
    }

    /// The attempt that it is for.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.resolution.attempt()
    }

    /// Notes that the attempt is about to leave: from here on it may be billed. To be called just
    /// before the first byte is written.
    pub fn mark_sent(&mut self) {
        self.resolution.set_end(End::Keep);
    }

    /// The attempt used this much and so cost this much.
    pub fn settle(self, usage: Usage, cost: Picodollars) -> Resolution {
        self.end(End::Settle { usage, cost })
    }

    /// The attempt was certainly not billed: it never left, or was refused before any work.
    pub fn release(self) -> Resolution {
        self.end(End::Release)
    }

    /// The attempt's usage never came. It stays at its worst case until the vendor's bill says
    /// more.
    pub fn keep(self) -> Resolution {
        self.end(End::Keep)
    }

    fn end(mut self, end: End) -> Resolution {
        self.resolution.set_end(end);
        self.resolution
    }
}

/// Books the attempt and debits every budget, or nothing.
pub(crate) fn take(books: &Books<'_>, new: &NewHold) -> Result<(), Fault> {
    let mut windows = Vec::with_capacity(new.budgets.len());
    for budget in &new.budgets {
        windows.push((budget, budgets::find_room(books, budget, new.worst_case)?));
    }
    book_attempt(books, new)?;
    for window in windows {
        budgets::debit(books, new.attempt, window, new.worst_case)?;
    }
    books.execute(OPEN, params![new.attempt.as_bytes(), books.run.0])?;
    Ok(())
}

/// Books the attempt alone.
pub(crate) fn book_attempt(books: &Books<'_>, new: &NewHold) -> Result<(), Fault> {
    let booked = books.execute(
        ATTEMPT,
        params![
            new.attempt.as_bytes(),
            books.run.0,
            new.request.0,
            new.task.as_str(),
            new.tier.as_str(),
            new.model,
            new.worst_case.get(),
            new.at.unix_ms(),
        ],
    );
    match booked {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY =>
        {
            Err(contradiction(
                format!("attempt {}", new.attempt),
                "an attempt already",
                "another; give each attempt a new id",
            ))
        }
        booked => Ok(booked.map(|_| ())?),
    }
}
