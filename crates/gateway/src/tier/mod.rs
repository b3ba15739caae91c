//! The tiers at work: each kind of place that can answer, behind one way of asking.

pub(crate) mod connect;
pub(crate) mod local;
pub(crate) mod loss;
pub(crate) mod remote;
mod showing;
mod student;

use std::borrow::Cow;
use std::time::Duration;

use domain::{
    Completion, FinishReason, Generation, Message, Picodollars, Price, Prompt, Protocol, TierKind,
    TierName, Usage,
};
use ledger::{RequestId, Resolution, UnpaidAttempt};
use routing::evidence::Evidence;
use wire::chat::Extra;
use wire::embedding::{EmbeddingRequest, Embeddings};

use self::local::LocalTier;
use self::remote::RemoteTier;
use crate::answer::Live;
use crate::ready::ReadyTask;
use crate::tenant::Tenant;

/// A tier that can be asked.
#[derive(Debug)]
pub(crate) enum Tier {
    /// Each task has a student of its own; see [`ReadyTask::student`].
    Student,
    /// The embedded engine.
    Local(LocalTier),
    /// A pool or a frontier.
    Remote(Box<RemoteTier>),
    /// The review queue; it is never asked, requests end there.
    Person,
}

impl Tier {
    /// Which kind of tier it is.
    pub(crate) fn kind(&self) -> TierKind {
        match self {
            Self::Student => TierKind::Student,
            Self::Local(_) => TierKind::Local,
            Self::Remote(remote) => remote.kind(),
            Self::Person => TierKind::Person,
        }
    }

    /// Asks the tier.
    ///
    /// # Cancel safety
    /// When dropped midway the work stops, and what was already spent is booked.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Asked {
        match self {
            Self::Local(local) => local.ask(question).await,
            Self::Remote(remote) => remote.ask(question).await,
            Self::Student => student::ask(question),
            Self::Person => {
                Asked::failed(TierFailure::busy("a person answers in the review queue"))
            }
        }
    }

    /// Asks the tier for vectors of texts.
    ///
    /// # Cancel safety
    /// As with [`Self::ask`].
    pub(crate) async fn embed(&self, question: EmbeddingQuestion<'_>) -> Asked<Embeddings> {
        match self {
            Self::Local(local) => local.embed(question).await,
            Self::Remote(remote) => remote.embed(question).await,
            Self::Student | Self::Person => {
                let failure = TierFailure {
                    reason: "the tier makes no vectors of texts".to_owned(),
                    retryable: false,
                    fault: Fault::Request,
                };
                Asked::failed(failure)
            }
        }
    }

    /// Whether it may be asked for vectors of texts; a tier elsewhere may still have a model that
    /// makes none.
    pub(crate) fn makes_vectors(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Remote(remote) => remote.protocol() != Protocol::Anthropic,
            Self::Student | Self::Person => false,
        }
    }

    /// How many requests may wait for a tier that refuses more.
    pub(crate) fn queue_max(&self) -> Option<usize> {
        match self {
            Self::Local(local) => Some(local.queue_max()),
            Self::Student | Self::Remote(_) | Self::Person => None,
        }
    }

    /// What keeps the tier from answering, in words that follow "it is".
    pub(crate) fn trouble(&self) -> Option<String> {
        match self {
            Self::Local(local) => local.trouble(),
            Self::Student | Self::Remote(_) | Self::Person => None,
        }
    }

    /// The price list of a tier that has one.
    pub(crate) fn price(&self) -> Option<&Price> {
        match self {
            Self::Remote(remote) => remote.price(),
            Self::Student | Self::Local(_) | Self::Person => None,
        }
    }
}

/// What a tier is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) request: &'a RequestId,
    /// On whose behalf.
    pub(crate) tenant: &'a Tenant,
    pub(crate) tier: &'a TierName,
    pub(crate) task: &'a ReadyTask,
    /// The whole conversation.
    pub(crate) prompt: &'a Prompt,
    pub(crate) generation: &'a Generation,
    /// Fields of the request that only a tier of the same protocol understands.
    pub(crate) extra: Option<&'a Extra>,
    /// Where text goes while it is being written; only given when the answer will be accepted
    /// whatever it is, or when it is accepted early.
    pub(crate) live: Option<&'a Live>,
    /// When it is accepted early, if it is: until then nothing is shown, and an answer that isn't
    /// sure enough is not written to its end. Only the engine can tell before the end.
    pub(crate) early: Option<Early>,
}

