//! How sure a tier's answer is: its raw confidence, or what the tier's deferral head makes of all
//! that is known of the answer.

use std::collections::BTreeMap;

use domain::{LabelProbabilities, TaskKind, TierName};
use routing::checks::Checks;
use routing::deferral::{Brought, Deferral};
use routing::evidence::Evidence;

use crate::agreement::fields;
use crate::certificate::Extent;
use crate::precall::Routers;

/// A tier's deferral head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TierHead {
    /// Tiers asked before it, whose answers are among its evidence.
    pub(crate) heard: Vec<TierName>,
    /// How many records it was fitted on; none of them certifies anything.
    pub(crate) records: usize,
    pub(crate) deferral: Deferral,
}

/// The heads of a task's tiers; a tier without one is ranked by its raw confidence.
pub(crate) type Heads = BTreeMap<TierName, TierHead>;

/// What a tier said of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    pub(crate) tier: &'a TierName,
    pub(crate) evidence: &'a Evidence,
    /// The answer's text, in a task without labels.
    pub(crate) text: &'a str,
}

/// By what answers are ranked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranking<'a> {
    pub(crate) kind: TaskKind,
    /// How much of an answer decides. Heads are about whole ones.
    pub(crate) extent: Extent,
    pub(crate) heads: &'a Heads,
    /// What answers are not even asked for. Routers are about whole answers too.
    pub(crate) routers: &'a Routers,
}

impl Ranking<'_> {
    /// How sure an answer to a text is, 0 to 1, after these of other tiers.
    pub(crate) fn confidence(&self, source: &str, said: Heard<'_>, earlier: &[Heard<'_>]) -> f64 {
        match self.heads.get(said.tier) {
            Some(head) if self.extent == Extent::Whole => {
                let brought = brought(self.kind, (said, earlier), &head.heard, source);
                head.deferral.probability(&brought)
            }
            _ => self.extent.confidence(said.evidence),
        }
    }

    /// The probability with which a tier's answer to a text would be kept, where it is so low that
    /// the tier should not be asked, after these answers of other tiers. What a certificate proves
    /// of the tier is proven of all other texts.
    pub(crate) fn foretold(
        &self,
        tier: &TierName,
        text: impl FnOnce() -> String,
        earlier: &[Heard<'_>],
    ) -> Option<f64> {
        let router = self.routers.get(tier)?;
        let is_whole = self.extent == Extent::Whole;
        is_whole
            .then(|| router.foretold(&text(), earlier))
            .flatten()
    }

    /// Whether a tier's answers have a head.
    pub(crate) fn has_head(&self, tier: &TierName) -> bool {
        self.extent == Extent::Whole && self.heads.contains_key(tier)
    }
}

/// Everything that speaks for and against an answer to a text.
pub(crate) fn brought<'a>(
    kind: TaskKind,
    (said, earlier): (Heard<'a>, &[Heard<'a>]),
    heard: &[TierName],
    source: &str,
) -> Brought<'a> {
    let of = |tier: &TierName| {
        let said = earlier.iter().find(|said| said.tier == tier);
        said.and_then(|said| probabilities(said.evidence))
    };
    let checks = match said.evidence {
        Evidence::Labels(_) => Checks::default(),
        Evidence::Tokens(_) => checks(kind, said.text, source),
    };
    Brought {
        evidence: said.evidence,
        earlier: heard.iter().map(of).collect(),
        checks,
    }
}

fn probabilities(evidence: &Evidence) -> Option<&LabelProbabilities> {
    match evidence {
        Evidence::Labels(probabilities) => Some(probabilities),
        Evidence::Tokens(_) => None,
    }
}

/// Whether what was extracted stands in the source; of other text its numbers.
fn checks(kind: TaskKind, answer: &str, source: &str) -> Checks {
    let values = match kind {
        TaskKind::Extract => fields(answer),
        _ => None,
    };
    match values {
        Some(values) => Checks::of(values.values().map(String::as_str), source),
        None => {
            let has_digit = |word: &&str| word.chars().any(char::is_numeric);
            Checks::of(answer.split_whitespace().filter(has_digit), source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extracted_values_and_the_numbers_of_other_text_are_looked_for() {
        let source = "Pay EUR 12.50 to DE89 3704 0044 0532 0130 00 by Friday.";
        let answer = r#"{"total": 12.5, "iban": "DE89 3704 0044 0532 0130 00", "by": "Monday"}"#;
        let extracted = checks(TaskKind::Extract, answer, source);
        // 12.50 and 12.5 are one number and two texts.
        assert_eq!((extracted.values, extracted.grounded), (3, 1));
        assert_eq!(extracted.sums_right, 1);
        let told = checks(TaskKind::Summarise, "EUR 12.50 are due, not 13.", source);
        assert_eq!((told.values, told.grounded), (2, 1));
    }
}
