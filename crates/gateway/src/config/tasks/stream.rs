//! Checks of when a streamed answer is shown.

use super::Draft;
use crate::config::check::Checks;

/// After how many tokens it is decided whether a streamed answer is kept, where it is before the
/// answer is whole.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<usize> {
    let path = draft.path.key("stream");
    let stream = draft.raw.stream.as_ref();
    let is_early = checks.word(&path, stream, |word| match word {
        "whole" => Some(false),
        "early" => Some(true),
        _ => None,
    });
    let place = draft.path.key("early_tokens");
    let tokens = checks.count(&place, draft.raw.early_tokens, 16);
    if is_early != Some(true) {
        return None;
    }
    let target = draft.raw.target.as_ref();
    if draft.kind.has_labels() {
        let kind = draft.kind.as_str();
        let fault = format!(
            "a task of kind {kind} answers with a label, which is shown when it is known; leave it \
             out"
        );
        checks.faults.add(&path, fault);
    } else if target.is_none_or(|target| target.confidence.is_none()) {
        let fault = "nothing is shown early without a certificate; add a target with a confidence, \
                     for example target = { max_error = 0.02, confidence = 0.95 }";
        checks.faults.add(&path, fault);
    }
    Some(tokens)
}
