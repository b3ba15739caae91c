//! Checks of how a task's certificate is watched.

use domain::{Sensitivity, TierKind, TierName};

use super::{Draft, ListedTier};
use crate::config::check::Checks;
use crate::config::checked::Audit;
use crate::config::path::Path;
use crate::config::raw::RawAudit;

/// How many accepted answers are asked again, if any are.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Audit> {
    let path = draft.path.key("audit");
    let RawAudit { share, near, by } = draft.raw.audit.as_ref()?;
    let target = draft.raw.target.as_ref();
    if target.is_none_or(|target| target.confidence.is_none()) {
        let fault = "there is no certificate to watch; add a confidence to the target, for \
                     example target = { max_error = 0.02, confidence = 0.95 }, or leave it out";
        checks.faults.add(&path, fault);
    }
    if draft.sensitivity == Sensitivity::Restricted {
        let fault = "a restricted text is never kept, and an audit keeps its text until it is \
                     done; leave it out";
        checks.faults.add(&path, fault);
    }
    let place = path.key("share");
    if share.is_none() {
        checks.faults.add_missing(&place);
    }
    let share = checks.number(&place, *share)?;
    let place = path.key("near");
    let near = checks
        .number(&place, *near)
        .unwrap_or_else(|| (5.0 * share).min(1.0));
    if near < share {
        let fault = format!("is below the share {share}; take at least that");
        checks.faults.add_value(&place, &fault);
    }
    let by = by
        .as_ref()
        .and_then(|by| auditor(checks, draft, &path.key("by"), by));
    let days = draft.raw.records.as_ref().and_then(|records| records.days);
    Some(Audit {
        share,
        near,
        by,
        days: u16::try_from(days.unwrap_or(30)).unwrap_or(u16::MAX),
    })
}

/// The tier that is asked again: one that answers labels, behind the last that is certified.
fn auditor(
    checks: &mut Checks<'_, '_>,
    draft: &Draft<'_>,
    path: &Path,
    by: &String,
) -> Option<TierName> {
    let last = draft.tiers.last().map(|tier| tier.index);
    let mut tiers = draft.tiers.iter();
    let frontier = tiers.position(|tier| tier.kind == TierKind::Frontier);
    // What a certificate is about can't judge itself.
    let certified = |tier: &ListedTier| {
        Some(tier.index) != last && frontier.is_none_or(|frontier| tier.index < frontier)
    };
    let may = draft.tiers.iter().filter(|tier| match tier.kind {
        TierKind::Local => !certified(tier),
        TierKind::Pool | TierKind::Frontier => true,
        TierKind::Student | TierKind::Person => false,
    });
    let may: Vec<&TierName> = may.map(|tier| &tier.name).collect();
    if let Some(tier) = may.iter().find(|tier| tier.as_str() == by) {
        return Some((*tier).clone());
    }
    let names: Vec<&str> = may.iter().map(|tier| tier.as_str()).collect();
    let names = match names.as_slice() {
        [] => "none of this task's can; leave it out, and a person does".to_owned(),
        names => format!("here {} can", names.join(", ")),
    };
    let wrong = format!("is no tier of this task that can judge those before it: {names}");
    checks.faults.add_value(path, &wrong);
    None
}
