//! Checks of the sections `[tasks.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::{
    CompletionTokens, Label, Labels, Sensitivity, Task, TaskKind, TaskName, TierKind, TierName,
    Zone,
};

use super::check::Checks;
use super::checked::{Budget, RecordsSource, Target, TaskConfig, Window};
use super::path::Path;
use super::raw::{RawBudget, RawRecords, RawTarget, RawTask, RawTier};

/// A task with what is known of it before its own options are read.
struct Draft<'a> {
    path: Path,
    raw: &'a RawTask,
    kind: TaskKind,
    sensitivity: Sensitivity,
    /// The tiers whose kind is known, though they may have other faults.
    tiers: Vec<ListedTier>,
}

/// A tier as a task lists it.
struct ListedTier {
    /// Its index in the task's list.
    index: usize,
    name: TierName,
    kind: TierKind,
    /// Whether it has a price list.
    priced: bool,
}

/// The tasks that have no fault.
pub(super) fn check(
    checks: &mut Checks<'_, '_>,
    raw: &BTreeMap<String, RawTask>,
    tiers: &BTreeMap<String, RawTier>,
) -> BTreeMap<TaskName, TaskConfig> {
    let mut tasks = BTreeMap::new();
    for (name, raw) in raw {
        if let Some(task) = check_task(checks, name, raw, tiers) {
            tasks.insert(task.task.name.clone(), task);
        }
    }
    tasks
}

fn check_task(
    checks: &mut Checks<'_, '_>,
    name: &str,
    raw: &RawTask,
    tiers: &BTreeMap<String, RawTier>,
) -> Option<TaskConfig> {
    let path = Path::top("tasks").key(name);
    let name = TaskName::new(name).map_err(|fault| checks.faults.add(&path, fault.to_string()));
    let tiers = check_tier_names(checks, raw, &path, tiers);
    if raw.kind.is_none() {
        checks.faults.add_missing(&path.key("kind"));
    }
    let sensitivity = path.key("sensitivity");
    let sensitivity = checks.word(
        &sensitivity,
        raw.sensitivity.as_ref(),
        Sensitivity::from_name,
    );
    let kind = checks.word(&path.key("kind"), raw.kind.as_ref(), TaskKind::from_name)?;
    // A text of unknown sensitivity stays inside.
    let sensitivity = sensitivity.unwrap_or(Sensitivity::Confidential);
    let draft = Draft {
        path,
        raw,
        kind,
        sensitivity,
        tiers,
    };
    check_order(checks, &draft);
    check_zone(checks, &draft);
    let labels = check_labels(checks, &draft);
    let flagged = check_flagged(checks, &draft, labels.as_ref());
    let records = check_records(checks, &draft);
    let target = check_target(checks, &draft);
    let place = |option: &str| draft.path.key(option);
    let threshold = checks.number(&place("threshold"), raw.threshold);
    check_acceptance(checks, &draft);
    check_student(checks, &draft);
    let most = checks.count(
        &place("max_completion_tokens"),
        raw.max_completion_tokens,
        1_024,
    );
    let temperature = checks
        .number(&place("temperature"), raw.temperature)
        .unwrap_or(0.0);
    let text_field = checks.text(&place("text_field"), raw.text_field.as_ref());
    let id_field = checks.text(&place("id_field"), raw.id_field.as_ref());
    Some(TaskConfig {
        budget: check_budget(checks, &draft),
        task: Task {
            name: name.ok()?,
            kind,
            prompt: check_prompt(checks, &draft)?,
            labels,
            tiers: draft.tiers.into_iter().map(|tier| tier.name).collect(),
            sensitivity,
        },
        target,
        threshold,
        records,
        flagged,
        max_completion_tokens: CompletionTokens(u64::try_from(most).unwrap_or(u64::MAX)),
        temperature: temperature as f32,
        text_field: text_field.unwrap_or_else(|| "text".to_owned()),
        id_field: id_field.unwrap_or_else(|| "id".to_owned()),
    })
}

fn check_tier_names(
    checks: &mut Checks<'_, '_>,
    raw: &RawTask,
    path: &Path,
    tiers: &BTreeMap<String, RawTier>,
) -> Vec<ListedTier> {
    let list = path.key("tiers");
    let names = raw.tiers.as_deref().unwrap_or_default();
    match raw.tiers {
        None => checks.faults.add_missing(&list),
        Some(_) if names.is_empty() => checks.faults.add_value(&list, "without an entry"),
        Some(_) => {}
    }
    let mut seen = BTreeSet::new();
    let mut listed = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let place = list.index(index);
        if !checks.faults.source().has(&Path::top("tiers").key(name)) {
            checks.add_unknown_name(&place, name, "tiers");
        }
        if !seen.insert(name) {
            checks.faults.add_value(&place, "stands twice");
        }
        // A tier without a known name or kind has faults of its own, and nothing more can be
        // said of it here.
        let tier = tiers.get(name);
        let kind = tier.and_then(|tier| TierKind::from_name(tier.kind.as_deref()?));
        if let (Ok(name), Some(kind)) = (TierName::new(name), kind) {
            let priced = tier.is_some_and(|tier| tier.price.is_some());
            listed.push(ListedTier {
                index,
                name,
                kind,
                priced,
            });
        }
    }
    listed
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

