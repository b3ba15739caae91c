//! On whose behalf a tier is asked.

use std::sync::Arc;

/// Who presents one of the server's keys, or the program itself. What is left of one tenant's
/// prompts in an engine's memory is never used for another's, and tenants get equal shares of an
/// engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant(Arc<str>);

impl Tenant {
    /// The program, for what it asks by itself: in runs, audits and lessons.
    pub(crate) fn program() -> Self {
        Self("program".into())
    }

    /// Whoever owns what is kept under this name: each key has one of its own, and everybody the
    /// empty one where the server has no keys.
    pub(crate) fn of_owner(owner: &str) -> Self {
        Self(format!("owner:{owner}").into())
    }

    /// Its name, by which an engine tells tenants apart.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
