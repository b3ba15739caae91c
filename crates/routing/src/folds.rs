//! Keeping training and testing apart: seeded folds, and predictions out of fold.

use domain::{LabelProbabilities, Labels};

use crate::random::Random;
use crate::student::{Example, Student, StudentOptions, TrainError};

/// A fold for each record: every record is tested in exactly one fold and trained on in the
/// others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// The fold of each record; (n_records).
    assigned: Vec<usize>,
    n_folds: usize,
}

/// Why records can't be cut into folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{records} record(s) can't be cut into {folds} folds; take 2 folds or more and at least one record for each"
)]
pub struct FoldsError {
    records: usize,
    folds: usize,
}

impl Folds {
    /// Folds of equal size (to one record) by chance.
    ///
    /// # Errors
    /// When there are fewer than 2 folds or fewer records than folds.
    pub fn new(n_records: usize, n_folds: usize, seed: u64) -> Result<Self, FoldsError> {
        Self::stratified(&vec![0; n_records], n_folds, seed)
    }

    /// Folds by chance in which each class is spread evenly; `classes` has one for each record.
    ///
    /// # Errors
    /// When there are fewer than 2 folds or fewer records than folds.
    pub fn stratified(classes: &[usize], n_folds: usize, seed: u64) -> Result<Self, FoldsError> {
        if n_folds < 2 || classes.len() < n_folds {
            return Err(FoldsError {
                records: classes.len(),
                folds: n_folds,
            });
        }
        let mut order: Vec<usize> = (0..classes.len()).collect();
        Random::new(seed).shuffle(&mut order);
        // Stable, so chance decides within a class; dealing the classes one after the other like
        // cards keeps all folds of one size.
        order.sort_by_key(|&record| classes[record]);
        let mut assigned = vec![0; classes.len()];
        for (position, record) in order.into_iter().enumerate() {
            assigned[record] = position % n_folds;
        }
        Ok(Self { assigned, n_folds })
    }

    /// How many folds there are; at least 2.
    #[must_use]
    pub fn n_folds(&self) -> usize {
        self.n_folds
    }

    /// The records that are tested in this fold, ascending.
    #[must_use]
    pub fn test(&self, fold: usize) -> Vec<usize> {
        (0..self.assigned.len())
            .filter(|&record| self.assigned[record] == fold)
            .collect()
    }

    /// The records that are trained on for this fold, ascending.
    #[must_use]
    pub fn train(&self, fold: usize) -> Vec<usize> {
        (0..self.assigned.len())
            .filter(|&record| self.assigned[record] != fold)
            .collect()
    }
}

/// For each example the probabilities by a student that never saw it.
///
/// # Errors
/// When a fold's training examples are too few to train on.
///
/// # Panics
/// When `folds` was made for another number of records.
pub fn out_of_fold(
    labels: &Labels,
    examples: &[Example<'_>],
    options: &StudentOptions,
    folds: &Folds,
) -> Result<Vec<LabelProbabilities>, TrainError> {
    assert_eq!(
        folds.assigned.len(),
        examples.len(),
        "folds are of other records"
    );
    let mut predictions = vec![None; examples.len()];
    for fold in 0..folds.n_folds() {
        let seen: Vec<Example<'_>> = folds.train(fold).into_iter().map(|i| examples[i]).collect();
        let student = Student::train(labels, &seen, options)?;
        for record in folds.test(fold) {
            predictions[record] = Some(student.predict(examples[record].text));
        }
    }
    // Every record is in exactly one fold, so none is missing.
    Ok(predictions.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_few_records_or_folds_are_refused() {
        assert!(Folds::new(10, 1, 1).is_err());
        assert!(Folds::new(2, 3, 1).is_err());
    }

    proptest! {
        #[test]
        fn every_record_is_tested_once_and_never_beside_itself(
            n in 5_usize..200, k in 2_usize..6, seed: u64,
        ) {
            let folds = Folds::new(n, k, seed).unwrap();
            let mut tested = vec![0; n];
            for fold in 0..k {
                let (test, train) = (folds.test(fold), folds.train(fold));
                prop_assert_eq!(test.len() + train.len(), n);
                prop_assert!(test.iter().all(|record| !train.contains(record)));
                prop_assert!(test.len() >= n / k && test.len() <= n / k + 1);
                test.into_iter().for_each(|record| tested[record] += 1);
            }
            prop_assert!(tested.iter().all(|&times| times == 1));
        }

        #[test]
        fn a_class_is_spread_evenly(n in 20_usize..200, rare in 4_usize..20, seed: u64) {
            let classes: Vec<usize> = (0..n).map(|i| usize::from(i < rare)).collect();
            let folds = Folds::stratified(&classes, 4, seed).unwrap();
            for fold in 0..4 {
                let here = folds.test(fold).iter().filter(|&&record| record < rare).count();
                prop_assert!(here >= rare / 4 && here <= rare / 4 + 1);
            }
        }
    }
}