fn check_prompt(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<String> {
    let path = draft.path.key("prompt");
    match (&draft.raw.prompt, draft.kind) {
        (None, TaskKind::Chat) => Some(String::new()),
        (prompt, _) => checks.required(&path, prompt.as_ref()),
    }
}

fn check_labels(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Labels> {
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

fn check_flagged(
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

fn check_target(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Target> {
    let path = draft.path.key("target");
    let RawTarget { max_error } = draft.raw.target.as_ref()?;
    if !draft.kind.has_labels() {
        let kind = draft.kind.as_str();
        let fault = format!(
            "a task of kind {kind} has no single right answer to count errors against; state a \
             threshold instead, for example threshold = 0.9"
        );
        checks.faults.add(&path, fault);
        return None;
    }
    let place = path.key("max_error");
    if max_error.is_none() {
        checks.faults.add_missing(&place);
    }
    checks
        .number(&place, *max_error)
        .map(|max_error| Target { max_error })
}

/// Where a tier may pass a document on, it must be said from which confidence it doesn't.
fn check_acceptance(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    let stands = |option: &str| checks.faults.source().has(&draft.path.key(option));
    let (threshold, target, records) = (stands("threshold"), stands("target"), stands("records"));
    let names = draft.raw.tiers.as_ref().map_or(0, Vec::len);
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
    } else if target && !records {
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
        } else if !checks.faults.source().has(&draft.path.key("records")) {
            let rule = "add records = { path = \"labelled.jsonl.gz\" }, or leave it out";
            checks.faults.add(
                &place,
                format!("\"{name}\" is a student without records to learn from; {rule}"),
            );
        }
    }
}

fn check_budget(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<Budget> {
    let path = draft.path.key("budget");
    let RawBudget { usd, per } = draft.raw.budget.as_ref()?;
    for (option, raw) in [("usd", usd), ("per", per)] {
        if raw.is_none() {
            checks.faults.add_missing(&path.key(option));
        }
    }
    let names = draft.raw.tiers.as_ref().map_or(0, Vec::len);
    // Only when every tier is known can it be said that none is paid. A frontier without a price
    // has a fault of its own.
    let paid = |tier: &ListedTier| tier.kind == TierKind::Frontier || tier.priced;
    if draft.tiers.len() == names && !draft.tiers.iter().any(paid) {
        let fault = "no tier of this task has a price, so nothing is ever spent; leave it out";
        checks.faults.add(&path, fault);
    }
    let limit = checks.usd(&path.key("usd"), usd.as_ref());
    let window = checks.word(&path.key("per"), per.as_ref(), window_named);
    Some(Budget {
        limit: limit?,
        window: window?,
    })
}

fn check_records(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<RecordsSource> {
    let path = draft.path.key("records");
    let RawRecords {
        path: file,
        rows,
        text,
        gold,
    } = draft.raw.records.as_ref()?;
    if file.is_none() {
        checks.faults.add_missing(&path.key("path"));
    }
    let place = path.key("rows");
    let range = rows.as_deref().map_or(Some(0..usize::MAX), parse_rows);
    if range.is_none() {
        checks
            .faults
            .add_value(&place, "is no range of rows with at least one row");
    }
    let text = checks.text(&path.key("text"), text.as_ref());
    let gold = checks.text(&path.key("gold"), gold.as_ref());
    Some(RecordsSource {
        path: checks.file(&path.key("path"), file.as_ref())?,
        rows: range?,
        text: text.unwrap_or_else(|| "text".to_owned()),
        gold: gold.unwrap_or_else(|| "gold".to_owned()),
    })
}

/// The range that a text like `..4000` names; `None` when it is none, or empty.
fn parse_rows(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once("..")?;
    let bound = |text: &str, open: usize| match text {
        "" => Some(open),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    let rows = bound(start, 0)?..bound(end, usize::MAX)?;
    (!rows.is_empty()).then_some(rows)
}

fn window_named(name: &str) -> Option<Window> {
    match name {
        "day" => Some(Window::Day),
        "month" => Some(Window::Month),
        "total" => Some(Window::Total),
        _ => None,
    }
}
