//! What an answer says of itself, in the response's headers and in the log.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::{Picodollars, TierName, Usage};

use crate::answer::{Answered, End};

const TIER: HeaderName = HeaderName::from_static("x-tiergate-tier");
const CONFIDENCE: HeaderName = HeaderName::from_static("x-tiergate-confidence");
const ESCALATIONS: HeaderName = HeaderName::from_static("x-tiergate-escalations");
const SKIPPED: HeaderName = HeaderName::from_static("x-tiergate-skipped");
const COST_USD: HeaderName = HeaderName::from_static("x-tiergate-cost-usd");

/// How a request ended.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) outcome: &'static str,
    /// Why there is no answer, fit for a log.
    pub(super) reason: Option<String>,
    pub(super) tier: Option<TierName>,
    pub(super) confidence: Option<f64>,
    pub(super) escalations: usize,
    /// The tiers that were not asked because it would have been in vain, with commas between.
    pub(super) skipped: String,
    pub(super) usage: Option<Usage>,
    pub(super) cost: Picodollars,
}

impl Facts {
    /// Those of an answer.
    pub(super) fn of(answered: &Answered) -> Self {
        let (mut reason, mut tier, mut usage) = (None, None, None);
        let outcome = match &answered.end {
            End::Accepted {
                tier: by,
                completion,
                ..
            } => {
                tier = Some(by.clone());
                usage = completion.usage;
                "answered"
            }
            End::Review { .. } => "review",
            End::Failed { reason: why, .. } => {
                reason = Some(why.clone());
                "failed"
            }
        };
        Self {
            outcome,
            reason,
            tier,
            confidence: answered.confidence(),
            escalations: answered.decision.escalations(),
            skipped: answered
                .skipped()
                .map(TierName::as_str)
                .collect::<Vec<_>>()
                .join(","),
            usage,
            cost: answered.cost,
        }
    }

    /// Adds them to a response's headers.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(tier) = &self.tier {
            tell_tier(tier, headers);
        }
        if let Some(confidence) = self.confidence {
            insert(headers, CONFIDENCE, &format!("{confidence:.4}"));
        }
        insert(headers, ESCALATIONS, &self.escalations.to_string());
        if !self.skipped.is_empty() {
            insert(headers, SKIPPED, &self.skipped);
        }
        insert(headers, COST_USD, &self.cost.to_usd());
    }
}

/// Adds the tier alone, where no more is known yet.
pub(super) fn tell_tier(tier: &TierName, headers: &mut HeaderMap) {
    insert(headers, TIER, tier.as_str());
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Names of tiers and figures are ASCII without controls.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
