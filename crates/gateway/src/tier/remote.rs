//! A pool or a frontier at work: a hold before each paid attempt, a resolution after it.

mod embedding;
mod errand;

use std::time::{Duration, Instant};

use domain::{
    Completion, CompletionTokens, Picodollars, Price, Prompt, PromptTokens, Protocol, TierKind,
    Usage,
};
use ledger::{AttemptId, BudgetLimit, Hold, Ledger, LedgerError, NewHold, UnpaidAttempt};
use tokio::sync::Semaphore;
use upstream::{Billing, Pool, Refusal, UpstreamError};
use wire::chat::Lossy;

use self::errand::{Broken, Errand};
use super::{Account, Asked, Bill, Fault, Question, TierAnswer, TierFailure};
use crate::clock;

/// A tier that is reached over HTTP.
#[derive(Debug)]
pub(crate) struct RemoteTier {
    kind: TierKind,
    model: String,
    pool: Pool,
    /// `None` for a pool without a price of its own.
    price: Option<Price>,
    /// The most that one picture, sound or file is taken to come to.
    media_tokens_max: PromptTokens,
    /// What may be left out of requests of other protocols' clients.
    lossy: Lossy,
    /// Whether requests may ask for what the price list does not cover.
    allow_unpriced: bool,
    places: Semaphore,
    ledger: Ledger,
}

impl RemoteTier {
    /// A tier that takes at most `settings.concurrency_max` requests at once.
    pub(crate) fn new(
        settings: &crate::config::RemoteTier,
        kind: TierKind,
        pool: Pool,
        ledger: Ledger,
    ) -> Self {
        Self {
            kind,
            model: settings.model.clone(),
            pool,
            price: settings.price,
            media_tokens_max: settings.media_tokens_max,
            lossy: match settings.drops_unsupported {
                true => Lossy::WhatHasNoForm,
                false => Lossy::Nothing,
            },
            allow_unpriced: settings.allow_unpriced,
            places: Semaphore::new(settings.concurrency_max),
            ledger,
        }
    }

    pub(crate) fn kind(&self) -> TierKind {
        self.kind
    }

    /// The servers.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The protocol that the server speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.pool.protocol()
    }

    /// What may be left out of a request of another protocol's client.
    pub(crate) fn lossy(&self) -> Lossy {
        self.lossy
    }

    /// Whether all that it is paid for must be in its price list.
    pub(crate) fn is_priced_whole(&self) -> bool {
        self.price.is_some() && !self.allow_unpriced
    }

    /// The price list, where it has one.
    pub(crate) fn price(&self) -> Option<&Price> {
        self.price.as_ref()
    }

    /// Asks until there is an answer or no further attempt is allowed.
    ///
    /// # Cancel safety
    /// When dropped midway the connection is closed, and the ledger keeps the hold of an attempt
    /// that was sent.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Asked {
        let asked = self.run(question.account(), &question).await;
        asked.and_then(|completion| read(completion, &question))
    }

    async fn run<E: Errand>(&self, account: Account<'_>, errand: &E) -> Asked<E::Got> {
        let start = Instant::now();
        let mut bill = Bill::default();
        let result = match self.places.acquire().await {
            Ok(_place) => self.in_turn(account, errand, &mut bill).await,
            Err(_closed) => Err(TierFailure::busy("the tier is closing; ask again later")),
        };
        Asked {
            result,
            bill,
            elapsed: start.elapsed(),
        }
    }

    async fn in_turn<E: Errand>(
        &self,
        account: Account<'_>,
        errand: &E,
        bill: &mut Bill,
    ) -> Result<E::Got, TierFailure> {
        let mut schedule = self.pool.schedule();
        let mut failed = Vec::new();
        loop {
            let id = AttemptId::generate(clock::now());
            let chosen = self.pool.choose(errand.prefix(), &failed);
            let mut held = self
                .hold(id, account, errand.tokens_max(self.media_tokens_max))
                .await?;
            if let Some((hold, _)) = &mut held {
                hold.mark_sent();
            }
            let (name, deadline) = (id.to_string(), schedule.deadline());
            match errand.attempt(&chosen, &name, deadline).await {
                Ok(got) => {
                    let usage = E::usage(&got);
                    match held {
                        Some(held) => self.settle(held, usage, bill),
                        None => bill.unpaid.push(self.unpaid(id, account, usage)),
                    }
                    return Ok(got);
                }
                Err(Broken { error, shown }) => {
                    match (held, error.billing()) {
                        (None, _) => {}
                        (Some((hold, _)), Billing::NotBilled) => {
                            bill.add(hold.release(), Picodollars::ZERO);
                        }
                        (Some((hold, worst)), Billing::MayBeBilled) => bill.add(hold.keep(), worst),
                    }
                    if shown {
                        return Err(failure(&error));
                    }
                    failed.push(chosen.place);
                    drop(chosen);
                    let now = tokio::time::Instant::now();
                    let others = failed.len() < self.pool.size();
                    if !(others && schedule.elsewhere(&error, now)) {
                        failed.clear();
                        match schedule.after(&error, now) {
                            Some(wait) => tokio::time::sleep(wait).await,
                            None => return Err(failure(&error)),
                        }
                    }
                }
            }
        }
    }

    /// Reserves the most that an attempt with so many tokens can cost, and says how much that is;
    /// `None` for a tier without a price.
    async fn hold(
        &self,
        attempt: AttemptId,
        account: Account<'_>,
        (prompt, completion): (PromptTokens, CompletionTokens),
    ) -> Result<Option<(Hold, Picodollars)>, TierFailure> {
        let Some(price) = &self.price else {
            return Ok(None);
        };
        let worst_case = price
            .worst_case(prompt, completion)
            .map_err(|error| TierFailure {
                reason: format!("the attempt can't be priced: {error}"),
                retryable: false,
                fault: Fault::Request,
            })?;
        let at = clock::now();
        let task = account.task;
        let budgets = task.budget.iter().map(|budget| BudgetLimit {
            name: format!("task:{}", task.task.name),
            limit: budget.limit,
            window_start: clock::window_start(budget.window, at),
        });
        let new = NewHold {
            attempt,
            request: account.request.clone(),
            task: task.task.name.clone(),
            tier: account.tier.clone(),
            model: self.model.clone(),
            worst_case,
            at,
            budgets: budgets.collect(),
        };
        let hold = self.ledger.hold(new).await.map_err(not_held)?;
        Ok(Some((hold, worst_case)))
    }

    fn settle(&self, (hold, worst): (Hold, Picodollars), usage: Option<Usage>, bill: &mut Bill) {
        // What another model did has a price that is not known here: the worst case stays booked.
        let usage = usage.filter(|usage| !usage.aside.of_another_model);
        let cost = usage.and_then(|usage| {
            let price = self.price.as_ref()?;
            Some((usage, price.cost(&usage).ok()?))
        });
        match cost {
            Some((usage, cost)) => bill.add(hold.settle(usage, cost), cost),
            None => bill.add(hold.keep(), worst),
        }
    }

    fn unpaid(
        &self,
        attempt: AttemptId,
        account: Account<'_>,
        usage: Option<Usage>,
    ) -> UnpaidAttempt {
        UnpaidAttempt {
            attempt,
            tier: account.tier.clone(),
            model: self.model.clone(),
            usage: usage.unwrap_or_default(),
        }
    }
}

