//! One request's way, from its prompt to its recorded answer.

mod booking;
mod decision_json;
mod embedding;
mod live;

pub(crate) use decision_json::StepJson;
pub(crate) use embedding::{Texts, embed};
pub(crate) use live::{Listener, Live, Said};

use std::fmt;
use std::sync::Arc;

use domain::{Completion, Picodollars, Prompt, TierName};
use ledger::{
    Basis, Counterfactual, JobId, JobItem, LedgerError, NewAudit, PassedOn, RequestId, Timestamp,
};
use routing::cascade::{Cascade, Decision, Outcome, Rule, Rung, Step};
use routing::evidence::Evidence;
use wire::chat::{Delivery, Extra, RequestedGeneration};
use wire::embedding::Embeddings;

use self::booking::{Booked, Books, record};
use crate::agreement::canonical;
use crate::app::App;
use crate::audit::choice::Choice;
use crate::batch::result::ResultLine;
use crate::certificate::Extent;
use crate::clock;
use crate::deferral::Heard;
use crate::ready::{ReadyTask, Rules, decide};
use crate::records::content::{Decided, text_of};
use crate::tenant::Tenant;
use crate::tier::{Asked, Bill, Early, Fault, Question, TierAnswer, TierFailure};

/// What is to be answered.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// On whose behalf.
    pub(crate) tenant: Tenant,
    pub(crate) prompt: Prompt,
    /// What the client asks of the writing; what it leaves open the task says.
    pub(crate) generation: RequestedGeneration,
    /// Fields that only a tier of the same protocol understands.
    pub(crate) extra: Option<Extra>,
    /// The document of a batch run that this is.
    pub(crate) item: Option<Item>,
}

/// A document's place in a batch run.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) job: JobId,
    pub(crate) ordinal: u64,
    pub(crate) document: String,
    pub(crate) gold: Option<String>,
    /// How its result is written.
    pub(crate) result: ItemResult,
}

/// How the result of a document is written.
#[derive(Clone)]
pub(crate) enum ItemResult {
    /// As a line of a batch run's output.
    Line,
    /// As its client understands it.
    By(Arc<dyn Fn(&Answered) -> String + Send + Sync>),
}

impl fmt::Debug for ItemResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "Line",
            Self::By(_) => "By",
        })
    }
}

impl Item {
    /// The item as its job keeps it, with its result.
    fn of_job(&self, task: &ReadyTask, answered: &Answered) -> JobItem {
        JobItem {
            job: self.job,
            ordinal: self.ordinal,
            document: self.document.clone(),
            result: match &self.result {
                ItemResult::Line => ResultLine::of(task, self, answered).encode(),
                ItemResult::By(write) => write(answered),
            },
            status: answered.end.item_status(),
        }
    }
}

/// How a request ended, and why.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) end: End,
    pub(crate) decision: Decision,
    /// What the accepted answer brought to be judged by.
    pub(crate) evidence: Option<Evidence>,
    /// How long each tier that was asked took, in the order of asking.
    pub(crate) elapsed_ms: Vec<f64>,
    /// What was spent on it.
    pub(crate) cost: Picodollars,
    /// What the frontier alone would have cost, where the task has one.
    pub(crate) counterfactual: Option<Counterfactual>,
    /// The vectors, where vectors were asked for; the accepted answer has no text then.
    pub(crate) vectors: Option<Embeddings>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum End {
    /// A tier's answer was accepted.
    Accepted {
        tier: TierName,
        completion: Completion,
    },
    /// A person decides; the suggestion is the last tier's answer.
    Review { suggestion: Option<Completion> },
    /// No tier could answer.
    Failed {
        reason: String,
        retryable: bool,
        fault: Fault,
    },
}

