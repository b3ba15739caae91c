//! Sets of places in a job's input.

use std::ops::RangeInclusive;

/// A set of ordinals, held as runs: documents are finished nearly in order, so that even a job of
/// many millions takes few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordinals {
    runs: Vec<RangeInclusive<u64>>,
}

impl Ordinals {
    /// Adds an ordinal that is above all others in the set.
    pub(crate) fn push(&mut self, ordinal: u64) {
        match self.runs.last_mut() {
            Some(run) if run.end().checked_add(1) == Some(ordinal) => {
                *run = *run.start()..=ordinal;
            }
            _ => self.runs.push(ordinal..=ordinal),
        }
    }

    /// Whether the ordinal is in the set.
    #[must_use]
    pub fn contains(&self, ordinal: u64) -> bool {
        let after = self.runs.partition_point(|run| *run.start() <= ordinal);
        after > 0 && self.runs[after - 1].contains(&ordinal)
    }

    /// How many ordinals there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.runs
            .iter()
            .map(|run| run.end() - run.start() + 1)
            .sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The ordinals, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().flat_map(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_the_set_that_was_pushed(set in proptest::collection::btree_set(0_u64..60, 0..50)) {
            let mut ordinals = Ordinals::default();
            for &ordinal in &set {
                ordinals.push(ordinal);
            }
            prop_assert_eq!(ordinals.iter().collect::<BTreeSet<_>>(), set.clone());
            prop_assert_eq!(ordinals.len(), set.len() as u64);
            prop_assert_eq!(ordinals.is_empty(), set.is_empty());
            for ordinal in 0..62 {
                prop_assert_eq!(ordinals.contains(ordinal), set.contains(&ordinal));
            }
        }
    }
}