/// An upper bound of the prompt's tokens, but for pictures and the like: the vendors' tokenizers are
/// byte-level, so that a token is never shorter than a byte, and a message's frame is a handful of
/// tokens.
fn prompt_tokens_max(prompt: &Prompt, extra_bytes: usize) -> PromptTokens {
    const FRAME: usize = 16;
    let bytes = prompt.content_bytes() + extra_bytes + FRAME * (prompt.messages.len() + 1);
    PromptTokens(bytes as u64)
}

/// The tokens of a prompt, estimated: four bytes a token, which is what English text comes to,
/// and four tokens a message.
pub(crate) fn estimated_prompt_tokens(prompt: &Prompt) -> PromptTokens {
    const FRAME: usize = 4;
    let messages = prompt.messages.iter();
    let messages: usize = messages
        .map(|message| message.size_bytes().div_ceil(BYTES_PER_TOKEN) + FRAME)
        .sum();
    let tools = prompt.tools.iter();
    let tools: usize = tools
        .map(|tool| tool.size_bytes().div_ceil(BYTES_PER_TOKEN) + FRAME)
        .sum();
    let suffix = prompt.suffix().map_or(0, str::len);
    PromptTokens((messages + tools + suffix.div_ceil(BYTES_PER_TOKEN)) as u64)
}

/// What English text comes to.
const BYTES_PER_TOKEN: usize = 4;

/// What sending a prompt to this price list would cost, were it answered with `answer_bytes`.
pub(crate) fn estimated_cost(
    price: &Price,
    prompt: &Prompt,
    answer_bytes: usize,
) -> Option<Picodollars> {
    let prompt_tokens = estimated_prompt_tokens(prompt);
    let completion_tokens = CompletionTokens(answer_bytes.div_ceil(BYTES_PER_TOKEN) as u64);
    let usage = domain::Usage {
        prompt: prompt_tokens,
        completion: completion_tokens,
        ..domain::Usage::default()
    };
    price.cost(&usage).ok()
}

/// The answer as its task understands it. For a task with labels an answer that is none of them
/// is a failure: nothing may be accepted that is no label.
fn read(completion: Completion, question: &Question<'_>) -> Result<TierAnswer, TierFailure> {
    let Some(labels) = &question.task.task.labels else {
        return Ok(TierAnswer {
            completion,
            label: None,
            evidence: None,
            is_whole: true,
        });
    };
    let Some(label) = labels.parse(&completion.text()) else {
        return Err(TierFailure {
            reason: "the answer is none of the task's labels; if this happens often, say in the prompt that the answer is one label alone, and give the labels definitions".to_owned(),
            retryable: true,
            fault: Fault::Tier,
        });
    };
    Ok(TierAnswer {
        completion: completion.with_text(labels.name(label)),
        label: Some(label),
        evidence: None,
        is_whole: true,
    })
}

fn failure(error: &UpstreamError) -> TierFailure {
    let fault = match error {
        UpstreamError::Refused {
            reason: Refusal::Request,
            ..
        } => Fault::Request,
        UpstreamError::Busy { .. } | UpstreamError::Resting { .. } => Fault::Busy {
            wait_s: whole_seconds(error.retry_after()),
        },
        _ => Fault::Tier,
    };
    TierFailure {
        reason: error.to_string(),
        retryable: error.may_pass(),
        fault,
    }
}

/// So many seconds that the wait is over, 1 at least.
fn whole_seconds(wait: Option<Duration>) -> u64 {
    wait.map_or(1, |wait| wait.as_secs_f64().ceil().max(1.0) as u64)
}

fn not_held(error: LedgerError) -> TierFailure {
    let fault = match error {
        LedgerError::OverBudget(_) => Fault::Budget,
        _ => Fault::Tier,
    };
    let reason = error.to_string();
    TierFailure {
        reason,
        retryable: fault == Fault::Budget || error.is_retryable(),
        fault,
    }
}