/// Answers a request: asks tier after tier until one's answer is accepted, then records what it
/// cost and why it was decided so.
///
/// # Errors
/// When the ledger can't record it: then the answer must not be given out.
///
/// # Cancel safety
/// When dropped midway the tier at work stops, and the ledger books what was already spent; no
/// decision is recorded.
pub(crate) async fn answer(
    app: &App,
    task: &ReadyTask,
    request: &Request,
    live: Option<&Live>,
) -> Result<Answered, LedgerError> {
    let _in_flight = app.metrics.in_flight();
    let delivery = live.map_or(Delivery::Whole, |_| Delivery::Streamed);
    let (rules, cascade) = task.rules_for(&request.generation, delivery);
    let (asked, decision) = ask_in_turn(app, (task, rules), cascade, (request, live)).await;
    let elapsed_ms = asked
        .iter()
        .map(|(_, a)| a.elapsed.as_secs_f64() * 1e3)
        .collect();
    let at = clock::now();
    let watch = rules.watch.as_ref();
    let choice = watch.and_then(|watch| watch.draw(&request.id, &decision));
    let decided = Decided {
        rules,
        decision: &decision,
        asked: &asked,
        choice,
    };
    let kept = decided.record(task, &request.prompt, at);
    let (end, evidence, bill) = conclude(&decision, asked);
    let counterfactual = task.counterfactual(app, &request.prompt, &end, bill.cost);
    let cost = bill.cost;
    let answered = Answered {
        end,
        decision,
        evidence,
        elapsed_ms,
        cost,
        counterfactual,
        vectors: None,
    };
    let audit = answered.audit((task, rules), request, (choice, at));
    let passed_on = answered.passed_on(task, rules);
    let books = Books {
        passed_on,
        kept,
        audit,
        ..Books::of(bill, at)
    };
    let booked = Booked {
        id: &request.id,
        prompt_bytes: request.prompt.content_bytes() as u64,
        item: request
            .item
            .as_ref()
            .map(|item| item.of_job(task, &answered)),
    };
    record(app, task, booked, (&answered, books)).await?;
    answered.count(app, task);
    Ok(answered)
}

/// Asks tier after tier until one's answer is accepted or none is left; what came of each by its
/// rung, in the order of asking, and the decision.
async fn ask_in_turn(
    app: &App,
    (task, rules): (&ReadyTask, &Rules),
    cascade: &Cascade,
    (request, live): (&Request, Option<&Live>),
) -> (Vec<(usize, Asked)>, Decision) {
    let mut asked: Vec<(usize, Asked)> = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let decision = loop {
        let decision = decide(cascade, &outcomes);
        let Step::Ask { rung } = decision.step else {
            break decision;
        };
        let foretold = foretold(task, rules, (rung, request, &asked[..]));
        if let (Some(chance), true) = (foretold, cascade.may_skip(rung)) {
            outcomes.push(Outcome::Skipped { chance });
            continue;
        }
        let came = ask(app, (task, rules), request, rung, live).await;
        let broke_off = came.result.is_err() && live.is_some_and(Live::has_begun);
        let so_far = (rung, request, &asked[..]);
        // Of what the router would not let through nothing is proven: it can be a suggestion.
        let sure = |answer: &TierAnswer| match foretold {
            Some(_) => None,
            None => confidence(answer, task, rules, so_far),
        };
        outcomes.push(outcome_of(&came, sure));
        asked.push((rung, came));
        if broke_off {
            // Another tier's text can't follow the part that the reader has seen.
            break decide(cascade, &outcomes);
        }
    };
    (asked, decision)
}

async fn ask(
    app: &App,
    (task, rules): (&ReadyTask, &Rules),
    request: &Request,
    rung: usize,
    live: Option<&Live>,
) -> Asked {
    let generation = request.generation.or(&task.generation);
    let Rung { tier, rule, .. } = &rules.cascade.rungs()[rung];
    // A label is shown when it is known to be one, and other text when it is sure to be accepted.
    let early = match (rules.extent, rule) {
        (Extent::First(tokens), Rule::Threshold(threshold)) => Some(Early {
            tokens,
            threshold: *threshold,
        }),
        _ => None,
    };
    let is_shown = early.is_some() || *rule == Rule::Always;
    let live = live.filter(|_| is_shown && task.task.labels.is_none());
    if let Some(live) = live {
        live.asks(tier).await;
    }
    let question = Question {
        request: &request.id,
        tenant: &request.tenant,
        tier,
        task,
        prompt: &request.prompt,
        generation: &generation,
        extra: request.extra.as_ref(),
        live,
        early,
    };
    app.tiers[tier].ask(question).await
}

