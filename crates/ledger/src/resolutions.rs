//! Resolutions: what became of an attempt that was held.

use std::fmt;

use domain::{CompletionTokens, Picodollars, PromptTokens, Usage};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::budgets::{self, Change};
use crate::error::{Fault, LedgerError, contradiction, count_to_sql};
use crate::ids::{AttemptId, Timestamp};
use crate::writer::{Books, DroppedHold, DroppedHolds};

const WORST_CASE: &str = "SELECT worst_case FROM attempts WHERE id = ?1";
const ENTRIES: &str = "
    SELECT kind, cost, prompt_tokens, cached_prompt_tokens, completion_tokens
    FROM entries WHERE attempt = ?1";
const ENTER: &str = "
    INSERT INTO entries
        (attempt, kind, at, cost, prompt_tokens, cached_prompt_tokens, completion_tokens)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const CLOSE: &str = "DELETE FROM open_holds WHERE attempt = ?1";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this usage, at this cost.
    Settle {
        /// What it consumed.
        usage: Usage,
        /// What it cost; not negative.
        cost: Picodollars,
    },
    /// It was certainly not billed.
    Release,
    /// Its usage never came.
    Keep,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settle { usage, cost } => write!(
                f,
                "settled at {} USD for {} prompt tokens ({} cached) and {} completion tokens",
                cost.to_usd(),
                usage.prompt.0,
                usage.cached_prompt.0,
                usage.completion.0
            ),
            Self::Release => f.write_str("released"),
            Self::Keep => f.write_str("kept at its worst case"),
        }
    }
}

/// An attempt and how it ended, to be booked with [`crate::Ledger::resolve`] or
/// [`crate::Ledger::record`]. Made from a [`crate::Hold`], it is booked also when it is dropped.
#[derive(Debug)]
#[must_use = "it says how an attempt ended: hand it to `resolve` or `record`"]
pub struct Resolution {
    attempt: AttemptId,
    end: End,
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    at: Timestamp,
    dropped: DroppedHolds,
}

impl Resolution {
    /// What is learned about an attempt later, from the vendor's bill for example.
    pub fn of(attempt: AttemptId, end: End) -> Self {
        Self {
            attempt,
            end,
            guard: None,
        }
    }

    /// That of a new hold: nothing was sent yet.
    pub(crate) fn guarded(attempt: AttemptId, at: Timestamp, dropped: DroppedHolds) -> Self {
        Self {
            attempt,
            end: End::Release,
            guard: Some(Guard { at, dropped }),
        }
    }

    /// The attempt.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// How it ended.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    pub(crate) fn set_end(&mut self, end: End) {
        self.end = end;
    }

    /// Consumes a resolution that is in the books.
    pub(crate) fn booked(mut self) {
        self.guard = None;
    }
}

impl Drop for Resolution {
    fn drop(&mut self) {
        if let Some(Guard { at, dropped }) = self.guard.take() {
            dropped.push(DroppedHold {
                attempt: self.attempt,
                end: self.end,
                at,
            });
        }
    }
}

/// What came of a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// By how much the attempt cost more than was held for it, if it did. The vendor billed what
    /// it never should: a person should look at the price list and the bound of the tokens.
    pub over_hold: Option<Picodollars>,
}

/// Books the end of an attempt; the same end again changes nothing.
pub(crate) fn book(
    books: &Books<'_>,
    attempt: AttemptId,
    end: End,
    at: Timestamp,
) -> Result<Booked, Fault> {
    let id = attempt.as_bytes();
    let worst_case: i64 = books
        .query_row(WORST_CASE, [id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::Answer(LedgerError::Unknown(format!("attempt {attempt}"))))?;
    let booked = Booked {
        over_hold: over_hold(attempt, end, worst_case)?,
    };
    let mut was_kept = false;
    for earlier in ends(books, attempt)? {
        if earlier == end {
            return Ok(booked);
        }
        if earlier != End::Keep {
            return Err(contradiction(
                format!("attempt {attempt}"),
                earlier.to_string(),
                end.to_string(),
            ));
        }
        was_kept = true;
    }
    enter(books, attempt, end, at)?;
    if !was_kept {
        books.execute(CLOSE, [id])?;
    }
    let change = |settled: i64, kept: i64| {
        let (from_held, from_kept) = if was_kept { (0, 1) } else { (1, 0) };
        Change {
            settled,
            held: -worst_case * from_held,
            kept: kept - worst_case * from_kept,
        }
    };
    let change = match end {
        End::Settle { cost, .. } => change(cost.get(), 0),
        End::Release => change(0, 0),
        End::Keep => change(0, worst_case),
    };
    budgets::apply(books, attempt, change)?;
    Ok(booked)
}

/// Books the end of a hold whose owner went away. That it was never sent, or that its usage never
/// came, is believed only as long as nobody said more.
pub(crate) fn book_dropped(books: &Books<'_>, hold: &DroppedHold) -> Result<Booked, Fault> {
    let &DroppedHold { attempt, end, at } = hold;
    let was_ended = !ends(books, attempt)?.is_empty();
    if was_ended && matches!(end, End::Release | End::Keep) {
        return Ok(Booked { over_hold: None });
    }
    book(books, attempt, end, at)
}

/// Writes the entry alone.
pub(crate) fn enter(
    books: &Books<'_>,
    attempt: AttemptId,
    end: End,
    at: Timestamp,
) -> Result<(), Fault> {
    let (id, at) = (attempt.as_bytes(), at.unix_ms());
    match end {
        End::Settle { usage, cost } => books.execute(
            ENTER,
            params![
                id,
                "settle",
                at,
                cost.get(),
                count_to_sql("prompt tokens", usage.prompt.0)?,
                count_to_sql("cached prompt tokens", usage.cached_prompt.0)?,
                count_to_sql("completion tokens", usage.completion.0)?,
            ],
        )?,
        End::Release => books.execute(
            ENTER,
            params![
                id,
                "release",
                at,
                None::<i64>,
                None::<i64>,
                None::<i64>,
                None::<i64>
            ],
        )?,
        End::Keep => books.execute(
            ENTER,
            params![
                id,
                "keep",
                at,
                None::<i64>,
                None::<i64>,
                None::<i64>,
                None::<i64>
            ],
        )?,
    };
    Ok(())
}

/// The ends of an attempt that are booked: none while it is held, a keep first where there is one.
pub(crate) fn ends(books: &Books<'_>, attempt: AttemptId) -> Result<Vec<End>, Fault> {
    Ok(books.query_all(ENTRIES, [attempt.as_bytes()], read_end)?)
}

fn over_hold(attempt: AttemptId, end: End, worst_case: i64) -> Result<Option<Picodollars>, Fault> {
    let End::Settle { cost, .. } = end else {
        return Ok(None);
    };
    if cost < Picodollars::ZERO {
        return Err(Fault::Answer(LedgerError::Invalid(format!(
            "attempt {attempt}: a cost of {} USD is negative; a cost is 0 or more",
            cost.to_usd()
        ))));
    }
    let over = cost.get() - worst_case;
    Ok((over > 0).then(|| Picodollars::new(over)))
}

fn read_end(row: &Row<'_>) -> rusqlite::Result<End> {
    let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(match row.get_ref(0)?.as_str()? {
        "settle" => End::Settle {
            cost: Picodollars::new(row.get(1)?),
            usage: Usage {
                prompt: PromptTokens(count(2)?),
                cached_prompt: PromptTokens(count(3)?),
                completion: CompletionTokens(count(4)?),
                ..Usage::default()
            },
        },
        "release" => End::Release,
        _ => End::Keep,
    })
}
