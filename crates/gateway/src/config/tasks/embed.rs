//! Checks of a task whose answers are vectors.

use domain::{Protocol, TaskKind, TierKind};

use super::Draft;
use crate::config::check::Checks;

/// What is of no use to it: its texts go to its tier as they are, and what comes is taken.
const OF_NO_USE: &[&str] = &[
    "prompt",
    "target",
    "threshold",
    "records",
    "audit",
    "learn",
    "stream",
    "early_tokens",
    "self_check",
    "router",
    "max_completion_tokens",
    "temperature",
    "text_field",
    "id_field",
];

/// Books what such a task can't have.
pub(super) fn check(checks: &mut Checks<'_, '_>, draft: &Draft<'_>) {
    if draft.kind != TaskKind::Embed {
        return;
    }
    for option in OF_NO_USE {
        let path = draft.path.key(option);
        if checks.faults.source().has(&path) {
            let fault = "a task of kind embed gives its texts to its tier as they are, and takes \
                         the vectors that come; leave it out";
            checks.faults.add(&path, fault);
        }
    }
    let list = draft.path.key("tiers");
    if draft.raw.tiers.as_ref().is_some_and(|it| it.len() > 1) {
        let fault = "vectors of different models can't be compared; give a task of kind embed one \
                     tier";
        checks.faults.add(&list, fault);
    }
    for tier in &draft.tiers {
        let name = &tier.name;
        let fault = match (tier.kind, tier.protocol) {
            (TierKind::Person, _) => {
                format!("\"{name}\" is a person, who makes no vectors; leave it out")
            }
            (_, Some(Protocol::Anthropic)) => format!(
                "\"{name}\" speaks the protocol anthropic, which has no embeddings; give a tier \
                 of kind local, or of the protocol openai, openai-responses or google"
            ),
            _ => continue,
        };
        checks.faults.add(&list.index(tier.index), fault);
    }
}
