//! Checks of whether local tiers may be passed over.

use domain::TierKind;

use super::{Draft, ListedTier};
use crate::config::check::Checks;

/// Whether local tiers are not asked where it would be in vain.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> bool {
    if draft.raw.router != Some(true) {
        return false;
    }
    let path = draft.path.key("router");
    let target = draft.raw.target.as_ref();
    if target.is_none_or(|target| target.confidence.is_none()) {
        let fault = "a router is fitted and signed with a certificate; add a target with a \
                     confidence, for example target = { max_error = 0.02, confidence = 0.95 }";
        checks.faults.add(&path, fault);
    }
    let names = draft.raw.tiers.as_ref().map_or(0, Vec::len);
    // With a tier of unknown kind it can't be said; that has a fault of its own.
    if draft.tiers.len() == names && !takes_over(&draft.tiers) {
        let fault = "no local tier has a tier behind it that takes what it would skip, and a person \
                     is helped by its answer; leave it out, or add a pool or frontier";
        checks.faults.add(&path, fault);
    }
    true
}

/// Whether the first local tier has one behind it whose answer is taken as it is: a frontier, or
/// the last tier where that is no person.
fn takes_over(tiers: &[ListedTier]) -> bool {
    let local = tiers.iter().position(|tier| tier.kind == TierKind::Local);
    let behind = local.map_or(&[][..], |local| &tiers[local + 1..]);
    let is_frontier = |tier: &ListedTier| tier.kind == TierKind::Frontier;
    let last = behind.last().map(|tier| tier.kind);
    behind.iter().any(is_frontier) || last.is_some_and(|kind| kind != TierKind::Person)
}
