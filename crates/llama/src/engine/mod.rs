//! Many requests at once, on one model.
//!
//! ```text
//!  ask ──► inbox ──► waiting, by tenant ──► running ──┬─► shares: who reads how many tokens?
//!            │                      ▲          │  ▲   │
//!            │ full: refused, with  └──────────┘  │   ├─► step: all of them in one batch
//!            ▼ an estimate      gives its pages   │   │
//!          asker                back              │   └─► settle: pages into the prefix tree,
//!            ▲                                    └───────┐       text and ends to the askers
//!            └──────────── answer ◄───────────────────────┘
//! ```
//!
//! One thread owns all of it and computes on a team of threads. Requests join and leave between
//! steps. A long prompt is read in pieces; whoever writes gets a token in every step. Nothing of
//! this changes a bit of any answer: each token's result depends on its own sequence alone,
//! however that was cut, whatever was computed beside it, and whether its beginning was computed
//! or found in the prefix tree.
//!
//! Memory for keys and values is a fixed number of pages. What nobody uses goes first, then the
//! youngest requests give up theirs and wait again; the oldest always gets on.

mod answer;
mod inbox;
mod job;
mod prefix_tree;
mod request;
mod scheduler;
mod shares;
mod steps;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Event, Piece};
pub use request::{Answered, Outcome, Refused, Request, Tenant, Work};

use crate::kv_cache::PageCount;
use crate::model::Model;
use answer::{Notify, Outbox};
use inbox::Inbox;
use job::Checked;
use scheduler::Scheduler;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The limits of an engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Threads that compute.
    pub threads: NonZeroUsize,
    /// Requests that may wait; one more is refused.
    pub queue_max: usize,
    /// Requests that may take part in a step.
    pub running_max: NonZeroUsize,
    /// Most tokens that a step reads, where nobody is writing: how long a new request waits, and
    /// how often the weights are read from memory.
    pub step_tokens: NonZeroUsize,
    /// Memory for keys and values, those kept for later requests included. At least two pages are
    /// taken.
    pub kv_bytes: u64,
    /// Weights below this size are computed with by each thread on its own, for some of a step's
    /// requests; with larger ones all threads compute all of a step together.
    pub small_model_bytes: u64,
}

impl EngineOptions {
    /// All of the machine's threads, 64 requests that wait and 64 that run, 128 tokens a step (512
    /// with a small model), memory for 16,384 tokens, and 32 MiB for small models.
    pub fn for_model(model: &Model) -> Self {
        const TOKENS: u64 = 16_384;
        const SMALL_MODEL_BYTES: u64 = 32 << 20;
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let some = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let small = model.memory().weights_bytes < SMALL_MODEL_BYTES;
        let step = crate::session::PREFILL_TOKENS;
        Self {
            threads,
            queue_max: 64,
            running_max: some(64),
            // A step of a small model is over so soon that what lies between two would tell.
            step_tokens: some(if small { 4 * step } else { step }),
            kv_bytes: model.memory().position_bytes.saturating_mul(TOKENS),
            small_model_bytes: SMALL_MODEL_BYTES,
        }
    }
}

/// What an engine is doing and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that take part in steps.
    pub running: usize,
    /// Memory that keys and values take now.
    pub kv_bytes: u64,
    /// Most memory that keys and values may take.
    pub kv_bytes_max: u64,
    /// Memory of the prefix tree's pages, some of which running requests use too.
    pub prefix_bytes: u64,
    /// Tokens computed a second, of the last steps above all; 0 before the first.
    pub tokens_per_second: f64,
    /// Steps computed.
    pub steps: u64,
    /// Tokens computed.
    pub computed_tokens: u64,
    /// Tokens of answered prompts that were not computed, because they were there.
    pub cached_tokens: u64,
    /// Times that a request gave up its memory to another.
    pub preempted: u64,
}

/// A model at work for many requests at once. Dropping it ends them all.
///
/// ```no_run
/// use llama::{Engine, EngineOptions, Model, Outcome, Request, Tenant, Work};
/// use std::{path::Path, sync::Arc};
///
/// let model = Arc::new(Model::open(Path::new("model.gguf"))?);
/// let engine = Engine::start(Arc::clone(&model), EngineOptions::for_model(&model))?;
/// let prompt = model.encode_chat(&[llama::ChatMessage::new(llama::Role::User, "up or down?")])?;
/// let work = Work::Write {
///     prompt,
///     options: llama::GenerationOptions::default(),
///     rules: llama::Sampling::default(),
///     streams: false,
/// };
/// let answer = engine.ask(Request { tenant: Tenant::new("me"), work })?;
/// if let Outcome::Written(text) = answer.wait()?.outcome {
///     println!("{}", text.text);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    model: Arc<Model>,
    inbox: Arc<Inbox>,
    pages: PageCount,
    pages_max: usize,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine's thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(model: Arc<Model>, options: EngineOptions) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::new(options.queue_max));
        let page_bytes = model.page_shape().page_bytes() as u64;
        let pages_max = usize::try_from(options.kv_bytes / page_bytes.max(1)).unwrap_or(usize::MAX);
        let (pages, pages_max) = (PageCount::default(), pages_max.max(2));
        let parts = (Arc::clone(&model), Arc::clone(&inbox));
        let scheduler = Scheduler::new(parts, options, (pages.clone(), pages_max));
        let thread = std::thread::Builder::new()
            .name("llama-engine".into())
            .spawn(move || scheduler.run())?;
        Ok(Self {
            model,
            inbox,
            pages,
            pages_max,
            thread: Some(thread),
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Asks the engine; does not wait.
    ///
    /// # Errors
    ///
    /// A full queue, with an estimate of the wait; a request that can never be answered.
    pub fn ask(&self, request: Request) -> Result<Answer, Refused> {
        self.ask_and(request, None)
    }

    /// As [`Engine::ask`]; `notify` is called, on the engine's own thread, whenever
    /// [`Answer::try_next`] has something new. It must not block.
    ///
    /// # Errors
    ///
    /// As [`Engine::ask`].
    pub fn ask_with(
        &self,
        request: Request,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Result<Answer, Refused> {
        self.ask_and(request, Some(Box::new(notify)))
    }

    fn ask_and(&self, request: Request, notify: Option<Notify>) -> Result<Answer, Refused> {
        let work = (request.tenant, request.work);
        let checked = Checked::new(&self.model, work, self.pages_max)?;
        let outbox = Arc::new(Outbox::new(notify));
        let answer = Answer::new(Arc::clone(&outbox), Arc::clone(&self.inbox));
        let cache = job::empty_cache(&self.model, &self.pages);
        self.inbox
            .push(|number| checked.into_job(number, outbox, cache))?;
        Ok(answer)
    }

    /// What it is doing and has done, as of the last step.
    pub fn stats(&self) -> EngineStats {
        self.inbox.stats()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take() {
            // A step's panic was caught; there is nothing to learn from it here.
            let _ended = thread.join();
        }
    }
}
