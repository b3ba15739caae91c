//! What a monitoring system reads from `/metrics`, in the OpenMetrics text format.

mod engine;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::engine::EngineMetrics;
use crate::audit::watch::Picture;
use crate::engine::Load;

/// A task and the way in which its request ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    task: String,
    outcome: &'static str,
}

/// A tier and what came of asking it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    tier: String,
    verdict: &'static str,
}

/// A route of the HTTP server and the status that it answered with.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResponseLabels {
    route: String,
    status: u32,
}

/// One tier.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TierLabels {
    tier: String,
}

/// One task.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TaskLabels {
    task: String,
}

/// A task and what became of a certificate's file that was read while the server ran.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FileLabels {
    task: String,
    outcome: &'static str,
}

/// Upper ends of the histogram's buckets: from a student's answer to a frontier's long one.
const ATTEMPT_SECONDS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// The program's counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Family<TierLabels, Histogram>,
    skipped: Family<TierLabels, Counter>,
    cost_picodollars: Counter,
    in_flight: Gauge,
    certificates_read: Family<FileLabels, Counter>,
    certificate_revoked: Family<TaskLabels, Gauge>,
    certificate_e_value: Family<TaskLabels, Gauge<f64, AtomicU64>>,
    certificate_audits: Family<TaskLabels, Gauge>,
    certificate_audits_wrong: Family<TaskLabels, Gauge>,
    audit_cost_picodollars: Family<TaskLabels, Counter>,
    engines: EngineMetrics,
}