/// What a tier is asked that makes vectors of texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddingQuestion<'a> {
    pub(crate) account: Account<'a>,
    /// On whose behalf.
    pub(crate) tenant: &'a Tenant,
    pub(crate) asked: &'a EmbeddingRequest,
}

/// What a tier's attempts are booked under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) request: &'a RequestId,
    pub(crate) task: &'a ReadyTask,
    pub(crate) tier: &'a TierName,
}

/// An answer is accepted when it is sure enough after so many tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Early {
    /// At least one.
    pub(crate) tokens: usize,
    /// The confidence from which it is accepted.
    pub(crate) threshold: f64,
}

impl Question<'_> {
    pub(crate) fn account(&self) -> Account<'_> {
        Account {
            request: self.request,
            task: self.task,
            tier: self.tier,
        }
    }

    /// The text to be labelled: the last turn.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        let last = self.prompt.messages.last();
        last.map(Message::text).unwrap_or_default()
    }

    /// What the request's fields of its own protocol add to it, in bytes.
    pub(crate) fn extra_bytes(&self) -> usize {
        self.extra.map_or(0, Extra::size_bytes)
    }
}

/// A tier's answer, and what it brings.
#[derive(Debug)]
pub(crate) struct TierAnswer {
    /// The text; for a task with labels the label's name, or what was written instead of one.
    pub(crate) completion: Completion,
    /// The index of the label that was answered.
    pub(crate) label: Option<usize>,
    /// What says how far it can be relied on.
    pub(crate) evidence: Option<Evidence>,
    /// Whether it was written to its end.
    pub(crate) is_whole: bool,
}

/// Why a tier gave no answer.
#[derive(Debug)]
pub(crate) struct TierFailure {
    /// What was wrong and what to do, fit for the person who asked.
    pub(crate) reason: String,
    /// Whether asking again later may help.
    pub(crate) retryable: bool,
    /// What the person who asked did wrong, if it was that.
    pub(crate) fault: Fault,
}

/// Which side a failure lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request can't be answered as it is.
    Request,
    /// A budget is spent.
    Budget,
    /// There is no room now; so many seconds, as far as one can say, until there is.
    Busy {
        /// At least 1.
        wait_s: u64,
    },
    /// The tier, or the way to it.
    Tier,
}

impl TierFailure {
    /// There is no room now; later there may be.
    pub(crate) fn busy(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            retryable: true,
            fault: Fault::Busy { wait_s: 1 },
        }
    }
}

/// What came of asking a tier, with what it cost.
#[derive(Debug)]
pub(crate) struct Asked<T = TierAnswer> {
    pub(crate) result: Result<T, TierFailure>,
    pub(crate) bill: Bill,
    pub(crate) elapsed: Duration,
}

impl<T> Asked<T> {
    /// The tier was not asked.
    fn failed(failure: TierFailure) -> Self {
        Self {
            result: Err(failure),
            bill: Bill::default(),
            elapsed: Duration::ZERO,
        }
    }

    /// The same with something made of what came.
    pub(crate) fn and_then<U>(self, make: impl FnOnce(T) -> Result<U, TierFailure>) -> Asked<U> {
        Asked {
            result: self.result.and_then(make),
            bill: self.bill,
            elapsed: self.elapsed,
        }
    }
}

/// What the attempts at one tier, or all those of a request, cost.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// Paid attempts, resolved but not yet booked.
    pub(crate) resolutions: Vec<Resolution>,
    /// Attempts that cost nothing, for the count of tokens.
    pub(crate) unpaid: Vec<UnpaidAttempt>,
    /// Settled and kept money.
    pub(crate) cost: Picodollars,
}

impl Bill {
    /// Adds a resolution of this cost.
    pub(crate) fn add(&mut self, resolution: Resolution, cost: Picodollars) {
        self.resolutions.push(resolution);
        // Sums of a request's attempts stay far below the limit of 9.2 million dollars; should
        // one reach it, the shown cost stops there while the ledger's lines stay exact.
        self.cost = self.cost.plus(cost).unwrap_or(Picodollars::new(i64::MAX));
    }

    /// Adds what another tier's attempts cost.
    pub(crate) fn append(&mut self, other: Self) {
        self.resolutions.extend(other.resolutions);
        self.unpaid.extend(other.unpaid);
        self.cost = self
            .cost
            .plus(other.cost)
            .unwrap_or(Picodollars::new(i64::MAX));
    }
}

/// A label as a completion.
pub(crate) fn label_completion(name: &str, model: String, usage: Option<Usage>) -> Completion {
    Completion {
        usage,
        model,
        ..Completion::new(name, FinishReason::Stop)
    }
}
