//! Decisions: why each request was answered as it was, booked together with its money.

use domain::{Picodollars, TaskName, TierName, Usage};
use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::{OptionalExtension as _, Row, params};

use crate::audits::{self, NewAudit};
use crate::error::{Fault, LedgerError, contradiction, count_to_sql};
use crate::holds::{self, NewHold};
use crate::ids::{AttemptId, RequestId, Timestamp};
use crate::items::{self, JobItem};
use crate::monitors::{self, PassedOn};
use crate::records::{self, NewRecord};
use crate::resolutions::{self, End, Resolution};
use crate::total::Total;
use crate::writer::Books;

const EARLIER: &str = "
    SELECT at, task, verdict, tier, confidence, escalations, fallbacks, decision, prompt_bytes,
           counterfactual, counterfactual_basis
    FROM decisions WHERE request = ?1";
const DECIDE: &str = "
    INSERT INTO decisions
        (request, run, at, task, verdict, tier, confidence, escalations, fallbacks, decision,
         prompt_bytes, counterfactual, counterfactual_basis)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const COSTS: &str = "
    SELECT CASE state WHEN 'settled' THEN cost ELSE worst_case END
    FROM attempt_states WHERE request = ?1 AND state IN ('settled', 'unknown')";
const SAME_ATTEMPT: &str = "
    SELECT request = ?2 AND task = ?3 AND tier = ?4 AND model = ?5
    FROM attempts WHERE id = ?1";

/// All that came of one request.
#[derive(Debug)]
pub struct Outcome {
    /// The request.
    pub request: RequestId,
    /// The time now.
    pub at: Timestamp,
    /// The request's task.
    pub task: TaskName,
    /// Why it was answered as it was.
    pub decision: Decision,
    /// The ends of its paid attempts, as far as they weren't booked before.
    pub resolutions: Vec<Resolution>,
    /// Its attempts at tiers that bill nothing.
    pub unpaid: Vec<UnpaidAttempt>,
    /// The job's item that it answers, in a batch run.
    pub item: Option<JobItem>,
    /// What is kept of it beside the decision, where its task keeps records.
    pub record: Option<NewRecord>,
    /// Its audit, where its answer was chosen for one.
    pub audit: Option<NewAudit>,
    /// What the monitor of its certificate shall hear of it, where no threshold let it be kept.
    pub passed_on: Option<PassedOn>,
}

/// Why a request was answered as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What became of it.
    pub verdict: Verdict,
    /// The last answer's confidence, where it brought evidence.
    pub confidence: Option<f64>,
    /// How often the next tier was asked because confidence was too low.
    pub escalations: u32,
    /// How often the next tier was asked because one failed.
    pub fallbacks: u32,
    /// The whole decision as JSON text, from which it can be replayed.
    pub json: String,
    /// Bytes of the prompt's contents.
    pub prompt_bytes: u64,
    /// What the request would have cost with the frontier tier alone, where that is known.
    pub counterfactual: Option<Counterfactual>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A tier's answer was accepted.
    Answered {
        /// That tier.
        tier: TierName,
    },
    /// It was given to a person.
    Review,
    /// No tier answered.
    Failed,
}

impl Verdict {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Review => "review",
            Self::Failed => "failed",
        }
    }

    fn tier(&self) -> Option<&str> {
        match self {
            Self::Answered { tier } => Some(tier.as_str()),
            Self::Review | Self::Failed => None,
        }
    }
}

/// What a request would have cost with the frontier tier alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counterfactual {
    /// The cost; not negative.
    pub cost: Picodollars,
    /// Where the figure comes from.
    pub basis: Basis,
}

/// Where a counterfactual cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The frontier tier did answer, and its usage came.
    Measured,
    /// Computed from the prompt's size and the usual length of a completion.
    Estimated,
}

impl Basis {
    fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
        }
    }
}

/// An attempt at a tier that bills nothing. It needs no hold, and stands in the books for its
/// tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaidAttempt {
    /// The attempt, never booked before.
    pub attempt: AttemptId,
    /// The tier that was asked.
    pub tier: TierName,
    /// The name by which the tier calls its model.
    pub model: String,
    /// What it consumed.
    pub usage: Usage,
}

/// What a request cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// All its settled and kept attempts, those booked earlier included.
    pub cost: Total,
    /// Attempts of this outcome that cost more than was held for them, and by how much.
    pub over_hold: Vec<(AttemptId, Picodollars)>,
}

/// Books an outcome.
pub(crate) fn record(books: &Books<'_>, outcome: &Outcome) -> Result<Recorded, Fault> {
    let mut over_hold = Vec::new();
    for resolution in &outcome.resolutions {
        let attempt = resolution.attempt();
        let booked = resolutions::book(books, attempt, resolution.end(), outcome.at)?;
        over_hold.extend(booked.over_hold.map(|over| (attempt, over)));
    }
    for unpaid in &outcome.unpaid {
        book_unpaid(books, of(outcome), unpaid)?;
    }
    let is_new = decide(books, outcome)?;
    if let Some(item) = &outcome.item {
        items::write(books, item, &outcome.request, outcome.at)?;
    }
    if let Some(record) = &outcome.record {
        records::keep(books, record, of(outcome))?;
    }
    if let Some(audit) = &outcome.audit {
        audits::choose(books, audit, of(outcome))?;
    }
    if let Some(passed) = outcome.passed_on.as_ref().filter(|_| is_new) {
        monitors::passed_on(books, passed, outcome.at)?;
    }
    let costs: Vec<i64> = books.query_all(COSTS, [&outcome.request.0], |row| row.get(0))?;
    Ok(Recorded {
        cost: costs
            .into_iter()
            .map(|cost| Total::from(Picodollars::new(cost)))
            .sum(),
        over_hold,
    })
}