/// What came of asking a tier, whose answer is so sure.
fn outcome_of(came: &Asked, confidence: impl Fn(&TierAnswer) -> Option<f64>) -> Outcome {
    match &came.result {
        Ok(answer) => Outcome::Answered {
            label: answer.label,
            confidence: confidence(answer),
        },
        Err(failure) => Outcome::Failed {
            reason: failure.reason.clone(),
            retryable: failure.retryable,
        },
    }
}

/// How sure an answer is, after those of other tiers; `None` where it brings no evidence.
fn confidence(
    answer: &TierAnswer,
    task: &ReadyTask,
    rules: &Rules,
    (rung, request, earlier): (usize, &Request, &[(usize, Asked)]),
) -> Option<f64> {
    let rungs = rules.cascade.rungs();
    let text = answer.completion.text();
    let said = Heard {
        tier: &rungs[rung].tier,
        evidence: answer.evidence.as_ref()?,
        text: &text,
    };
    let earlier = heard(rules, earlier);
    let ranking = rules.ranking(task.task.kind);
    // The source is only looked into for what free text says.
    let source = match (ranking.has_head(said.tier), &task.task.labels) {
        (true, None) => text_of(task, &request.prompt),
        _ => String::new(),
    };
    Some(ranking.confidence(&source, said, &earlier))
}

/// The probability with which a tier's answer would be kept, where it is so low that the tier need
/// not be asked.
fn foretold(
    task: &ReadyTask,
    rules: &Rules,
    (rung, request, earlier): (usize, &Request, &[(usize, Asked)]),
) -> Option<f64> {
    let tier = &rules.cascade.rungs()[rung].tier;
    let text = || text_of(task, &request.prompt);
    let ranking = rules.ranking(task.task.kind);
    ranking.foretold(tier, text, &heard(rules, earlier))
}

/// What the tiers said that were asked so far.
fn heard<'a>(rules: &'a Rules, earlier: &'a [(usize, Asked)]) -> Vec<Heard<'a>> {
    let rungs = rules.cascade.rungs();
    let said = |(rung, asked): &'a (usize, Asked)| {
        Some(Heard {
            tier: &rungs[*rung].tier,
            evidence: asked.result.as_ref().ok()?.evidence.as_ref()?,
            text: "",
        })
    };
    earlier.iter().filter_map(said).collect()
}

/// Picks the answer that the decision names with its evidence, and adds up what all attempts cost.
fn conclude(decision: &Decision, asked: Vec<(usize, Asked)>) -> (End, Option<Evidence>, Bill) {
    let mut bill = Bill::default();
    let mut results: Vec<(usize, Result<TierAnswer, TierFailure>)> = Vec::new();
    for (rung, came) in asked {
        bill.append(came.bill);
        results.push((rung, came.result));
    }
    let mut answer_at = |wanted: usize| {
        let index = results.iter().position(|(rung, _)| *rung == wanted)?;
        results.swap_remove(index).1.ok()
    };
    let mut evidence = None;
    let end = match decision.step {
        Step::Accept { rung } => answer_at(rung).map(|answer| {
            evidence = answer.evidence;
            End::Accepted {
                tier: decision.rungs[rung].tier.clone(),
                completion: answer.completion,
            }
        }),
        Step::Review { suggestion } => Some(End::Review {
            suggestion: suggestion
                .and_then(&mut answer_at)
                // The beginning of an answer helps nobody.
                .filter(|answer| answer.is_whole)
                .map(|answer| answer.completion),
        }),
        Step::Fail { .. } | Step::Ask { .. } => None,
    };
    let end = end.unwrap_or_else(|| failed(decision, results));
    (end, evidence, bill)
}

/// The failure to tell: that of the last tier, which is the one that had to answer.
fn failed(decision: &Decision, results: Vec<(usize, Result<TierAnswer, TierFailure>)>) -> End {
    let retryable = matches!(decision.step, Step::Fail { retryable: true });
    let last = results
        .into_iter()
        .rev()
        .find_map(|(rung, result)| Some((rung, result.err()?)));
    match last {
        Some((rung, failure)) => End::Failed {
            reason: format!("tier {}: {}", decision.rungs[rung].tier, failure.reason),
            retryable,
            fault: failure.fault,
        },
        None => End::Failed {
            reason: "no tier of the task could be asked".to_owned(),
            retryable,
            fault: Fault::Tier,
        },
    }
}

