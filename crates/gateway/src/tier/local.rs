//! The embedded engine at work: a few operating-system threads that own the model's sessions,
//! reached through a bounded queue.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use domain::{
    Completion, CompletionTokens, FinishReason, LabelProbabilities, Labels, PromptTokens, Usage,
};
use ledger::{AttemptId, UnpaidAttempt};
use llama::{
    Cancel, ChatMessage, GenerationOptions, LabelScorer, Model, ModelError, RequestError, Session,
};
use routing::evidence::{Evidence, TokenLogProbabilities};
use tokio::sync::oneshot;

use super::{Asked, Bill, Fault, Question, TierAnswer, TierFailure, label_completion};
use crate::answer::Live;
use crate::clock;
use crate::config::{self, ModelSource};

/// The model that the program brings along.
pub(crate) static STARTER: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../models/tiergate-starter.gguf"
));

/// Weights below this size are worked on by one thread for each request, so that requests run
/// side by side; of a larger model there is one session, on all threads.
const SMALL_MODEL_BYTES: u64 = 256 << 20;

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

/// The size of a model's file in bytes.
fn size_bytes(source: &ModelSource) -> u64 {
    let of_file = |path: &Path| std::fs::metadata(path).map_or(u64::MAX, |file| file.len());
    match source {
        ModelSource::Starter => STARTER.len() as u64,
        ModelSource::File(path) => of_file(path),
    }
}

/// A model with the threads that compute on it. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct LocalTier {
    model: String,
    quantisation: String,
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

/// Requests that wait for a thread.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    length_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// What a thread is to do.
#[derive(Debug)]
struct Job {
    messages: Vec<ChatMessage>,
    work: Work,
    cancel: Cancel,
    reply: oneshot::Sender<Result<TierAnswer, TierFailure>>,
}

#[derive(Debug)]
enum Work {
    Label(Labels),
    Write {
        options: GenerationOptions,
        live: Option<Live>,
    },
}

/// Stops a job whose asker has gone.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl LocalTier {
    /// Loads the model and starts its threads. Blocks for as long as loading takes.
    ///
    /// # Errors
    /// When the model can't be loaded.
    pub(crate) fn start(settings: &config::LocalTier) -> Result<Self, ModelError> {
        let model = Arc::new(load(&settings.model)?);
        let small = size_bytes(&settings.model) < SMALL_MODEL_BYTES;
        let threads = NonZeroUsize::new(settings.threads).unwrap_or(NonZeroUsize::MIN);
        let (workers, threads_each) = if small {
            (threads.get(), NonZeroUsize::MIN)
        } else {
            (1, threads)
        };
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            length_max: settings.queue_max,
        });
        let start = |index| {
            let (queue, model) = (Arc::clone(&queue), Arc::clone(&model));
            std::thread::Builder::new()
                .name(format!("llama-{index}"))
                .spawn(move || work(&queue, &model, threads_each))
        };
        let workers = (0..workers).filter_map(|index| start(index).ok()).collect();
        Ok(Self {
            model: model.name().to_owned(),
            quantisation: model.quantisation(),
            queue,
            workers,
        })
    }

    /// How the model's weights are stored, such as `Q4_K, Q6_K`.
    pub(crate) fn quantisation(&self) -> &str {
        &self.quantisation
    }

    /// How many requests may wait.
    pub(crate) fn queue_max(&self) -> usize {
        self.queue.length_max
    }

    /// Asks the engine: labels are scored, free text is written.
    ///
    /// # Cancel safety
    /// When dropped midway the computation stops within a layer.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Asked {
        let start = Instant::now();
        let (reply, answer) = oneshot::channel();
        let cancel = Cancel::new();
        let _stop = CancelOnDrop(cancel.clone());
        let messages = question.prompt.messages.iter().map(chat_message).collect();
        let work = match &question.task.task.labels {
            Some(labels) => Work::Label(labels.clone()),
            None => Work::Write {
                options: options(&question),
                live: question.live.cloned(),
            },
        };
        let result = match self.queue.push(Job {
            messages,
            work,
            cancel,
            reply,
        }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(broken())),
            Err(failure) => Err(failure),
        };
        let mut bill = Bill::default();
        if let Ok(answer) = &result {
            bill.unpaid.push(UnpaidAttempt {
                attempt: AttemptId::generate(clock::now()),
                tier: question.tier.clone(),
                model: self.model.clone(),
                usage: answer.completion.usage.unwrap_or_default(),
            });
        }
        Asked {
            result,
            bill,
            elapsed: start.elapsed(),
        }
    }
}

impl Drop for LocalTier {
    fn drop(&mut self) {
        self.queue.close();
        for worker in self.workers.drain(..) {
            // A thread that panicked has told so; there is nothing left to do for it.
            let _ended = worker.join();
        }
    }
}

