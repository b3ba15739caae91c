//! One request's way, from its prompt to its recorded answer.

mod answered;
mod booking;
mod counterfactual;
mod decision_json;
mod embedding;
mod evidence;
mod live;
mod request;

use ledger::LedgerError;
use routing::cascade::{Cascade, Decision, Outcome, Rule, Rung, Step};
use wire::chat::Delivery;

pub(crate) use self::answered::{Answered, End};
use self::booking::{Books, record};
pub(crate) use self::decision_json::StepJson;
pub(crate) use self::embedding::{Texts, embed};
pub(crate) use self::live::{Listener, Live, Said};
pub(crate) use self::request::{Item, ItemResult, Request};
use crate::app::App;
use crate::certificate::Extent;
use crate::clock;
use crate::ready::{ReadyTask, Rules, decide};
use crate::records::content::Decided;
use crate::tier::{Asked, Early, Question};

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
    let way = Way::new(app, task, request, live);
    let (asked, decision) = way.ask_in_turn().await;
    let at = clock::now();
    let watch = way.rules.watch.as_ref();
    let choice = watch.and_then(|watch| watch.draw(&request.id, &decision));
    let decided = Decided {
        rules: way.rules,
        decision: &decision,
        asked: &asked,
        choice,
    };
    let kept = decided.record(task, &request.prompt, at);
    let (mut answered, bill) = Answered::of(decision, asked);
    answered.counterfactual = answered.by_frontier_alone(app, task, &request.prompt);
    let books = Books {
        request: &request.id,
        at,
        prompt_bytes: request.prompt.content_bytes() as u64,
        item: request.item.as_ref(),
        bill,
        kept,
        audit: way.audit(&answered, choice, at),
        passed_on: way.passed_on(&answered),
    };
    record(app, task, &answered, books).await?;
    answered.count(app, task);
    Ok(answered)
}

/// A request on its way from tier to tier.
struct Way<'a> {
    app: &'a App,
    task: &'a ReadyTask,
    /// The rules and the cascade that it began under; it ends under them.
    rules: &'a Rules,
    cascade: &'a Cascade,
    request: &'a Request,
    /// Where the answer is shown while it is written.
    live: Option<&'a Live>,
}

impl<'a> Way<'a> {
    fn new(
        app: &'a App,
        task: &'a ReadyTask,
        request: &'a Request,
        live: Option<&'a Live>,
    ) -> Self {
        let delivery = live.map_or(Delivery::Whole, |_| Delivery::Streamed);
        let (rules, cascade) = task.rules_for(&request.generation, delivery);
        Self {
            app,
            task,
            rules,
            cascade,
            request,
            live,
        }
    }

    /// Asks tier after tier until one's answer is accepted or none is left; what came of each by
    /// its rung, in the order of asking, and the decision.
    async fn ask_in_turn(&self) -> (Vec<(usize, Asked)>, Decision) {
        let mut asked: Vec<(usize, Asked)> = Vec::new();
        let mut outcomes: Vec<Outcome> = Vec::new();
        let decision = loop {
            let decision = decide(self.cascade, &outcomes);
            let Step::Ask { rung } = decision.step else {
                break decision;
            };
            let foretold = self.foretold(rung, &asked);
            if let (Some(chance), true) = (foretold, self.cascade.may_skip(rung)) {
                outcomes.push(Outcome::Skipped { chance });
                continue;
            }
            let came = self.ask(rung).await;
            let confidence = match (&came.result, foretold) {
                (Ok(answer), None) => self.confidence(rung, answer, &asked),
                // Of what the router would not let through nothing is proven: it can be a
                // suggestion.
                _ => None,
            };
            outcomes.push(outcome_of(&came, confidence));
            let broke_off = came.result.is_err() && self.live.is_some_and(Live::has_begun);
            asked.push((rung, came));
            if broke_off {
                // Another tier's text can't follow the part that the reader has seen.
                break decide(self.cascade, &outcomes);
            }
        };
        (asked, decision)
    }

    async fn ask(&self, rung: usize) -> Asked {
        let generation = self.request.generation.or(&self.task.generation);
        let Rung { tier, rule, .. } = &self.rules.cascade.rungs()[rung];
        // A label is shown when it is known to be one, and other text when it is sure to be accepted.
        let early = match (self.rules.extent, rule) {
            (Extent::First(tokens), Rule::Threshold(threshold)) => Some(Early {
                tokens,
                threshold: *threshold,
            }),
            _ => None,
        };
        let is_shown = early.is_some() || *rule == Rule::Always;
        let live = self
            .live
            .filter(|_| is_shown && self.task.task.labels.is_none());
        if let Some(live) = live {
            live.asks(tier).await;
        }
        let question = Question {
            request: &self.request.id,
            tenant: &self.request.tenant,
            tier,
            task: self.task,
            prompt: &self.request.prompt,
            generation: &generation,
            extra: self.request.extra.as_ref(),
            live,
            early,
        };
        self.app.tiers[tier].ask(question).await
    }
}

/// What came of asking a tier, whose answer is so sure.
fn outcome_of(came: &Asked, confidence: Option<f64>) -> Outcome {
    match &came.result {
        Ok(answer) => Outcome::Answered {
            label: answer.label,
            confidence,
        },
        Err(failure) => Outcome::Failed {
            reason: failure.reason.clone(),
            retryable: failure.retryable,
        },
    }
}
