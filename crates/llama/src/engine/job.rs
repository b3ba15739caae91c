//! A request in the engine: the tokens that it reads, and what it does with what follows them.

use super::answer::Outbox;
use super::prefix_tree::{Place, PrefixTree};
use super::request::{Answered, Outcome, Tenant, Work};
use crate::error::RequestError;
use crate::forward::{Logits, Sequence};
use crate::generate::Writing;
use crate::kv_cache::{KvCache, PAGE, PageCount};
use crate::model::Model;
use crate::scoring::LabelTree;
use crate::session::{Pooling, normalised};
use crate::tokenizer::TokenId;
use std::sync::Arc;

/// A request, from its arrival to its end.
pub(super) struct Job {
    /// In the order of arrival.
    pub(super) number: u64,
    pub(super) tenant: Tenant,
    pub(super) outbox: Arc<Outbox>,
    /// The prompt, then what was written after it.
    tokens: Vec<TokenId>,
    prompt_tokens: usize,
    cached_tokens: usize,
    /// Of the first of `tokens`.
    cache: KvCache,
    place: Place,
    task: Task,
    outcome: Option<Result<Outcome, RequestError>>,
}

enum Task {
    Score(LabelTree),
    Write {
        writing: Box<Writing>,
        streams: bool,
    },
    Embed {
        pooling: Pooling,
        sums: Vec<f64>,
    },
}

/// A request that was looked at: it can be answered.
pub(super) struct Checked {
    tenant: Tenant,
    tokens: Vec<TokenId>,
    task: Task,
}

impl Checked {
    /// Looks at a request, for an engine that has `pages_max` pages.
    pub(super) fn new(
        model: &Model,
        (tenant, work): (Tenant, Work),
        pages_max: usize,
    ) -> Result<Self, RequestError> {
        let prompt = work.tokens().len();
        if prompt == 0 {
            return Err(RequestError::EmptyPrompt);
        }
        model.check(work.tokens(), 0)?;
        // One more, because a sequence may begin with a part of a page and copy it.
        let mut pages = prompt.div_ceil(PAGE) + 1;
        let (tokens, task) = match work {
            Work::Score { prompt, labels } => {
                let tree = LabelTree::new(&labels, model)?;
                tree.check(|tokens, before| model.check(tokens, before), prompt.len())?;
                let of_label = |depth: usize| depth.div_ceil(PAGE) + usize::from(depth > 0);
                pages += tree.depths().map(of_label).sum::<usize>();
                (prompt, Task::Score(tree))
            }
            Work::Write {
                prompt,
                options,
                rules,
                streams,
            } => {
                let room = pages_max.saturating_sub(1) * PAGE;
                let writing = Box::new(Writing::new(model, options, rules)?.within(room));
                (prompt, Task::Write { writing, streams })
            }
            Work::Embed { tokens, pooling } => {
                let sums = vec![0.0; model.config().dim];
                (tokens, Task::Embed { pooling, sums })
            }
        };
        if pages > pages_max {
            let bytes = |pages: usize| (pages * model.page_shape().page_bytes()) as u64;
            return Err(RequestError::MemoryExceeded {
                model: model.name().to_owned(),
                needed_bytes: bytes(pages),
                kv_bytes: bytes(pages_max),
            });
        }
        Ok(Self {
            tenant,
            tokens,
            task,
        })
    }

    pub(super) fn into_job(self, number: u64, outbox: Arc<Outbox>, cache: KvCache) -> Job {
        Job {
            number,
            tenant: self.tenant,
            outbox,
            prompt_tokens: self.tokens.len(),
            cached_tokens: 0,
            tokens: self.tokens,
            cache,
            place: Place::default(),
            task: self.task,
            outcome: None,
        }
    }
}

impl Job {
    /// Tokens that it could read before something is to be decided.
    pub(super) fn wants(&self) -> usize {
        match &self.task {
            Task::Score(tree) if tree.has_begun() => tree.tokens_left(),
            Task::Score(tree) => self.unread() + tree.tokens_after_prompt(),
            _ => self.unread(),
        }
    }

    /// Tokens of the prompt, and of what was written after it, that it has not read.
    fn unread(&self) -> usize {
        self.tokens.len() - self.cache.len()
    }

    /// Tokens that it may yet read, as far as it is known: of what is to be written, half.
    pub(super) fn tokens_left(&self) -> usize {
        let writes = match &self.task {
            Task::Write { writing, .. } => writing.left(self.tokens.len()) / 2,
            _ => 0,
        };
        self.wants() + writes
    }

    /// Whether it reads what it wrote.
    pub(super) fn writes(&self) -> bool {
        matches!(&self.task, Task::Write { writing, .. } if writing.written() > 0)
            && self.wants() == 1
    }

    /// Whether it waits for its reader.
    pub(super) fn is_parked(&self) -> bool {
        self.outbox.is_full()
    }

    /// Whether it is still at its prompt, which others may have read before.
    fn shares(&self) -> bool {
        let at_prompt = match &self.task {
            Task::Score(tree) => !tree.has_begun(),
            Task::Write { .. } => true,
            // All outputs are wanted.
            Task::Embed { pooling, .. } => *pooling == Pooling::Last,
        };
        at_prompt && self.unread() > 1
    }

