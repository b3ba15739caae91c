//! Checks of a task's labels.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Label, Labels, TaskKind};

use super::Draft;
use crate::config::check::Checks;

/// The labels, where the kind has them and they have no fault.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Labels> {
    let path = draft.path.key("labels");
    let kind = draft.kind.as_str();
    let raw = match (&draft.raw.labels, draft.kind.has_labels()) {
        (Some(raw), true) => raw,
        (None, true) => {
            checks.faults.add_missing(&path);
            return None;
        }
        (Some(_), false) => {
            let fault =
                format!("a task of kind {kind} answers freely and has no labels; leave them out");
            checks.faults.add(&path, fault);
            return None;
        }
        (None, false) => return None,
    };
    let mut labels = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = path.index(index);
        let name = checks.required(&path.key("name"), raw.name.as_ref());
        let definition = checks.text(&path.key("definition"), raw.definition.as_ref());
        if let Some(name) = name {
            labels.push(Label { name, definition });
        }
    }
    if labels.len() < raw.len() {
        return None;
    }
    match Labels::new(labels) {
        Ok(labels) => Some(labels),
        Err(fault) => {
            checks.faults.add(&path, fault.to_string());
            None
        }
    }
}

/// For labels by their index: the share of their documents that may be missed.
pub(super) fn check_missed(
    checks: &mut Checks<'_, '_>,
    draft: &Draft<'_>,
    labels: Option<&Labels>,
) -> Vec<(usize, f64)> {
    let target = draft.raw.target.as_ref();
    let shares = target.and_then(|target| target.max_missed.as_ref());
    check_shares(checks, draft, labels, ("max_missed", shares))
}

/// For labels by their index: the share of the answers kept with them that may be wrong.
pub(super) fn check_wrong(
    checks: &mut Checks<'_, '_>,
    draft: &Draft<'_>,
    labels: Option<&Labels>,
) -> Vec<(usize, f64)> {
    let Some(target) = draft.raw.target.as_ref() else {
        return Vec::new();
    };
    let shares = target.max_wrong.as_ref();
    let named = check_shares(checks, draft, labels, ("max_wrong", shares));
    let path = draft.path.key("target");
    if target.of.as_deref() == Some("all") && shares.is_some() {
        let fault = "it is about kept answers, and max_error here about all documents; leave one \
                     of them out";
        checks.faults.add(&path.key("max_wrong"), fault);
    }
    for (label, share) in &named {
        if target.max_error.is_some_and(|most| *share > most) {
            let name = labels.map_or("", |labels| labels.name(*label));
            let fault = "it is more than max_error, which holds of all that is kept; make it less, \
                         or leave it out";
            checks.faults.add(&path.key("max_wrong").key(name), fault);
        }
    }
    let (Some("label"), Some(max_error)) = (target.of.as_deref(), target.max_error) else {
        return named;
    };
    let Some(labels) = labels else {
        if !draft.kind.has_labels() {
            let kind = draft.kind.as_str();
            let fault = format!("a task of kind {kind} has no labels; leave it out");
            checks.faults.add(&path.key("of"), fault);
        }
        return named;
    };
    let share = |label| {
        let own = named.iter().find(|(named, _)| *named == label);
        (label, own.map_or(max_error, |(_, share)| *share))
    };
    (0..labels.len()).map(share).collect()
}

/// The shares that an option of the target states for labels by name, by their index.
fn check_shares(
    checks: &mut Checks<'_, '_>,
    draft: &Draft<'_>,
    labels: Option<&Labels>,
    (option, shares): (&str, Option<&BTreeMap<String, f64>>),
) -> Vec<(usize, f64)> {
    let target = draft.raw.target.as_ref();
    let Some((target, shares)) = target.zip(shares) else {
        return Vec::new();
    };
    let path = draft.path.key("target").key(option);
    if target.confidence.is_none() {
        let fault = "it is proven or nothing; add a confidence beside it, for example \
                     confidence = 0.95";
        checks.faults.add(&path, fault);
    }
    let Some(labels) = labels else {
        // Where there should be labels, their own fault is booked.
        if !draft.kind.has_labels() {
            let kind = draft.kind.as_str();
            let fault = format!("a task of kind {kind} has no labels; leave it out");
            checks.faults.add(&path, fault);
        }
        return Vec::new();
    };
    let mut stated = Vec::new();
    for (name, &share) in shares {
        let place = path.key(name);
        let Some(label) = labels.iter().position(|label| label.name == *name) else {
            let known: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
            let known = known.join(", ");
            checks
                .faults
                .add(&place, format!("`{name}` is none of the labels {known}"));
            continue;
        };
        match checks.number(&place, Some(share)) {
            Some(share) if share > 0.0 && share < 1.0 => stated.push((label, share)),
            Some(_) => checks
                .faults
                .add(&place, "it lies between 0 and 1, for example 0.05"),
            None => {}
        }
    }
    stated.sort_by_key(|&(label, _)| label);
    stated
}

/// Indices of the labels that call for attention.
pub(super) fn check_flagged(
    checks: &mut Checks<'_, '_>,
    draft: &Draft<'_>,
    labels: Option<&Labels>,
) -> Vec<usize> {
    let path = draft.path.key("flagged");
    let names = match (&draft.raw.flagged, draft.kind) {
        (Some(names), TaskKind::Flag) => names,
        (None, TaskKind::Flag) => {
            checks.faults.add_missing(&path);
            return Vec::new();
        }
        (Some(_), kind) => {
            let kind = kind.as_str();
            let fault =
                format!("a task of kind {kind} flags nothing; leave it out, or make the kind flag");
            checks.faults.add(&path, fault);
            return Vec::new();
        }
        (None, _) => return Vec::new(),
    };
    // Without labels there is nothing to compare with, and the labels' own fault is booked.
    let Some(labels) = labels else {
        return Vec::new();
    };
    let mut flagged = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let place = path.index(index);
        let known: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        match known.iter().position(|label| label == name) {
            Some(label) if !flagged.insert(label) => {
                checks.faults.add_value(&place, "stands twice")
            }
            Some(_) => {}
            None => {
                let wrong = format!("is none of the labels {}", known.join(", "));
                checks.faults.add_value(&place, &wrong);
            }
        }
    }
    if names.is_empty() {
        checks.faults.add_value(&path, "without an entry");
    } else if flagged.len() == labels.len() {
        let fault = "every label is flagged; leave out those that need no attention";
        checks.faults.add(&path, fault);
    }
    flagged.into_iter().collect()
}
