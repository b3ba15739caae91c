//! What the engines of local tiers are doing, as their processes told it last.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::TierLabels;
use crate::engine::Load;

/// One number of each tier's engine.
type Now = Family<TierLabels, Gauge>;
/// One count of each tier's engine, from the start of its process on.
type Count = Family<TierLabels, Counter>;

/// The numbers of all engines.
#[derive(Debug, Default)]
pub(super) struct EngineMetrics {
    waiting: Now,
    running: Now,
    kv_bytes: Now,
    kv_bytes_max: Now,
    prefix_bytes: Now,
    tokens_per_second: Family<TierLabels, Gauge<f64, AtomicU64>>,
    steps: Count,
    tokens: Count,
    cached_tokens: Count,
    preempted: Count,
    restarts: Count,
}

impl EngineMetrics {
    /// Has them on the page.
    pub(super) fn register(&self, registry: &mut Registry) {
        let engine = registry.sub_registry_with_prefix("engine");
        for (name, help, gauge) in [
            (
                "requests_waiting",
                "Requests that wait for the engine",
                &self.waiting,
            ),
            (
                "requests_running",
                "Requests that take part in the engine's steps",
                &self.running,
            ),
            ("kv_bytes", "Memory of keys and values", &self.kv_bytes),
            (
                "kv_bytes_max",
                "Most memory for keys and values",
                &self.kv_bytes_max,
            ),
            (
                "prefix_bytes",
                "Memory of keys and values kept for prompts that begin alike",
                &self.prefix_bytes,
            ),
        ] {
            engine.register(name, help, gauge.clone());
        }
        engine.register(
            "tokens_per_second",
            "Tokens computed a second, of the last steps above all",
            self.tokens_per_second.clone(),
        );
        for (name, help, counter) in [
            (
                "steps",
                "Steps computed since the engine's process began",
                &self.steps,
            ),
            (
                "tokens",
                "Tokens computed since the engine's process began",
                &self.tokens,
            ),
            (
                "cached_tokens",
                "Prompt tokens found in the prefix tree since the engine's process began",
                &self.cached_tokens,
            ),
            (
                "preempted",
                "Times that a request gave its memory to another since the engine's process began",
                &self.preempted,
            ),
            (
                "restarts",
                "Times that the engine's process was started again",
                &self.restarts,
            ),
        ] {
            engine.register(name, help, counter.clone());
        }
    }

    /// Shows what a tier's engine told; `None` where it told nothing.
    pub(super) fn show(&self, tier: &str, load: Option<&Load>, restarts: u64) {
        let tier = TierLabels {
            tier: tier.to_owned(),
        };
        let count = |family: &Count, value: u64| {
            family
                .get_or_create(&tier)
                .inner()
                .store(value, Ordering::Relaxed);
        };
        count(&self.restarts, restarts);
        let Some(load) = load else {
            return;
        };
        let now = |family: &Now, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&tier).set(value);
        };
        now(&self.waiting, load.waiting);
        now(&self.running, load.running);
        now(&self.kv_bytes, load.kv_bytes);
        now(&self.kv_bytes_max, load.kv_bytes_max);
        now(&self.prefix_bytes, load.prefix_bytes);
        self.tokens_per_second
            .get_or_create(&tier)
            .set(load.tokens_per_second);
        count(&self.steps, load.steps);
        count(&self.tokens, load.computed_tokens);
        count(&self.cached_tokens, load.cached_tokens);
        count(&self.preempted, load.preempted);
    }
}