impl Answered {
    /// The confidence of the accepted answer.
    pub(crate) fn confidence(&self) -> Option<f64> {
        use routing::cascade::Turn;
        self.decision.accepted().and_then(|rung| match rung.turn {
            Turn::Accepted { confidence, .. } => confidence,
            _ => None,
        })
    }

    /// The tiers that were not asked because a router foretold that it would be in vain.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = &TierName> {
        use routing::cascade::Turn;
        let rungs = self.decision.rungs.iter();
        rungs
            .filter(|rung| matches!(rung.turn, Turn::Skipped { .. }))
            .map(|rung| &rung.tier)
    }

    /// The audit of an accepted answer whose lot fell so.
    fn audit(
        &self,
        (task, rules): (&ReadyTask, &Rules),
        request: &Request,
        (choice, at): (Option<Choice>, Timestamp),
    ) -> Option<NewAudit> {
        let (End::Accepted { completion, .. }, Some(watch)) = (&self.end, &rules.watch) else {
            return None;
        };
        let chosen = choice.filter(|choice| choice.is_chosen)?;
        let answer = match task.task.labels {
            Some(_) => completion.text().into_owned(),
            // As the auditor's answer will be, so that the two can be compared.
            None => canonical(task.task.kind, &completion.text()),
        };
        let text = text_of(task, &request.prompt);
        watch.audit((chosen, &self.decision), &answer, (text, at))
    }

    /// What the certificate's monitor shall hear of a request that was passed on.
    fn passed_on(&self, task: &ReadyTask, rules: &Rules) -> Option<PassedOn> {
        let label = match &self.end {
            End::Accepted { completion, .. } => {
                let is_label = task.task.labels.is_some();
                is_label.then(|| completion.text())
            }
            End::Review { .. } => None,
            // Nothing was answered, and so nothing was decided.
            End::Failed { .. } => return None,
        };
        let watch = rules.watch.as_ref()?;
        watch.passed_on(&self.decision, label.as_deref())
    }

    /// Each rung's decision as it is stored and shown.
    pub(crate) fn decision_steps(&self, task: &ReadyTask) -> Vec<decision_json::StepJson> {
        decision_json::steps(task, self)
    }

    fn count(&self, app: &App, task: &ReadyTask) {
        let outcome = match &self.end {
            End::Accepted { .. } => "answered",
            End::Review { .. } => "review",
            End::Failed { .. } => "failed",
        };
        app.metrics.request_ended(task.task.name.as_str(), outcome);
        app.metrics.spent(self.cost);
        for tier in self.skipped() {
            app.metrics.skipped(tier.as_str());
        }
        let asked = self.decision.rungs.iter().filter_map(|rung| {
            Some((
                rung.tier.as_str(),
                decision_json::asked_verdict(&rung.turn)?,
            ))
        });
        for ((tier, verdict), elapsed_ms) in asked.zip(&self.elapsed_ms) {
            app.metrics.attempt_ended(tier, verdict, elapsed_ms / 1e3);
        }
    }
}

impl End {
    fn item_status(&self) -> ledger::ItemStatus {
        match self {
            Self::Accepted { .. } => ledger::ItemStatus::Answered,
            Self::Review { .. } => ledger::ItemStatus::Review,
            Self::Failed { retryable, .. } => ledger::ItemStatus::Failed {
                retryable: *retryable,
            },
        }
    }
}

/// What the frontier alone would have cost: what it did cost where it answered and nothing else
/// was paid, otherwise an estimate.
pub(crate) fn counterfactual(
    measured: Option<Picodollars>,
    estimated: impl FnOnce() -> Option<Picodollars>,
) -> Option<Counterfactual> {
    match measured {
        Some(cost) => Some(Counterfactual {
            cost,
            basis: Basis::Measured,
        }),
        None => estimated().map(|cost| Counterfactual {
            cost,
            basis: Basis::Estimated,
        }),
    }
}
