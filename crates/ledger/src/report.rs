//! Reports: where the money went, and what was decided.

use std::ops::Range;

use domain::{CompletionTokens, NameError, Picodollars, PromptTokens, TaskName, TierName, Usage};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use crate::ids::{AttemptId, RequestId, Timestamp};
use crate::total::Total;

/// Sums are made of the upper and the lower 32 bits apart: SQLite's own sum stops at 64 bits.
/// All days are of this many milliseconds: Unix time has no leap seconds.
const SPEND: &str = "
    SELECT held_at / 86400000 * 86400000 AS day, task, tier, COUNT(*),
           SUM(cost > worst_case),
           SUM(prompt_tokens >> 32), SUM(prompt_tokens & 4294967295),
           SUM(cached_prompt_tokens >> 32), SUM(cached_prompt_tokens & 4294967295),
           SUM(completion_tokens >> 32), SUM(completion_tokens & 4294967295),
           SUM(cost >> 32), SUM(cost & 4294967295),
           SUM(worst_case >> 32) FILTER (WHERE state = 'held'),
           SUM(worst_case & 4294967295) FILTER (WHERE state = 'held'),
           SUM(worst_case >> 32) FILTER (WHERE state = 'unknown'),
           SUM(worst_case & 4294967295) FILTER (WHERE state = 'unknown'),
           SUM(worst_case >> 32) FILTER (WHERE state = 'released'),
           SUM(worst_case & 4294967295) FILTER (WHERE state = 'released'),
           is_audit
    FROM attempt_states
    WHERE held_at >= ?1 AND held_at < ?2
    GROUP BY 1, 2, 3, is_audit ORDER BY 1, 2, 3, is_audit";
const DECISIONS: &str = "
    SELECT task, verdict, tier, COUNT(*), SUM(escalations), SUM(fallbacks),
           SUM(prompt_bytes >> 32), SUM(prompt_bytes & 4294967295),
           COUNT(counterfactual), SUM(counterfactual_basis = 'estimated'),
           SUM(counterfactual >> 32), SUM(counterfactual & 4294967295)
    FROM decisions
    WHERE at >= ?1 AND at < ?2
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
const DECISION_COSTS: &str = "
    WITH spent AS (
        SELECT d.task, d.counterfactual IS NOT NULL AS compared,
               CASE a.state WHEN 'settled' THEN a.cost ELSE a.worst_case END AS cost
        FROM decisions d JOIN attempt_states a ON a.request = d.request
        WHERE d.at >= ?1 AND d.at < ?2 AND a.state IN ('settled', 'unknown')
    )
    SELECT task, compared, SUM(cost >> 32), SUM(cost & 4294967295)
    FROM spent GROUP BY 1, 2";
const ATTEMPTS: &str = "
    SELECT id, tier, model, worst_case, held_at, state, cost,
           prompt_tokens, cached_prompt_tokens, completion_tokens
    FROM attempt_states WHERE request = ?1 ORDER BY held_at, id";

/// Moments from one, inclusive, to another, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    from: Timestamp,
    until: Timestamp,
}

impl TimeRange {
    /// All moments.
    pub const ALL: Self = Self {
        from: Timestamp::from_unix_ms(0),
        until: Timestamp::from_unix_ms(i64::MAX),
    };

    /// All moments from this one on.
    #[must_use]
    pub const fn since(from: Timestamp) -> Self {
        Self { from, ..Self::ALL }
    }

    /// The first moment and the one after the last.
    pub(crate) fn bounds(self) -> [i64; 2] {
        [self.from.unix_ms(), self.until.unix_ms()]
    }
}

impl From<Range<Timestamp>> for TimeRange {
    fn from(range: Range<Timestamp>) -> Self {
        Self {
            from: range.start,
            until: range.end,
        }
    }
}

/// What attempts were made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To answer requests.
    Answer,
    /// To see whether accepted answers are right.
    Audit,
}

