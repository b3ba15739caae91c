//! Checks of whether a task's student goes on learning.

use domain::TierKind;

use super::Draft;
use crate::config::check::Checks;

/// How many new right answers make a lesson, if there are lessons.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<u64> {
    let path = draft.path.key("learn");
    let learn = draft.raw.learn.as_ref()?;
    let every = checks.count(&path.key("every"), learn.every, 200);
    if learn.online != Some(true) {
        return None;
    }
    let place = path.key("online");
    let names = draft.raw.tiers.as_ref().map_or(0, Vec::len);
    let has_student = draft.tiers.iter().any(|it| it.kind == TierKind::Student);
    if !has_student && draft.tiers.len() == names {
        let fault = "no tier of this task is a student; leave it out, or add one";
        checks.faults.add(&place, fault);
    }
    let target = draft.raw.target.as_ref();
    if target.is_none_or(|target| target.confidence.is_none()) {
        let fault = "only a certificate says whether a new student is as good; add a confidence to \
                     the target, for example target = { max_error = 0.02, confidence = 0.95 }";
        checks.faults.add(&place, fault);
    }
    let records = draft.raw.records.as_ref();
    if records.is_none_or(|records| records.keep != Some(true)) {
        let fault = "it learns from records that are kept; add keep = true to the task's records";
        checks.faults.add(&place, fault);
    }
    u64::try_from(every).ok()
}
