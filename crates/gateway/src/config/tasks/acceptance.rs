//! Checks of who answers a task: in which order, where they stand, and when an answer is accepted.

use domain::{TaskKind, TierKind, Zone};
use routing::certificate::Risk;

use super::{Draft, ListedTier};
use crate::config::check::Checks;
use crate::config::checked::Target;
use crate::config::path::Path;
use crate::config::raw::RawTarget;

/// Books what is wrong with the tiers together, as each of them may be right by itself.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    check_order(checks, draft);
    check_zone(checks, draft);
    check_acceptance(checks, draft);
    check_student(checks, draft);
}

/// The error that is allowed among kept answers.
pub(super) fn check_target(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Target> {
    let path = draft.path.key("target");
    let RawTarget {
        max_error,
        of,
        confidence,
        max_missed: _,
        max_wrong: _,
    } = draft.raw.target.as_ref()?;
    if !draft.kind.has_labels() && confidence.is_none() {
        let kind = draft.kind.as_str();
        let fault = format!(
            "answers of a task of kind {kind} are kept on a proof or by a threshold; add a \
             confidence, for example confidence = 0.95, or state a threshold instead, for example \
             threshold = 0.9"
        );
        checks.faults.add(&path, fault);
        return None;
    }
    let place = path.key("max_error");
    if max_error.is_none() {
        checks.faults.add_missing(&place);
    }
    let max_error = checks.number(&place, *max_error);
    let risk = checks.word(&path.key("of"), of.as_ref(), risk_named);
    if matches!(of.as_deref(), Some("label" | "all")) && confidence.is_none() {
        let fault = "it is proven or nothing; add a confidence beside it, for example \
                     confidence = 0.95";
        checks.faults.add(&path.key("of"), fault);
    }
    let sure = path.key("confidence");
    let confidence = checks.number(&sure, *confidence);
    if confidence.is_some() {
        if max_error.is_some_and(|max_error| max_error <= 0.0 || max_error >= 1.0) {
            let fault = "no number of records proves that; with a confidence it lies between 0 \
                         and 1, for example 0.02";
            checks.faults.add(&place, fault);
        }
        check_certifiable(checks, draft, &sure);
    }
    Some(Target {
        max_error: max_error?,
        risk: risk.unwrap_or(Risk::Selective),
        confidence,
    })
}

fn risk_named(name: &str) -> Option<Risk> {
    match name {
        "kept" | "label" => Some(Risk::Selective),
        "all" => Some(Risk::Marginal),
        _ => None,
    }
}

/// A certificate is about the answers of tiers that bring evidence and may pass a document on.
fn check_certifiable(checks: &mut Checks<'_, '_>, draft: &Draft<'_>, path: &Path) {
    let names = draft.raw.tiers.as_ref().map_or(0, Vec::len);
    let certifiable = |tier: &ListedTier| {
        matches!(tier.kind, TierKind::Student | TierKind::Local) && tier.index + 1 < names
    };
    let before_frontier = draft
        .tiers
        .iter()
        .take_while(|tier| tier.kind != TierKind::Frontier);
    // With a tier of unknown kind it can't be said; that has a fault of its own.
    if draft.tiers.len() == names && !before_frontier.into_iter().any(certifiable) {
        let fault = "there is nothing to certify: no student or local tier stands before another \
                     tier; leave it out, or add such a tier";
        checks.faults.add(path, fault);
    }
}

fn check_order(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    let last = draft
        .raw
        .tiers
        .as_ref()
        .map_or(0, Vec::len)
        .saturating_sub(1);
    for ListedTier {
        index, name, kind, ..
    } in &draft.tiers
    {
        if *kind == TierKind::Person && *index != last {
            let place = draft.path.key("tiers").index(*index);
            let rule =
                "a person comes last, because whatever reaches the review queue is decided there";
            checks.faults.add(
                &place,
                format!("\"{name}\" is a person and others follow; {rule}"),
            );
        }
    }
}

/// Nothing may be configured that policy would refuse for every document.
fn check_zone(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    if !checks.faults.none_within(&draft.path.key("sensitivity")) {
        return;
    }
    for ListedTier {
        index, name, kind, ..
    } in &draft.tiers
    {
        if draft.sensitivity.may_reach(kind.zone()) {
            continue;
        }
        let zone = match kind.zone() {
            Zone::Inside => "inside",
            Zone::Outside => "outside",
        };
        let sensitivity = draft.sensitivity.as_str();
        let stated = match draft.raw.sensitivity {
            Some(_) => "",
            None => " unless its `sensitivity` says otherwise",
        };
        checks.faults.add(
            &draft.path.key("tiers").index(*index),
            format!(
                "\"{name}\" is {zone} and this task's texts are {sensitivity}{stated}: none could \
                 ever go there; leave the tier out, or state sensitivity = \"internal\" if a \
                 vendor may process them"
            ),
        );
    }
}

fn check_student(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    for ListedTier {
        index, name, kind, ..
    } in &draft.tiers
    {
        if *kind != TierKind::Student {
            continue;
        }
        let place = draft.path.key("tiers").index(*index);
        if !draft.kind.has_labels() {
            let kind = draft.kind.as_str();
            let rule =
                "a student only learns labels; leave it out, or make the kind classify or flag";
            checks.faults.add(
                &place,
                format!("\"{name}\" is a student and the kind is {kind}; {rule}"),
            );
        } else if !has_labelled(checks, draft) {
            let rule = "add records = { path = \"labelled.jsonl.gz\" }, or leave it out";
            checks.faults.add(
                &place,
                format!("\"{name}\" is a student without records to learn from; {rule}"),
            );
        }
    }
}

/// Whether labelled records are named.
fn has_labelled(checks: &Checks<'_, '_>, draft: &Draft<'_>) -> bool {
    let records = draft.path.key("records");
    let source = checks.faults.source();
    // Without a path that says so itself, unless new records are all that is wanted.
    let only_new = draft.raw.records.as_ref().and_then(|records| records.keep) == Some(true);
    source.has(&records) && (source.has(&records.key("path")) || !only_new)
}

/// Whether a certificate gives the thresholds.
fn certified(draft: &Draft<'_>) -> bool {
    let target = draft.raw.target.as_ref();
    target.is_some_and(|target| target.confidence.is_some())
}

/// Where a tier may pass a document on, it must be said from which confidence it doesn't.
fn check_acceptance(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    let stands = |option: &str| checks.faults.source().has(&draft.path.key(option));
    let (threshold, target) = (stands("threshold"), stands("target"));
    let records = has_labelled(checks, draft);
    let names = match draft.kind {
        // Its one tier passes nothing on, and another is a fault of its own.
        TaskKind::Embed => 0,
        _ => draft.raw.tiers.as_ref().map_or(0, Vec::len),
    };
    let passes_on = draft.tiers.iter().find(|tier| {
        let doubts = matches!(
            tier.kind,
            TierKind::Student | TierKind::Local | TierKind::Pool
        );
        doubts && tier.index + 1 < names
    });
    if threshold && target {
        let fault =
            "stands beside a target, which finds the threshold itself; leave one of them out";
        checks.faults.add(&draft.path.key("threshold"), fault);
    } else if target && !records && !certified(draft) {
        let path = draft.path.key("target");
        let advice = "add records = { path = \"labelled.jsonl.gz\" }, or state a threshold instead";
        checks.faults.add(
            &path,
            format!("no `records` to find the threshold on; {advice}"),
        );
    } else if let (Some(ListedTier { name, .. }), false, false) = (passes_on, threshold, target) {
        checks.faults.add(
            &draft.path,
            format!(
                "nothing says when an answer of \"{name}\" is accepted and when the next tier is \
                 asked; add threshold = 0.9, or target = {{ max_error = 0.02 }} with `records`"
            ),
        );
    }
}