/// What everything that is booked with an outcome belongs to.
fn of(outcome: &Outcome) -> (&RequestId, &TaskName, Timestamp) {
    (&outcome.request, &outcome.task, outcome.at)
}

/// Books an attempt that cost nothing.
pub(crate) fn book_unpaid(
    books: &Books<'_>,
    (request, task, at): (&RequestId, &TaskName, Timestamp),
    unpaid: &UnpaidAttempt,
) -> Result<(), Fault> {
    let UnpaidAttempt {
        attempt,
        tier,
        model,
        usage,
    } = unpaid;
    let settled = End::Settle {
        usage: *usage,
        cost: Picodollars::ZERO,
    };
    let key = params![
        attempt.as_bytes(),
        request.0,
        task.as_str(),
        tier.as_str(),
        model
    ];
    let same = books.query_row(SAME_ATTEMPT, key, |row| row.get::<_, bool>(0));
    if same.optional()? == Some(true) && resolutions::ends(books, *attempt)? == [settled] {
        return Ok(());
    }
    let new = NewHold {
        attempt: *attempt,
        request: request.clone(),
        task: task.clone(),
        tier: tier.clone(),
        model: model.clone(),
        worst_case: Picodollars::ZERO,
        at,
        budgets: Vec::new(),
    };
    holds::book_attempt(books, &new)?;
    resolutions::enter(books, *attempt, settled, at)
}

/// A decision as it stands in its row, but for the request and the run.
#[derive(PartialEq)]
struct DecisionRow {
    at: i64,
    task: String,
    verdict: String,
    tier: Option<String>,
    confidence: Option<f64>,
    escalations: u32,
    fallbacks: u32,
    json: String,
    prompt_bytes: i64,
    counterfactual: Option<i64>,
    basis: Option<String>,
}

/// Whether it is not the same decision again.
fn decide(books: &Books<'_>, outcome: &Outcome) -> Result<bool, Fault> {
    let asked = to_row(outcome)?;
    let request = &outcome.request;
    let booked = books.execute(
        DECIDE,
        params![
            request.0,
            books.run.0,
            asked.at,
            asked.task,
            asked.verdict,
            asked.tier,
            asked.confidence,
            asked.escalations,
            asked.fallbacks,
            asked.json,
            asked.prompt_bytes,
            asked.counterfactual,
            asked.basis,
        ],
    );
    match booked {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY => {}
        booked => return Ok(booked.map(|_| true)?),
    }
    let earlier = books.query_row(EARLIER, [&request.0], read_row)?;
    if earlier == asked {
        return Ok(false);
    }
    let name = |row: &DecisionRow| match &row.tier {
        Some(tier) => format!("{} by tier `{tier}`", row.verdict),
        None => row.verdict.clone(),
    };
    Err(contradiction(
        format!("request `{request}`"),
        name(&earlier),
        format!(
            "{} by another decision; give each request a new id",
            name(&asked)
        ),
    ))
}

fn to_row(outcome: &Outcome) -> Result<DecisionRow, Fault> {
    let decision = &outcome.decision;
    let refuse = |what: String| {
        Fault::Answer(LedgerError::Invalid(format!(
            "request `{}`: {what}",
            outcome.request
        )))
    };
    if let Some(confidence) = decision.confidence.filter(|value| !value.is_finite()) {
        return Err(refuse(format!(
            "a confidence of {confidence} can't be booked; a confidence is a finite number"
        )));
    }
    let counterfactual = decision.counterfactual;
    if let Some(Counterfactual { cost, .. }) = counterfactual
        && cost < Picodollars::ZERO
    {
        return Err(refuse(format!(
            "a cost of {} USD is negative; a cost is 0 or more",
            cost.to_usd()
        )));
    }
    Ok(DecisionRow {
        at: outcome.at.unix_ms(),
        task: outcome.task.as_str().to_owned(),
        verdict: decision.verdict.as_str().to_owned(),
        tier: decision.verdict.tier().map(str::to_owned),
        confidence: decision.confidence,
        escalations: decision.escalations,
        fallbacks: decision.fallbacks,
        json: decision.json.clone(),
        prompt_bytes: count_to_sql("prompt bytes", decision.prompt_bytes)?,
        counterfactual: counterfactual.map(|it| it.cost.get()),
        basis: counterfactual.map(|it| it.basis.as_str().to_owned()),
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<DecisionRow> {
    Ok(DecisionRow {
        at: row.get(0)?,
        task: row.get(1)?,
        verdict: row.get(2)?,
        tier: row.get(3)?,
        confidence: row.get(4)?,
        escalations: row.get(5)?,
        fallbacks: row.get(6)?,
        json: row.get(7)?,
        prompt_bytes: row.get(8)?,
        counterfactual: row.get(9)?,
        basis: row.get(10)?,
    })
}