impl Metrics {
    /// All counters at zero.
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("tiergate"),
            requests: Family::default(),
            responses: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(|| Histogram::new(ATTEMPT_SECONDS)),
            skipped: Family::default(),
            cost_picodollars: Counter::default(),
            in_flight: Gauge::default(),
            certificates_read: Family::default(),
            certificate_revoked: Family::default(),
            certificate_e_value: Family::default(),
            certificate_audits: Family::default(),
            certificate_audits_wrong: Family::default(),
            audit_cost_picodollars: Family::default(),
            engines: EngineMetrics::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let requests = "Requests that ended, by task and outcome";
        registry.register("requests", requests, self.requests.clone());
        let responses = "HTTP responses, by route and status";
        registry.register("http_responses", responses, self.responses.clone());
        let attempts = "Times a tier was asked, by what came of it";
        registry.register("attempts", attempts, self.attempts.clone());
        let seconds = "Time from asking a tier to its whole answer";
        registry.register_with_unit(
            "attempt_duration",
            seconds,
            Unit::Seconds,
            self.attempt_seconds.clone(),
        );
        let skipped = "Requests that a router let pass a tier unasked";
        registry.register("skipped", skipped, self.skipped.clone());
        let cost = "Money settled or kept, in 10^-12 US dollars";
        registry.register("cost_picodollars", cost, self.cost_picodollars.clone());
        registry.register(
            "requests_in_flight",
            "Requests in work",
            self.in_flight.clone(),
        );
        self.watching_registered()
    }

    fn watching_registered(mut self) -> Self {
        let registry = &mut self.registry;
        let revoked = "1 where audits have revoked the task's certificate, 0 where it stands";
        registry.register(
            "certificate_revoked",
            revoked,
            self.certificate_revoked.clone(),
        );
        let read = "Changed certificate files: taken up, or refused where a valid one stands";
        registry.register("certificates_read", read, self.certificates_read.clone());
        let e_value = "Evidence that the certificate no longer holds; it is revoked at 1/delta";
        registry.register(
            "certificate_e_value",
            e_value,
            self.certificate_e_value.clone(),
        );
        let audits = "Audits of the certificate that are done";
        registry.register(
            "certificate_audits",
            audits,
            self.certificate_audits.clone(),
        );
        let wrong = "Audits of the certificate whose answer was another than the auditor's";
        registry.register(
            "certificate_audits_wrong",
            wrong,
            self.certificate_audits_wrong.clone(),
        );
        let cost =
            "Money settled or kept for audits, in 10^-12 US dollars; also in cost_picodollars";
        registry.register(
            "audit_cost_picodollars",
            cost,
            self.audit_cost_picodollars.clone(),
        );
        self.engines.register(registry);
        self
    }

    /// Shows what a local tier's engine told of itself; `None` where it told nothing.
    pub(crate) fn engine(&self, tier: &str, load: Option<&Load>, restarts: u64) {
        self.engines.show(tier, load, restarts);
    }

    /// Counts a request that ended.
    pub(crate) fn request_ended(&self, task: &str, outcome: &'static str) {
        self.requests
            .get_or_create(&RequestLabels {
                task: task.to_owned(),
                outcome,
            })
            .inc();
    }

    /// Counts an HTTP response.
    pub(crate) fn responded(&self, route: &str, status: u16) {
        self.responses
            .get_or_create(&ResponseLabels {
                route: route.to_owned(),
                status: status.into(),
            })
            .inc();
    }

    /// Counts a request for which a tier was passed over by its router.
    pub(crate) fn skipped(&self, tier: &str) {
        let tier = tier.to_owned();
        self.skipped.get_or_create(&TierLabels { tier }).inc();
    }

    /// Counts an attempt and the time it took.
    pub(crate) fn attempt_ended(&self, tier: &str, verdict: &'static str, seconds: f64) {
        let tier = tier.to_owned();
        self.attempts
            .get_or_create(&AttemptLabels {
                tier: tier.clone(),
                verdict,
            })
            .inc();
        self.attempt_seconds
            .get_or_create(&TierLabels { tier })
            .observe(seconds);
    }

    /// Counts money spent.
    pub(crate) fn spent(&self, cost: domain::Picodollars) {
        self.cost_picodollars
            .inc_by(u64::try_from(cost.get()).unwrap_or(0));
    }

    /// Counts money spent on audits of a task.
    pub(crate) fn audit_cost(&self, task: &str, cost: domain::Picodollars) {
        self.spent(cost);
        self.audit_cost_picodollars
            .get_or_create(&TaskLabels {
                task: task.to_owned(),
            })
            .inc_by(u64::try_from(cost.get()).unwrap_or(0));
    }

    /// Counts a certificate's file that was read while the server ran.
    pub(crate) fn certificate_read(&self, task: &str, outcome: &'static str) {
        let task = task.to_owned();
        let labels = FileLabels { task, outcome };
        self.certificates_read.get_or_create(&labels).inc();
    }

    /// Shows how a task's watched certificate stands.
    pub(crate) fn watched(&self, task: &str, picture: &Picture) {
        let task = TaskLabels {
            task: task.to_owned(),
        };
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.certificate_revoked
            .get_or_create(&task)
            .set(i64::from(picture.revoked));
        self.certificate_e_value
            .get_or_create(&task)
            .set(picture.e_value);
        self.certificate_audits
            .get_or_create(&task)
            .set(count(picture.audits));
        self.certificate_audits_wrong
            .get_or_create(&task)
            .set(count(picture.wrong));
    }

    /// Counts a request as in work until the guard is dropped.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The page.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)
            .unwrap_or_else(|_| unreachable!("writing to a String can't fail"));
        page
    }
}

/// A request in work.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_counted() {
        let metrics = Metrics::new();
        metrics.request_ended("flag", "answered");
        metrics.attempt_ended("llama", "accepted", 0.003);
        let guard = metrics.in_flight();
        let page = metrics.page();
        for line in [
            "tiergate_requests_total{task=\"flag\",outcome=\"answered\"} 1",
            "tiergate_attempts_total{tier=\"llama\",verdict=\"accepted\"} 1",
            "tiergate_attempt_duration_seconds_count{tier=\"llama\"} 1",
            "tiergate_requests_in_flight 1",
        ] {
            assert!(page.contains(line), "{page}");
        }
        drop(guard);
        assert!(metrics.page().contains("tiergate_requests_in_flight 0"));
    }
}
