//! Which tiers a certificate can be about, and with which they can be compared.

use domain::{TierKind, TierName};

use crate::config::{Config, TaskConfig};

/// The tiers of a task that bring evidence and have another tier behind them, in the order in
/// which they are asked: those that a certificate is about. What stands behind a frontier is
/// asked only when that fails.
pub(crate) fn certifiable(config: &Config, task: &TaskConfig) -> Vec<TierName> {
    let tiers = &task.task.tiers;
    let kind = |tier: &TierName| config.tiers[tier].kind();
    tiers[..tiers.len() - 1]
        .iter()
        .take_while(|tier| kind(tier) != TierKind::Frontier)
        .filter(|tier| matches!(kind(tier), TierKind::Student | TierKind::Local))
        .cloned()
        .collect()
}

/// Whether a tier can be a reference: it answers labels, and is no student of the same records.
pub(crate) fn may_be_reference(kind: TierKind) -> bool {
    matches!(kind, TierKind::Local | TierKind::Pool | TierKind::Frontier)
}