    /// Takes over what others have read of its tokens. The last one is its own to read, for what
    /// follows it.
    pub(super) fn borrow_from(&mut self, tree: &mut PrefixTree) {
        if !self.shares() {
            return;
        }
        let had = self.cache.len();
        let last = self.tokens.len() - 1;
        let sequence = (&mut self.cache, &self.tokens[..last]);
        self.place = tree.extend(&self.tenant, self.place, sequence);
        if self.tokens.len() == self.prompt_tokens {
            self.cached_tokens += self.cache.len() - had;
        }
    }

    /// Leaves the whole pages that it has read to others.
    pub(super) fn lend_to(&mut self, tree: &mut PrefixTree) {
        let sequence = (&mut self.cache, self.tokens.as_slice());
        self.place = tree.insert(&self.tenant, self.place, sequence);
    }

    /// The page that it is at, if another one that is at the same page could wait for it.
    pub(super) fn page_ahead(&self) -> Option<(Tenant, Place, [TokenId; PAGE])> {
        if !self.shares() {
            return None;
        }
        let last = self.tokens.len() - 1;
        let page = self.place.next_page(&self.tokens[..last])?;
        Some((self.tenant.clone(), self.place, page))
    }

    /// Pages that reading `count` tokens would make.
    pub(super) fn new_pages(&self, count: usize) -> usize {
        match &self.task {
            Task::Score(tree) if tree.has_begun() => tree.new_pages(count),
            Task::Score(tree) => {
                let own = count.min(self.unread());
                let after = tree.pages_after_prompt(&self.cache, own, count - own);
                self.cache.new_pages(own) + after
            }
            _ => self.cache.new_pages(count),
        }
    }

    /// Whether it holds pages.
    pub(super) fn holds_pages(&self) -> bool {
        self.cache.len() > 0
    }

    /// Gives its pages back. It will read everything again, which gives the same bits.
    pub(super) fn give_back(&mut self) {
        self.cache.truncate(0);
        self.place = Place::default();
        match &mut self.task {
            Task::Score(tree) => tree.cut(),
            Task::Embed { sums, .. } => sums.fill(0.0),
            Task::Write { .. } => {}
        }
        if self.tokens.len() == self.prompt_tokens {
            self.cached_tokens = 0;
        }
    }

    /// The next `count` tokens that it reads.
    pub(super) fn sequences(&mut self, count: usize) -> Vec<Sequence<'_>> {
        let unread = self.unread();
        let Self {
            cache,
            tokens,
            task,
            ..
        } = self;
        let from = cache.len();
        let own = count.min(unread);
        let wanted = match task {
            Task::Embed { pooling, .. } if *pooling == Pooling::Mean => 0..own,
            _ if own == unread => own.saturating_sub(1)..own,
            _ => 0..0,
        };
        let mut labels = Vec::new();
        if let Task::Score(tree) = task {
            if tree.has_begun() {
                return tree.sequences(count);
            }
            if own == unread {
                tree.begin(cache, own);
                labels = tree.sequences(count - own);
            }
        }
        let mut sequences = vec![Sequence {
            cache,
            after: None,
            tokens: &tokens[from..from + own],
            wanted,
        }];
        sequences.extend(labels);
        sequences
    }

    /// Whether it looks at logits, and not at outputs.
    pub(super) fn wants_logits(&self) -> bool {
        !matches!(self.task, Task::Embed { .. })
    }

    /// Takes what came of the tokens that [`Job::sequences`] gave: the outputs wanted, (wanted,
    /// dim), and their logits.
    pub(super) fn take(&mut self, model: &Model, outputs: &[f32], logits: Logits<'_>) {
        let all_read = self.cache.len() == self.tokens.len();
        match &mut self.task {
            Task::Score(tree) if tree.has_begun() => {
                tree.take(&self.cache, logits);
                self.outcome = tree.scores().map(|it| Ok(Outcome::Scored(it)));
            }
            Task::Write { writing, .. } if all_read => {
                let next = match writing.goes_on() {
                    true => writing.write(model, &logits.row(0), &self.tokens),
                    false => Ok(None),
                };
                match next {
                    Ok(Some(token)) => self.tokens.push(token),
                    Ok(None) => self.outcome = Some(Ok(Outcome::Written(writing.generated()))),
                    Err(fault) => self.outcome = Some(Err(fault)),
                }
            }
            Task::Embed { sums, .. } => {
                for output in outputs.chunks_exact(sums.len()) {
                    for (sum, x) in sums.iter_mut().zip(output) {
                        *sum += f64::from(*x);
                    }
                }
                self.outcome = all_read.then(|| Ok(Outcome::Embedded(normalised(sums))));
            }
            _ => {}
        }
    }

    /// Tells the reader what is new. True where that was the end.
    pub(super) fn deliver(&mut self) -> bool {
        if let Task::Write { writing, streams } = &mut self.task
            && *streams
        {
            let text = writing.piece().to_owned();
            if !text.is_empty() {
                self.outbox.put(&text, writing.new_tokens());
            }
        }
        let Some(outcome) = self.outcome.take() else {
            return false;
        };
        self.outbox.end(outcome.map(|outcome| Answered {
            outcome,
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
        }));
        true
    }

    /// Ends it without an answer.
    pub(super) fn fail(&self, error: RequestError) {
        self.outbox.end(Err(error));
    }

    pub(super) fn cached_tokens(&self) -> usize {
        self.cached_tokens
    }
}

/// An empty cache for a job.
pub(super) fn empty_cache(model: &Model, count: &PageCount) -> KvCache {
    KvCache::counted(model.page_shape(), count)
}
