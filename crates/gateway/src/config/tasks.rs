//! Checks of the sections `[tasks.NAME]`.

mod acceptance;
mod audit;
mod embed;
mod labels;
mod learn;
mod records;
mod router;
mod stream;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    CompletionTokens, Protocol, Sensitivity, Task, TaskKind, TaskName, TierKind, TierName,
};

use super::check::Checks;
use super::checked::{Budget, TaskConfig, Window};
use super::path::Path;
use super::raw::{RawBudget, RawTask, RawTier};
use super::tiers::protocol_named;

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
    /// The protocol of a tier elsewhere, where it is a known one.
    protocol: Option<Protocol>,
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
    let place = |option: &str| path.key(option);
    if raw.kind.is_none() {
        checks.faults.add_missing(&place("kind"));
    }
    let kind = checks.word(&place("kind"), raw.kind.as_ref(), TaskKind::from_name);
    let sensitivity = raw.sensitivity.as_ref();
    let sensitivity = checks.word(&place("sensitivity"), sensitivity, Sensitivity::from_name);
    let tiers = check_tier_names(checks, raw, &path, tiers);
    let budget = check_budget(checks, raw, &path, &tiers);
    let records = records::check_source(checks, raw, &path);
    let threshold = checks.number(&place("threshold"), raw.threshold);
    let most = &place("max_completion_tokens");
    let most = checks.count(most, raw.max_completion_tokens, 1_024);
    let temperature = checks.number(&place("temperature"), raw.temperature);
    let text_field = checks.text(&place("text_field"), raw.text_field.as_ref());
    let id_field = checks.text(&place("id_field"), raw.id_field.as_ref());

    // Everything below depends on the kind.
    let draft = Draft {
        kind: kind?,
        // A text of unknown sensitivity stays inside.
        sensitivity: sensitivity.unwrap_or(Sensitivity::Confidential),
        path,
        raw,
        tiers,
    };
    embed::check(checks, &draft);
    acceptance::check(checks, &draft);
    let target = acceptance::check_target(checks, &draft);
    let labels = labels::check(checks, &draft);
    let flagged = labels::check_flagged(checks, &draft, labels.as_ref());
    let max_missed = labels::check_missed(checks, &draft, labels.as_ref());
    let max_wrong = labels::check_wrong(checks, &draft, labels.as_ref());
    let prompt = check_prompt(checks, &draft);
    let keep_days = records::check_keep(checks, &draft);
    let audit = audit::check(checks, &draft);
    let learn_every = learn::check(checks, &draft);
    let early_tokens = stream::check(checks, &draft);
    let self_check = self_check(checks, &draft);
    let router = router::check(checks, &draft);
    Some(TaskConfig {
        task: Task {
            name: name.ok()?,
            kind: draft.kind,
            prompt: prompt?,
            labels,
            tiers: draft.tiers.into_iter().map(|tier| tier.name).collect(),
            sensitivity: draft.sensitivity,
        },
        target,
        max_missed,
        max_wrong,
        threshold,
        budget,
        records,
        keep_days,
        audit,
        learn_every,
        early_tokens,
        self_check,
        router,
        flagged,
        max_completion_tokens: CompletionTokens(u64::try_from(most).unwrap_or(u64::MAX)),
        temperature: temperature.unwrap_or(0.0) as f32,
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
            let protocol = tier.and_then(|tier| protocol_named(tier.protocol.as_deref()?));
            listed.push(ListedTier {
                index,
                name,
                kind,
                priced,
                protocol,
            });
        }
    }
    listed
}

/// Whether local tiers are asked about their own answers.
fn self_check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> bool {
    let is_wanted = draft.raw.self_check == Some(true);
    if is_wanted && draft.kind.has_labels() {
        let kind = draft.kind.as_str();
        let fault = format!(
            "a task of kind {kind} answers with a label, whose probability is known without asking; \
             leave it out"
        );
        checks.faults.add(&draft.path.key("self_check"), fault);
    }
    is_wanted
}

fn check_prompt(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) -> Option<String> {
    let path = draft.path.key("prompt");
    match (&draft.raw.prompt, draft.kind) {
        (_, TaskKind::Embed) | (None, TaskKind::Chat) => Some(String::new()),
        (prompt, _) => checks.required(&path, prompt.as_ref()),
    }
}

fn check_budget(
    checks: &mut Checks<'_, '_>,
    raw: &RawTask,
    path: &Path,
    tiers: &[ListedTier],
) -> Option<Budget> {
    let path = path.key("budget");
    let RawBudget { usd, per } = raw.budget.as_ref()?;
    for (option, raw) in [("usd", usd), ("per", per)] {
        if raw.is_none() {
            checks.faults.add_missing(&path.key(option));
        }
    }
    let names = raw.tiers.as_ref().map_or(0, Vec::len);
    // Only when every tier is known can it be said that none is paid. A frontier without a price
    // has a fault of its own.
    let paid = |tier: &ListedTier| tier.kind == TierKind::Frontier || tier.priced;
    if tiers.len() == names && !tiers.iter().any(paid) {
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

fn window_named(name: &str) -> Option<Window> {
    match name {
        "day" => Some(Window::Day),
        "month" => Some(Window::Month),
        "total" => Some(Window::Total),
        _ => None,
    }
}
