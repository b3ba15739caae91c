//! What a claim depends on.

use std::collections::BTreeMap;

/// What a claim was proven for, as digests. A certificate holds only where all are as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Name of a thing the claim depends on, such as `prompt`, `labels`, `model`, `quantisation`,
    /// `engine` or `reference`, with the digest or version it had.
    pub parts: BTreeMap<String, String>,
}

impl Provenance {
    /// The names of all things that differ between then and now, are new or are gone, in
    /// alphabetical order.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let names = self.parts.keys().chain(now.parts.keys());
        let mut changed: Vec<String> = names
            .filter(|name| self.parts.get(*name) != now.parts.get(*name))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_is_new_or_is_gone_is_named() {
        let provenance = |prompt: &str, engine: Option<&str>| {
            let mut parts = BTreeMap::from([("prompt".to_owned(), prompt.to_owned())]);
            engine.map(|engine| parts.insert("engine".to_owned(), engine.to_owned()));
            Provenance { parts }
        };
        let then = provenance("abc", Some("1.0"));
        assert!(then.changed(&then.clone()).is_empty());
        for (now, names) in [
            (provenance("abd", Some("1.0")), &["prompt"][..]),
            (provenance("abc", None), &["engine"]),
            (provenance("abc", Some("1.1")), &["engine"]),
            (provenance("abd", Some("1.1")), &["engine", "prompt"]),
        ] {
            assert_eq!(then.changed(&now), names);
            assert_eq!(now.changed(&then), names);
        }
    }
}
