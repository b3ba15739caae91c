//! Budgets: how much is spoken for in each window, and whether one more attempt fits.

use std::fmt;

use domain::Picodollars;
use rusqlite::{OptionalExtension as _, Row, params};

use crate::error::{Fault, LedgerError};
use crate::ids::{AttemptId, Timestamp};
use crate::total::Total;
use crate::writer::Books;

const OPEN_WINDOW: &str = "
    INSERT INTO balances (budget, window_start) VALUES (?1, ?2)";
const WINDOW: &str = "
    SELECT id, budget, window_start, settled, held, kept FROM balances
    WHERE budget = ?1 AND window_start = ?2";
const HOLD: &str = "UPDATE balances SET held = held + ?2 WHERE id = ?1";
const DEBIT: &str = "INSERT INTO debits (attempt, balance) VALUES (?1, ?2)";
const DEBITED: &str = "SELECT balance FROM debits WHERE attempt = ?1";
const MOVE: &str = "
    UPDATE balances SET settled = settled + ?2, held = held + ?3, kept = kept + ?4
    WHERE id = ?1";
const BALANCES: &str = "
    SELECT id, budget, window_start, settled, held, kept FROM balances
    ORDER BY budget, window_start";

/// One budget that an attempt counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLimit {
    /// The budget's name.
    pub name: String,
    /// The most that may be spoken for in the window.
    pub limit: Picodollars,
    /// When the window began that the attempt falls into. Each start has a balance of its own,
    /// and an attempt stays in the window in which it was held.
    pub window_start: Timestamp,
}

/// What is spoken for in one window of one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The budget's name.
    pub budget: String,
    /// When the window began.
    pub window_start: Timestamp,
    /// What settled attempts cost.
    pub settled: Picodollars,
    /// What attempts under way may cost.
    pub held: Picodollars,
    /// What attempts may have cost whose usage never came.
    pub kept: Picodollars,
}

impl Balance {
    /// That of a window in which nothing was asked for yet.
    fn empty(budget: &BudgetLimit) -> Self {
        Self {
            budget: budget.name.clone(),
            window_start: budget.window_start,
            settled: Picodollars::ZERO,
            held: Picodollars::ZERO,
            kept: Picodollars::ZERO,
        }
    }

    /// All that is spoken for: settled, held and kept.
    #[must_use]
    pub fn spoken_for(&self) -> Total {
        [self.settled, self.held, self.kept]
            .into_iter()
            .map(Total::from)
            .sum()
    }
}

/// Why an attempt got no hold: the first budget without room for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was spoken for when it asked.
    pub balance: Balance,
    /// The budget's limit.
    pub limit: Picodollars,
    /// The attempt's worst case.
    pub asked: Picodollars,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Balance {
            budget,
            settled,
            held,
            kept,
            ..
        } = &self.balance;
        write!(
            f,
            "budget `{budget}` has no room for an attempt of at most {} USD: of {} USD, {} are settled, {} held and {} kept for attempts of unknown cost; raise the limit, allow fewer completion tokens or wait for the next window",
            self.asked.to_usd(),
            self.limit.to_usd(),
            settled.to_usd(),
            held.to_usd(),
            kept.to_usd(),
        )
    }
}

/// How an entry changes the balances of an attempt's budgets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    pub(crate) settled: i64,
    pub(crate) held: i64,
    pub(crate) kept: i64,
}

/// Finds out that a budget has room for one more attempt, and gives back the window's row where
/// it has one by now. Nothing is written: a refusal leaves nothing to undo.
pub(crate) fn find_room(
    books: &Books<'_>,
    budget: &BudgetLimit,
    asked: Picodollars,
) -> Result<Option<i64>, Fault> {
    let (id, balance) = match find(books, budget)? {
        Some((id, balance)) => (Some(id), balance),
        None => (None, Balance::empty(budget)),
    };
    if balance.spoken_for().0 + i128::from(asked.get()) > i128::from(budget.limit.get()) {
        return Err(Fault::Answer(LedgerError::OverBudget(Box::new(Refusal {
            balance,
            limit: budget.limit,
            asked,
        }))));
    }
    Ok(id)
}

/// Debits the worst case of a booked attempt to a budget that has room for it.
pub(crate) fn debit(
    books: &Books<'_>,
    attempt: AttemptId,
    (budget, window): (&BudgetLimit, Option<i64>),
    asked: Picodollars,
) -> Result<(), Fault> {
    let id = match window {
        Some(id) => id,
        None => {
            let key = params![budget.name, budget.window_start.unix_ms()];
            books.execute(OPEN_WINDOW, key)?;
            books.connection.last_insert_rowid()
        }
    };
    books.execute(HOLD, params![id, asked.get()])?;
    books.execute(DEBIT, params![attempt.as_bytes(), id])?;
    Ok(())
}

/// Applies a change to each budget that an attempt was debited to.
pub(crate) fn apply(books: &Books<'_>, attempt: AttemptId, change: Change) -> Result<(), Fault> {
    let Change {
        settled,
        held,
        kept,
    } = change;
    let balances: Vec<i64> = books.query_all(DEBITED, [attempt.as_bytes()], |row| row.get(0))?;
    for id in balances {
        match books.execute(MOVE, params![id, settled, held, kept]) {
            // A sum beyond 64 bits is no integer any more, which the column refuses.
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE =>
            {
                return Err(Fault::Answer(LedgerError::Invalid(format!(
                    "attempt {attempt}: its cost would take a budget beyond {} USD, the most that one window can hold; check the price and the usage",
                    Picodollars::new(i64::MAX).to_usd()
                ))));
            }
            moved => moved?,
        };
    }
    Ok(())
}

/// The balances of all windows, by budget and start.
pub(crate) fn balances(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<Balance>> {
    connection
        .prepare_cached(BALANCES)?
        .query_map([], |row| read_balance(row).map(|(_, balance)| balance))?
        .collect()
}

fn find(books: &Books<'_>, budget: &BudgetLimit) -> rusqlite::Result<Option<(i64, Balance)>> {
    let key = params![budget.name, budget.window_start.unix_ms()];
    books.query_row(WINDOW, key, read_balance).optional()
}

fn read_balance(row: &Row<'_>) -> rusqlite::Result<(i64, Balance)> {
    let balance = Balance {
        budget: row.get(1)?,
        window_start: Timestamp::from_unix_ms(row.get(2)?),
        settled: Picodollars::new(row.get(3)?),
        held: Picodollars::new(row.get(4)?),
        kept: Picodollars::new(row.get(5)?),
    };
    Ok((row.get(0)?, balance))
}
