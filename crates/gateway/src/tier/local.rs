//! The embedded engine as a tier. It computes in a process of its own ([`crate::engine`]).

mod conversation;
mod embedding;
mod rules;
mod self_check;
mod telling;
mod writing;

use std::time::{Duration, Instant};

use domain::{
    CompletionTokens, GenerationOptions, LabelProbabilities, Labels, Prompt, PromptTokens, Usage,
};
use ledger::{AttemptId, UnpaidAttempt};
use llama::{Model, ModelError};
use routing::evidence::Evidence;

use self::conversation::{engine_prompt, messages};
use super::{Asked, Bill, Fault, Question, TierAnswer, TierFailure, label_completion};
use crate::clock;
use crate::config::{self, ModelSource};
use crate::engine::{
    self, About, Call, CallsAtOnce, Chat, End, FaultKind, Health, Load, NotStarted, Start, Work,
    Worker,
};
use crate::tenant::Tenant;

/// The model that the program brings along.
pub(crate) static STARTER: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/tiergate-starter.gguf"
));

/// Loads a tier's model.
///
/// # Errors
/// When the file can't be read or is no model that the engine knows.
pub(crate) fn load(source: &ModelSource) -> Result<Model, ModelError> {
    match source {
        ModelSource::Starter => Model::from_bytes("starter", STARTER),
        ModelSource::File(path) => Model::open(path),
    }
}

/// A model in a worker. Both end when it is dropped.
#[derive(Debug)]
pub(crate) struct LocalTier {
    about: About,
    worker: Worker,
    queue_max: usize,
}

impl LocalTier {
    /// Starts the worker and has it load the model. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When the model can't be loaded, or the worker breaks on it.
    pub(crate) fn start(settings: &config::LocalTier) -> Result<Self, NotStarted> {
        let source = match &settings.model {
            ModelSource::Starter => engine::Source::Starter,
            ModelSource::File(path) => engine::Source::File(path.clone()),
        };
        let (worker, about) = Worker::start(Start {
            source,
            threads: settings.threads,
            queue_max: settings.queue_max,
            kv_bytes: settings.kv_bytes,
        })?;
        for gap in &about.lacking {
            tracing::warn!(
                model = about.model,
                "the kernel can't keep the engine from {gap}"
            );
        }
        Ok(Self {
            about,
            worker,
            queue_max: settings.queue_max,
        })
    }

    /// How the model's weights are stored, such as `Q4_K, Q6_K`.
    pub(crate) fn quantisation(&self) -> &str {
        &self.about.quantisation
    }

    /// How many requests may wait.
    pub(crate) fn queue_max(&self) -> usize {
        self.queue_max
    }

    /// What keeps it from answering, in words that follow "it is".
    pub(crate) fn trouble(&self) -> Option<String> {
        match self.worker.health() {
            Health::Running => None,
            Health::Restarting { crashes, cause } => Some(format!(
                "starting its engine again, which ended {crashes} times in a row ({cause})"
            )),
            Health::Closed => Some("closing".to_owned()),
        }
    }

    /// How many tools its model can call at once.
    pub(crate) fn calls(&self) -> CallsAtOnce {
        self.about.calls
    }