impl Queue {
    fn push(&self, job: Job) -> Result<(), TierFailure> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return Err(TierFailure::busy("the engine is closing; ask again later"));
        }
        if waiting.jobs.len() >= self.length_max {
            return Err(TierFailure::busy(
                "the engine's queue is full; ask again later, or raise the tier's queue_max",
            ));
        }
        waiting.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job whose asker still waits; `None` when the tier closes.
    fn pop(&self) -> Option<Job> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if waiting.closed {
                return None;
            }
            match waiting.jobs.pop_front() {
                Some(job) if job.reply.is_closed() => {}
                Some(job) => return Some(job),
                None => {
                    let woken = self.changed.wait(waiting);
                    waiting = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn close(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        for job in waiting.jobs.drain(..) {
            job.cancel.set();
        }
        self.changed.notify_all();
    }
}

/// A thread's sessions. They are kept from job to job, so that a prompt which begins like the
/// last one costs only what differs.
struct Desk {
    scorer: LabelScorer,
    session: Session,
}

impl Desk {
    fn new(model: &Arc<Model>, threads: NonZeroUsize) -> Self {
        Self {
            scorer: LabelScorer::new(Arc::clone(model)).with_threads(threads),
            session: Session::new(Arc::clone(model)).with_threads(threads),
        }
    }

    fn work(&mut self, job: &Job) -> Result<TierAnswer, TierFailure> {
        match &job.work {
            Work::Label(labels) => {
                self.scorer.set_cancel(job.cancel.clone());
                label(&mut self.scorer, &job.messages, labels)
            }
            Work::Write { options, live } => {
                self.session.set_cancel(job.cancel.clone());
                write(&mut self.session, &job.messages, options, live.as_ref())
            }
        }
    }
}

/// A thread's life. A job that breaks the engine is that job's failure: the sessions it may have
/// left half-written are thrown away.
fn work(queue: &Queue, model: &Arc<Model>, threads: NonZeroUsize) {
    let mut desk = Desk::new(model, threads);
    while let Some(job) = queue.pop() {
        let answer = catch_unwind(AssertUnwindSafe(|| desk.work(&job))).unwrap_or_else(|_panic| {
            desk = Desk::new(model, threads);
            Err(broken())
        });
        // An asker who has gone needs no answer.
        let _gone = job.reply.send(answer);
    }
}

fn label(
    scorer: &mut LabelScorer,
    messages: &[ChatMessage],
    labels: &Labels,
) -> Result<TierAnswer, TierFailure> {
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let scores = scorer.score_chat(messages, &names).map_err(failure)?;
    if !scores
        .log_probabilities
        .iter()
        .any(|score| score.is_finite())
        || scores.log_probabilities.iter().any(|score| score.is_nan())
    {
        return Err(TierFailure {
            reason: "the model gives no label a probability; its file may be damaged: compare its sha256 with the publisher's".to_owned(),
            retryable: false,
            fault: Fault::Tier,
        });
    }
    let probabilities = LabelProbabilities::from_logits(&scores.log_probabilities);
    let (top, _) = probabilities.top();
    let usage = usage(scores.prompt_tokens, scores.cached_tokens, 1);
    let model = scorer.model().name().to_owned();
    Ok(TierAnswer {
        completion: label_completion(labels.name(top), model, Some(usage)),
        label: Some(top),
        evidence: Some(Evidence::Labels(probabilities)),
    })
}

fn write(
    session: &mut Session,
    messages: &[ChatMessage],
    options: &GenerationOptions,
    live: Option<&Live>,
) -> Result<TierAnswer, TierFailure> {
    let model = Arc::clone(session.model());
    let template = model.chat_template().ok_or_else(|| {
        failure(RequestError::NoChatTemplate {
            model: model.name().to_owned(),
        })
    })?;
    let prompt = template
        .encode(model.tokenizer(), messages)
        .map_err(failure)?;
    let on_text = |piece: &str| match live {
        Some(live) if live.say_blocking(piece).is_err() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let generated = session
        .generate(&prompt, options, on_text)
        .map_err(failure)?;
    let evidence = TokenLogProbabilities::new(&generated.log_probabilities).ok();
    let finish_reason = match generated.finish {
        llama::FinishReason::Length => FinishReason::Length,
        _ => FinishReason::Stop,
    };
    Ok(TierAnswer {
        completion: Completion {
            usage: Some(usage(prompt.len(), 0, generated.tokens.len())),
            model: model.name().to_owned(),
            ..Completion::new(generated.text, finish_reason)
        },
        label: None,
        evidence: evidence.map(Evidence::Tokens),
    })
}

fn usage(prompt: usize, cached: usize, completion: usize) -> Usage {
    Usage {
        prompt: PromptTokens(prompt as u64),
        cached_prompt: PromptTokens(cached as u64),
        completion: CompletionTokens(completion as u64),
        ..Usage::default()
    }
}

fn options(question: &Question<'_>) -> GenerationOptions {
    let generation = question.generation;
    GenerationOptions {
        max_tokens: usize::try_from(generation.max_completion_tokens.0).unwrap_or(usize::MAX),
        temperature: f64::from(generation.temperature),
        seed: generation.seed,
        stop: generation.stop.clone(),
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

fn failure(error: RequestError) -> TierFailure {
    let fault = match error {
        RequestError::ContextExceeded { .. } | RequestError::EmptyPrompt => Fault::Request,
        _ => Fault::Tier,
    };
    TierFailure {
        reason: error.to_string(),
        retryable: false,
        fault,
    }
}

fn broken() -> TierFailure {
    TierFailure {
        reason: "the engine broke on this request; the log says where; please report it".to_owned(),
        retryable: false,
        fault: Fault::Tier,
    }
}