/// What a task spent at a tier for a purpose on a day: the attempts that were held, or taken unpaid, that day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendLine {
    /// The day's start in UTC.
    pub day: Timestamp,
    /// The task.
    pub task: TaskName,
    /// The tier.
    pub tier: TierName,
    /// What it was asked for.
    pub purpose: Purpose,
    /// How many attempts, in every state.
    pub attempts: u64,
    /// How many of them cost more than was held for them.
    pub over_hold: u64,
    /// Tokens read, cached ones included, as far as they are known.
    pub prompt_tokens: u64,
    /// Tokens that a vendor's prompt cache supplied.
    pub cached_prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// What settled attempts cost.
    pub settled: Total,
    /// What attempts under way may cost.
    pub held: Total,
    /// What attempts may have cost whose usage never came.
    pub kept: Total,
    /// What was held for attempts that were not billed, and given back.
    pub released: Total,
}

/// What was decided for a task's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDecisions {
    /// The task.
    pub task: TaskName,
    /// How many requests were decided.
    pub requests: u64,
    /// How many a tier answered, by tier.
    pub answered_by: Vec<(TierName, u64)>,
    /// How many were given to a person.
    pub review: u64,
    /// How many no tier answered.
    pub failed: u64,
    /// How often the next tier was asked because confidence was too low.
    pub escalations: u64,
    /// How often the next tier was asked because one failed.
    pub fallbacks: u64,
    /// Bytes of all prompts' contents.
    pub prompt_bytes: u64,
    /// What the requests cost: their settled and kept attempts.
    pub cost: Total,
    /// The same beside what the frontier tier alone would have cost.
    pub compared: Compared,
}

/// Actual and counterfactual cost of the requests for which both are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many requests.
    pub requests: u64,
    /// For how many of them the counterfactual cost is estimated, and not measured.
    pub estimated: u64,
    /// What they cost.
    pub cost: Total,
    /// What they would have cost with the frontier tier alone.
    pub counterfactual: Total,
}

/// One attempt as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    /// The attempt.
    pub attempt: AttemptId,
    /// The tier that was asked.
    pub tier: TierName,
    /// The name by which the tier calls its model.
    pub model: String,
    /// What was held for it.
    pub worst_case: Picodollars,
    /// When it was held.
    pub held_at: Timestamp,
    /// What became of it.
    pub state: AttemptState,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// It is under way.
    Held,
    /// It cost this much.
    Settled {
        /// What it consumed.
        usage: Usage,
        /// What it cost.
        cost: Picodollars,
    },
    /// It was not billed.
    Released,
    /// It may have cost its worst case.
    Unknown,
}

pub(crate) fn spend(connection: &Connection, range: TimeRange) -> rusqlite::Result<Vec<SpendLine>> {
    let read = |row: &Row<'_>| {
        Ok(SpendLine {
            day: Timestamp::from_unix_ms(row.get(0)?),
            task: name(row, 1, TaskName::new)?,
            tier: name(row, 2, TierName::new)?,
            purpose: match row.get(19)? {
                true => Purpose::Audit,
                false => Purpose::Answer,
            },
            attempts: count(row, 3)?,
            over_hold: count(row, 4)?,
            prompt_tokens: wide_count(row, 5)?,
            cached_prompt_tokens: wide_count(row, 7)?,
            completion_tokens: wide_count(row, 9)?,
            settled: total(row, 11)?,
            held: total(row, 13)?,
            kept: total(row, 15)?,
            released: total(row, 17)?,
        })
    };
    connection
        .prepare_cached(SPEND)?
        .query_map(range.bounds(), read)?
        .collect()
}