    /// Asks the engine: labels are scored, free text is written.
    ///
    /// # Cancel safety
    /// When dropped midway the request leaves the engine within one step.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Asked {
        let start = Instant::now();
        let result = match &question.task.task.labels {
            Some(labels) => self.label(&question, labels).await,
            None => self.write(&question).await,
        };
        let mut bill = Bill::default();
        if let Ok(answer) = &result {
            bill.unpaid.push(UnpaidAttempt {
                attempt: AttemptId::generate(clock::now()),
                tier: question.tier.clone(),
                model: self.about.model.clone(),
                usage: answer.completion.usage.unwrap_or_default(),
            });
        }
        Asked {
            result,
            bill,
            elapsed: start.elapsed(),
        }
    }

    /// How often its process was started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.worker.restarts()
    }

    /// What the engine is doing; `None` where it does not say so soon.
    ///
    /// # Cancel safety
    /// Nothing is lost when dropped midway.
    pub(crate) async fn load(&self) -> Option<Load> {
        /// A page of metrics waits for it.
        const SOON: Duration = Duration::from_secs(1);
        let told = async {
            let mut call = self.put(&Tenant::program(), Work::Report).await.ok()?;
            match ended(&mut call).await {
                Ok(End::Reported(load)) => Some(load),
                _ => None,
            }
        };
        tokio::time::timeout(SOON, told).await.ok()?
    }

    /// How many tokens a conversation is to the model.
    ///
    /// # Errors
    /// When it is none that the model can be put.
    ///
    /// # Cancel safety
    /// Nothing is lost when dropped midway.
    pub(crate) async fn count(
        &self,
        tenant: &Tenant,
        (prompt, options): (&Prompt, &GenerationOptions),
    ) -> Result<PromptTokens, TierFailure> {
        let work = Work::Count(engine_prompt(prompt, options));
        match ended(&mut self.put(tenant, work).await?).await? {
            End::Counted(tokens) => Ok(PromptTokens(tokens)),
            other => Err(failed(other)),
        }
    }

    async fn put(&self, tenant: &Tenant, work: Work) -> Result<Call, TierFailure> {
        let call = self.worker.ask(tenant.as_str(), work).await;
        call.map_err(|health| not_running(&health))
    }

    async fn label(
        &self,
        question: &Question<'_>,
        labels: &Labels,
    ) -> Result<TierAnswer, TierFailure> {
        let work = Work::Score {
            chat: Chat {
                messages: messages(question.prompt),
                tools: Vec::new(),
            },
            labels: labels.iter().map(|label| label.name.clone()).collect(),
        };
        let mut call = self.put(question.tenant, work).await?;
        match ended(&mut call).await? {
            End::Scored {
                log_probabilities,
                usage,
            } => self.labelled(labels, &log_probabilities, usage),
            other => Err(failed(other)),
        }
    }

    fn labelled(
        &self,
        labels: &Labels,
        scores: &[f64],
        usage: engine::Usage,
    ) -> Result<TierAnswer, TierFailure> {
        // The engine gives one for each label, but it is another process that says so.
        if scores.len() != labels.iter().count() {
            return Err(broken());
        }
        if !scores.iter().any(|score| score.is_finite()) || scores.iter().any(|s| s.is_nan()) {
            return Err(TierFailure {
                reason: "the model gives no label a probability; its file may be damaged: compare its sha256 with the publisher's".to_owned(),
                retryable: false,
                fault: Fault::Tier,
            });
        }
        let probabilities = LabelProbabilities::from_logits(scores);
        let (top, _) = probabilities.top();
        let usage = Some(counted(usage, 1));
        Ok(TierAnswer {
            completion: label_completion(labels.name(top), self.about.model.clone(), usage),
            label: Some(top),
            evidence: Some(Evidence::Labels(probabilities)),
            is_whole: true,
        })
    }
}

async fn ended(call: &mut Call) -> Result<End, TierFailure> {
    (&mut call.end).await.map_err(|_| TierFailure {
        reason: "the engine's process ended during this request; it is started again: ask again \
                 in a moment"
            .to_owned(),
        retryable: true,
        fault: Fault::Tier,
    })
}

/// Why there is another end than the one that was asked for.
fn failed(end: End) -> TierFailure {
    match end {
        End::Failed { fault, message } => TierFailure {
            reason: message,
            retryable: false,
            fault: match fault {
                FaultKind::Request => Fault::Request,
                FaultKind::Engine => Fault::Tier,
            },
        },
        End::Busy { wait_ms } => full(wait_ms),
        _ => broken(),
    }
}

fn counted(usage: engine::Usage, completion: usize) -> Usage {
    Usage {
        prompt: PromptTokens(usage.prompt),
        cached_prompt: PromptTokens(usage.cached),
        completion: CompletionTokens(completion as u64),
        ..Usage::default()
    }
}

fn not_running(health: &Health) -> TierFailure {
    let reason = match health {
        Health::Restarting { crashes, .. } => format!(
            "the engine's process ended {crashes} times in a row and is not up again yet; the log \
             says why; ask again later"
        ),
        Health::Running | Health::Closed => "the engine is closing; ask again later".to_owned(),
    };
    TierFailure {
        reason,
        retryable: true,
        fault: Fault::Tier,
    }
}

fn full(wait_ms: u64) -> TierFailure {
    let wait_s = wait_ms.div_ceil(1000).max(1);
    TierFailure {
        reason: format!(
            "the engine's queue is full; ask again in about {wait_s} s, or raise the tier's \
             queue_max"
        ),
        retryable: true,
        fault: Fault::Busy { wait_s },
    }
}

fn broken() -> TierFailure {
    TierFailure {
        reason: "the engine broke on this request; the log says where; please report it".to_owned(),
        retryable: false,
        fault: Fault::Tier,
    }
}
