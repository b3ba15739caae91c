//! Which tiers are not even asked, because their answer would be passed on anyway.

use std::collections::BTreeMap;

use domain::{LabelProbabilities, TierName};
use routing::evidence::Evidence;
use routing::precall::{Foreknown, PrecallRouter};

use crate::deferral::Heard;

/// A tier's pre-call router.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TierRouter {
    /// Tiers asked before it, whose answers it knows.
    pub(crate) heard: Vec<TierName>,
    /// How many records it was fitted on; none of them certifies anything.
    pub(crate) records: usize,
    pub(crate) router: PrecallRouter,
}

/// The routers of a task's tiers; a tier without one is always asked.
pub(crate) type Routers = BTreeMap<TierName, TierRouter>;

impl TierRouter {
    /// The probability with which the tier's answer to a text would be kept, where that is so low
    /// that it should not be asked, after these answers of other tiers.
    pub(crate) fn foretold(&self, text: &str, earlier: &[Heard<'_>]) -> Option<f64> {
        let known = foreknown(text, earlier, &self.heard)?;
        let chance = self.router.probability(&known);
        self.router.skips(chance).then_some(chance)
    }
}

/// What is known of a text before a tier is asked, after these answers; `None` where one of the
/// tiers that are heard gave none.
pub(crate) fn foreknown<'a>(
    text: &'a str,
    earlier: &[Heard<'a>],
    heard: &[TierName],
) -> Option<Foreknown<'a>> {
    let of = |tier: &TierName| {
        let said = earlier.iter().find(|said| said.tier == tier)?;
        labels(said.evidence)
    };
    Some(Foreknown {
        text,
        earlier: heard.iter().map(of).collect::<Option<_>>()?,
    })
}

fn labels(evidence: &Evidence) -> Option<&LabelProbabilities> {
    match evidence {
        Evidence::Labels(probabilities) => Some(probabilities),
        Evidence::Tokens(_) => None,
    }
}