pub(crate) fn decisions(
    connection: &Connection,
    range: TimeRange,
) -> rusqlite::Result<Vec<TaskDecisions>> {
    let mut tasks: Vec<TaskDecisions> = Vec::new();
    let mut statement = connection.prepare_cached(DECISIONS)?;
    let mut rows = statement.query(range.bounds())?;
    while let Some(row) = rows.next()? {
        let task = name(row, 0, TaskName::new)?;
        // The rows are sorted by task.
        if tasks.last().is_none_or(|last| last.task != task) {
            tasks.push(undecided(task));
        }
        if let Some(last) = tasks.last_mut() {
            add_decisions(last, row)?;
        }
    }
    let mut statement = connection.prepare_cached(DECISION_COSTS)?;
    let mut rows = statement.query(range.bounds())?;
    while let Some(row) = rows.next()? {
        let name = name(row, 0, TaskName::new)?;
        let (compared, cost) = (row.get::<_, bool>(1)?, total(row, 2)?);
        for task in tasks.iter_mut().filter(|task| task.task == name) {
            task.cost += cost;
            if compared {
                task.compared.cost += cost;
            }
        }
    }
    Ok(tasks)
}

pub(crate) fn attempts_of(
    connection: &Connection,
    request: &RequestId,
) -> rusqlite::Result<Vec<AttemptLine>> {
    connection
        .prepare_cached(ATTEMPTS)?
        .query_map(params![request.0], read_attempt)?
        .collect()
}

fn undecided(task: TaskName) -> TaskDecisions {
    TaskDecisions {
        task,
        requests: 0,
        answered_by: Vec::new(),
        review: 0,
        failed: 0,
        escalations: 0,
        fallbacks: 0,
        prompt_bytes: 0,
        cost: Total::ZERO,
        compared: Compared::default(),
    }
}

fn add_decisions(task: &mut TaskDecisions, row: &Row<'_>) -> rusqlite::Result<()> {
    let requests = count(row, 3)?;
    match row.get_ref(1)?.as_str()? {
        "answered" => task
            .answered_by
            .push((name(row, 2, TierName::new)?, requests)),
        "review" => task.review += requests,
        _ => task.failed += requests,
    }
    task.requests += requests;
    task.escalations += count(row, 4)?;
    task.fallbacks += count(row, 5)?;
    task.prompt_bytes = task.prompt_bytes.saturating_add(wide_count(row, 6)?);
    task.compared.requests += count(row, 8)?;
    task.compared.estimated += count(row, 9)?;
    task.compared.counterfactual += total(row, 10)?;
    Ok(())
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<AttemptLine> {
    let state = match row.get_ref(5)?.as_str()? {
        "held" => AttemptState::Held,
        "settled" => AttemptState::Settled {
            cost: Picodollars::new(row.get(6)?),
            usage: Usage {
                prompt: PromptTokens(count(row, 7)?),
                cached_prompt: PromptTokens(count(row, 8)?),
                completion: CompletionTokens(count(row, 9)?),
                ..Usage::default()
            },
        },
        "released" => AttemptState::Released,
        _ => AttemptState::Unknown,
    };
    Ok(AttemptLine {
        attempt: AttemptId::from_bytes(row.get(0)?),
        tier: name(row, 1, TierName::new)?,
        model: row.get(2)?,
        worst_case: Picodollars::new(row.get(3)?),
        held_at: Timestamp::from_unix_ms(row.get(4)?),
        state,
    })
}

/// A count that is never negative; none is 0.
fn count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let count: Option<i64> = row.get(index)?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

/// A sum from its two halves, the upper first; none is 0.
fn total(row: &Row<'_>, index: usize) -> rusqlite::Result<Total> {
    let half = |index| row.get::<_, Option<i64>>(index).map(|x| x.unwrap_or(0));
    let (upper, lower) = (half(index)?, half(index + 1)?);
    Ok(Total((i128::from(upper) << 32) + i128::from(lower)))
}

/// A sum of counts; beyond 64 bits, which no vendor's honest usage reaches, the greatest.
fn wide_count(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(total(row, index)?.0).unwrap_or(u64::MAX))
}

/// The name in a column.
pub(crate) fn name<T>(
    row: &Row<'_>,
    index: usize,
    parse: fn(&str) -> Result<T, NameError>,
) -> rusqlite::Result<T> {
    parse(row.get_ref(index)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
    })
}
