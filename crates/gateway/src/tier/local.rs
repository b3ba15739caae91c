//! The embedded engine as a tier. It computes in a process of its own ([`crate::engine`]).

use std::time::Instant;

use domain::{
    Completion, CompletionTokens, FinishReason, GenerationOptions, LabelProbabilities, Labels,
    Prompt, PromptKind, PromptTokens, ResponseFormat, Usage,
};
use ledger::{AttemptId, UnpaidAttempt};
use llama::{ChatMessage, Grammar, Model, ModelError, Sampling};
use routing::evidence::{Evidence, TokenLogProbabilities};

use super::showing::{Refused, Showing};
use super::{Asked, Bill, Fault, Question, TierAnswer, TierFailure, label_completion};
use crate::clock;
use crate::config::{self, ModelSource};
use crate::engine::{self, About, Call, End, FaultKind, Health, NotStarted, Start, Worker};

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

    /// Asks the engine: labels are scored, free text is written.
    ///
    /// # Cancel safety
    /// When dropped midway the request leaves the engine within one step.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Asked {
        let start = Instant::now();
        let result = self.answer(&question).await;
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

    async fn answer(&self, question: &Question<'_>) -> Result<TierAnswer, TierFailure> {
        let prompt = engine_prompt(question.prompt);
        let labels = question.task.task.labels.as_ref();
        let asked = |id| engine::Asked {
            id,
            tenant: question.task.task.name.to_string(),
            prompt,
            work: work(question),
        };
        let call = self.worker.ask(asked).await;
        let mut call = call.map_err(|health| not_running(&health))?;
        let mut showing = Showing::new(question);
        while let Some(piece) = call.next_piece().await {
            if let Some(refused) = showing.piece(piece).await {
                // The call, dropped, takes the request out of the engine.
                return Ok(self.begun(refused));
            }
        }
        match ended(&mut call).await? {
            End::Scored {
                log_probabilities,
                usage,
            } => {
                let labels = labels.ok_or_else(broken)?;
                self.labelled(labels, &log_probabilities, usage)
            }
            End::Written {
                text,
                log_probabilities,
                finish,
                usage,
            } => {
                let evidence = TokenLogProbabilities::new(&log_probabilities).ok();
                let finish_reason = match finish {
                    llama::FinishReason::Length => FinishReason::Length,
                    _ => FinishReason::Stop,
                };
                Ok(TierAnswer {
                    completion: Completion {
                        usage: Some(counted(usage, log_probabilities.len())),
                        model: self.about.model.clone(),
                        ..Completion::new(text, finish_reason)
                    },
                    label: None,
                    evidence: evidence.map(Evidence::Tokens),
                    is_whole: true,
                })
            }
            End::Failed { fault, message } => Err(TierFailure {
                reason: message,
                retryable: false,
                fault: match fault {
                    FaultKind::Request => Fault::Request,
                    FaultKind::Engine => Fault::Tier,
                },
            }),
            End::Busy { wait_ms } => Err(full(wait_ms)),
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

    /// The beginning of an answer that was not gone on with.
    fn begun(&self, Refused { text, evidence }: Refused) -> TierAnswer {
        let usage = Usage {
            completion: CompletionTokens(evidence.len() as u64),
            ..Usage::default()
        };
        TierAnswer {
            completion: Completion {
                usage: Some(usage),
                model: self.about.model.clone(),
                ..Completion::new(text, FinishReason::Length)
            },
            label: None,
            evidence: Some(Evidence::Tokens(evidence)),
            is_whole: false,
        }
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

fn work(question: &Question<'_>) -> engine::Work {
    if let Some(labels) = &question.task.task.labels {
        return engine::Work::Score(labels.iter().map(|label| label.name.clone()).collect());
    }
    let generation = question.generation;
    engine::Work::Write {
        max_tokens: usize::try_from(generation.max_completion_tokens.0).unwrap_or(usize::MAX),
        temperature: f64::from(generation.temperature),
        seed: generation.seed,
        stop: generation.stop.clone(),
        rules: rules(&generation.options),
        streams: question.live.is_some(),
    }
}

/// Which tokens the engine may choose.
fn rules(options: &GenerationOptions) -> Sampling {
    let neutral = Sampling::default();
    let wide = |share: Option<f32>, or: f64| share.map_or(or, f64::from);
    Sampling {
        top_k: options.top_k.map_or(0, |top_k| top_k as usize),
        top_p: wide(options.top_p, neutral.top_p),
        min_p: wide(options.min_p, neutral.min_p),
        frequency_penalty: options.frequency_penalty.unwrap_or_default(),
        presence_penalty: options.presence_penalty.unwrap_or_default(),
        logit_bias: options.logit_bias.clone(),
        grammar: match &options.response_format {
            ResponseFormat::Text => None,
            ResponseFormat::JsonObject => Some(Grammar::JsonObject),
            ResponseFormat::JsonSchema(answer) => Some(Grammar::JsonSchema(answer.schema.clone())),
        },
        ..neutral
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

fn engine_prompt(prompt: &Prompt) -> engine::Prompt {
    let messages = prompt.messages.iter();
    match &prompt.kind {
        PromptKind::Conversation => engine::Prompt::Chat(messages.map(chat_message).collect()),
        PromptKind::Text { suffix } => engine::Prompt::Text {
            text: messages.map(|message| message.text()).collect(),
            suffix: suffix.clone(),
        },
    }
}

fn chat_message(message: &domain::Message) -> ChatMessage {
    let role = match message.role {
        domain::Role::System => llama::Role::System,
        domain::Role::User => llama::Role::User,
        domain::Role::Assistant => llama::Role::Assistant,
    };
    ChatMessage::new(role, message.text())
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
        fault: Fault::Full { wait_s },
    }
}

fn broken() -> TierFailure {
    TierFailure {
        reason: "the engine broke on this request; the log says where; please report it".to_owned(),
        retryable: false,
        fault: Fault::Tier,
    }
}
