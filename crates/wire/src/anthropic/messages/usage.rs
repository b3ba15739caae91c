//! The count of tokens in answers.

use domain::{Aside, CompletionTokens, PromptTokens, Usage};
use serde_json::{Map, Value};

use crate::json::Fields;
use crate::map::{beyond, count};

/// What a vendor has reported so far. Each report is cumulative, and a count that one leaves out
/// keeps its value: the last counts, never the sum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reported {
    fresh: u64,
    cache_write: u64,
    cache_read: u64,
    completion: u64,
    reasoning: u64,
    is_some: bool,
    /// The steps of the answering model, where the vendor lists them.
    steps: Option<Counts>,
    of_another_model: bool,
}

/// The counts of a step, or of several.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    fresh: u64,
    cache_write: u64,
    cache_read: u64,
    completion: u64,
}

impl Counts {
    fn add(&mut self, step: &Map<String, Value>) {
        let of = |name| count(step, name).unwrap_or(0);
        self.fresh = self.fresh.saturating_add(of("input_tokens"));
        self.cache_write = self
            .cache_write
            .saturating_add(of("cache_creation_input_tokens"));
        self.cache_read = self
            .cache_read
            .saturating_add(of("cache_read_input_tokens"));
        self.completion = self.completion.saturating_add(of("output_tokens"));
    }
}

impl Reported {
    /// Takes in a report of an answer by this model.
    pub(super) fn take(&mut self, usage: &Map<String, Value>, model: &str) {
        if let Some(Value::Array(steps)) = usage.get("iterations") {
            self.take_steps(steps, model);
        }
        let details = usage
            .get("output_tokens_details")
            .and_then(Value::as_object);
        let reasoning = details.and_then(|details| count(details, "thinking_tokens"));
        let mut set = |place: fn(&mut Self) -> &mut u64, value: Option<u64>| {
            if let Some(value) = value {
                *place(self) = value;
                self.is_some = true;
            }
        };
        set(|it| &mut it.fresh, count(usage, "input_tokens"));
        set(
            |it| &mut it.cache_write,
            count(usage, "cache_creation_input_tokens"),
        );
        set(
            |it| &mut it.cache_read,
            count(usage, "cache_read_input_tokens"),
        );
        set(|it| &mut it.completion, count(usage, "output_tokens"));
        set(|it| &mut it.reasoning, reasoning);
    }

    /// The vendor's own counts leave out what it did beside: the steps that are no part of the
    /// message, and those of other models.
    fn take_steps(&mut self, steps: &[Value], model: &str) {
        let mut own = Counts::default();
        self.of_another_model = false;
        for step in steps.iter().filter_map(Value::as_object) {
            match step.get("model").and_then(Value::as_str) {
                Some(other) if other != model => self.of_another_model = true,
                _ => own.add(step),
            }
        }
        self.steps = Some(own);
    }

    fn aside(&self) -> Aside {
        let steps = self.steps.unwrap_or_default();
        let beyond = |all: u64, told: u64| all.saturating_sub(told);
        let read = beyond(steps.cache_read, self.cache_read);
        let written = beyond(steps.cache_write, self.cache_write);
        let fresh = beyond(steps.fresh, self.fresh);
        Aside {
            prompt: PromptTokens(fresh.saturating_add(read).saturating_add(written)),
            cached_prompt: PromptTokens(read),
            cache_write_prompt: PromptTokens(written),
            completion: CompletionTokens(beyond(steps.completion, self.completion)),
            of_another_model: self.of_another_model,
        }
    }

    /// The usage; `None` when nothing was reported. This protocol's count of tokens read leaves
    /// out those of the cache, read and written, which the domain's includes.
    pub(super) fn usage(&self) -> Option<Usage> {
        let prompt = self.fresh.saturating_add(self.cache_write);
        self.is_some.then(|| Usage {
            prompt: PromptTokens(prompt.saturating_add(self.cache_read)),
            cached_prompt: PromptTokens(self.cache_read),
            cache_write_prompt: PromptTokens(self.cache_write),
            completion: CompletionTokens(self.completion),
            reasoning: CompletionTokens(self.reasoning.min(self.completion)),
            aside: self.aside(),
        })
    }
}

impl Reported {
    /// What a report tells beyond the counts that the domain knows.
    pub(super) fn beyond(&self, usage: Map<String, Value>) -> Map<String, Value> {
        beyond(usage, &usage_body(&self.usage().unwrap_or_default()))
    }
}

/// Usage as our clients are told it.
pub(super) fn usage_body(usage: &Usage) -> Fields<'static> {
    let cached = usage
        .cached_prompt
        .0
        .saturating_add(usage.cache_write_prompt.0);
    let body = Fields::new()
        .with("input_tokens", usage.prompt.0.saturating_sub(cached))
        .with("cache_creation_input_tokens", usage.cache_write_prompt.0)
        .with("cache_read_input_tokens", usage.cached_prompt.0)
        .with("output_tokens", usage.completion.0);
    let thinking = Some(usage.reasoning.0).filter(|&tokens| tokens > 0);
    let details = thinking.map(|tokens| Fields::new().with("thinking_tokens", tokens));
    body.with_some("output_tokens_details", details)
}
