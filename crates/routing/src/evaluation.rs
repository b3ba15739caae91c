//! How good answers are, from records whose right answer is known.

use domain::LabelProbabilities;

/// What a classifier made of one record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The right label's index.
    pub gold: usize,
    /// The answered label's index.
    pub answer: usize,
    /// How sure it was; a higher one is surer.
    pub confidence: f64,
}

impl Prediction {
    /// The prediction that these probabilities make.
    #[must_use]
    pub fn of(probabilities: &LabelProbabilities, gold: usize) -> Self {
        let (answer, confidence) = probabilities.top();
        Self {
            gold,
            answer,
            confidence,
        }
    }

    /// Whether the answer is right.
    #[must_use]
    pub fn correct(&self) -> bool {
        self.gold == self.answer
    }
}

/// A share with the numbers it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Records that count.
    pub hits: usize,
    /// Records in all.
    pub of: usize,
}

impl Share {
    /// `hits / of`; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }

    /// Wilson's 95 % interval (Wilson 1927), 0 to 1; the whole range of nothing.
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let share = self.value();
        share.map_or((0.0, 1.0), |share| wilson(share, self.of as f64))
    }
}

/// A share of records that don't count equally, such as each as often as it was improbable to
/// become known (Hájek's ratio).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WeighedShare {
    hits: f64,
    of: f64,
    squares: f64,
}

impl WeighedShare {
    /// The share of these records, each with its weight, above 0, and whether it counts.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut share = Self::default();
        for (weight, is_hit) in records {
            share.hits += if is_hit { weight } else { 0.0 };
            share.of += weight;
            share.squares += weight * weight;
        }
        share
    }

    /// What counts, of all; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.of > 0.0).then(|| self.hits / self.of)
    }

    /// Wilson's 95 % interval for the number of equal records that would say as much (Kish's
    /// effective sample size); the whole range of nothing.
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let share = self.value();
        share.map_or((0.0, 1.0), |share| {
            wilson(share, self.of * self.of / self.squares)
        })
    }
}

/// The 95 % interval of a share of so many records (Wilson 1927), 0 to 1.
fn wilson(share: f64, n: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// How one label fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassReport {
    /// Of the answers with this label, those that are right.
    pub precision: Share,
    /// Of the records with this label, those that were answered with it. `of` is the support.
    pub recall: Share,
}

impl ClassReport {
    /// The harmonic mean of precision and recall; `None` where the label occurs nowhere.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        let both = self.precision.of + self.recall.of;
        (both > 0).then(|| 2.0 * self.recall.hits as f64 / both as f64)
    }
}

/// How the surest part of the records fared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptReport {
    /// The share that was asked for, 0 to 1.
    pub share: f64,
    /// The lowest confidence that is kept.
    pub threshold: f64,
    /// Of the kept records, those answered right. More than the share may be kept, as records of
    /// equal confidence stay together.
    pub accuracy: Share,
}

/// How a classifier fared on records.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Of all records, those answered right.
    pub accuracy: Share,
    /// For each label; (n_labels).
    pub classes: Vec<ClassReport>,
    /// How often gold label (row) was answered as label (column); (n_labels, n_labels).
    pub confusion: Vec<Vec<usize>>,
    /// Accuracy of the surest 10 %, 20 % … 100 %; empty without records.
    pub by_share: Vec<KeptReport>,
    /// Expected calibration error over 15 bins of equal width, for confidences that are
    /// probabilities (Naeini et al. 2015; Guo et al. 2017); 0 without records.
    pub calibration_error: f64,
}

impl Report {
    /// The report on predictions over `n_labels` labels.
    ///
    /// # Panics
    /// When a prediction names a label of `n_labels` or above.
    #[must_use]
    pub fn new(predictions: &[Prediction], n_labels: usize) -> Self {
        let mut confusion = vec![vec![0_usize; n_labels]; n_labels];
        for prediction in predictions {
            confusion[prediction.gold][prediction.answer] += 1;
        }
        let class = |label: usize| {
            let hits = confusion[label][label];
            let answered = confusion.iter().map(|row| row[label]).sum();
            ClassReport {
                precision: Share { hits, of: answered },
                recall: Share {
                    hits,
                    of: confusion[label].iter().sum(),
                },
            }
        };
        let classes: Vec<ClassReport> = (0..n_labels).map(class).collect();
        let hits = classes.iter().map(|class| class.recall.hits).sum();
        Self {
            accuracy: Share {
                hits,
                of: predictions.len(),
            },
            classes,
            confusion,
            by_share: by_share(predictions),
            calibration_error: calibration_error(predictions),
        }
    }

    /// Of the records with one of these labels, those that were answered with one of them: the
    /// recall of a flag, where confusing two flagged labels still brings the record to a person.
    #[must_use]
    pub fn recall_of_any(&self, labels: &[usize]) -> Share {
        let mut share = Share::default();
        for &gold in labels {
            share.of += self.confusion[gold].iter().sum::<usize>();
            share.hits += labels
                .iter()
                .map(|&answer| self.confusion[gold][answer])
                .sum::<usize>();
        }
        share
    }

    /// The unweighted mean F1 of the labels that occur; 0 where none does.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let scores: Vec<f64> = self.classes.iter().filter_map(ClassReport::f1).collect();
        if scores.is_empty() {
            0.0
        } else {
            scores.iter().sum::<f64>() / scores.len() as f64
        }
    }
}

fn by_share(predictions: &[Prediction]) -> Vec<KeptReport> {
    let mut sorted: Vec<&Prediction> = predictions.iter().collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut reports = Vec::new();
    if sorted.is_empty() {
        return reports;
    }
    let (mut kept, mut hits) = (0, 0);
    for tenths in 1..=10 {
        let wanted = (sorted.len() * tenths).div_ceil(10);
        while kept < sorted.len()
            && (kept < wanted || sorted[kept].confidence == sorted[kept - 1].confidence)
        {
            hits += usize::from(sorted[kept].correct());
            kept += 1;
        }
        reports.push(KeptReport {
            share: tenths as f64 / 10.0,
            threshold: sorted[kept - 1].confidence,
            accuracy: Share { hits, of: kept },
        });
    }
    reports
}

fn calibration_error(predictions: &[Prediction]) -> f64 {
    const BINS: usize = 15;
    let mut bins = [(0.0_f64, 0.0_f64); BINS];
    for prediction in predictions {
        let confidence = prediction.confidence.clamp(0.0, 1.0);
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += confidence;
        bins[bin].1 += f64::from(u8::from(prediction.correct()));
    }
    let gap: f64 = bins
        .iter()
        .map(|(confidence, right)| (confidence - right).abs())
        .sum();
    gap / predictions.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prediction(gold: usize, answer: usize, confidence: f64) -> Prediction {
        Prediction {
            gold,
            answer,
            confidence,
        }
    }

    #[test]
    fn a_small_case_by_hand() {
        let predictions = [
            prediction(0, 0, 0.9),
            prediction(0, 1, 0.6),
            prediction(1, 1, 0.8),
            prediction(2, 1, 0.5),
        ];
        let report = Report::new(&predictions, 3);
        assert_eq!(report.accuracy, Share { hits: 2, of: 4 });
        assert_eq!(report.classes[0].precision, Share { hits: 1, of: 1 });
        assert_eq!(report.classes[0].recall, Share { hits: 1, of: 2 });
        assert_eq!(report.classes[1].precision, Share { hits: 1, of: 3 });
        assert_eq!(report.classes[2].precision.value(), None);
        assert_eq!(report.classes[2].f1(), Some(0.0));
        assert_eq!(report.confusion, [[1, 1, 0], [0, 1, 0], [0, 1, 0]]);
        assert_eq!(report.by_share[4].accuracy, Share { hits: 2, of: 2 });
        assert_eq!(report.by_share[9].accuracy, Share { hits: 2, of: 4 });
        // Label 2 was answered 1 and label 0 was answered 1 once.
        assert_eq!(report.recall_of_any(&[1, 2]), Share { hits: 2, of: 2 });
        let gap = (0.1 + 0.6 + 0.2 + 0.5) / 4.0;
        assert!((report.calibration_error - gap).abs() < 1e-12);
    }

    #[test]
    fn nothing_gives_an_empty_report() {
        let report = Report::new(&[], 2);
        assert_eq!(
            (report.accuracy.value(), report.calibration_error),
            (None, 0.0)
        );
        assert_eq!((report.by_share.len(), report.macro_f1()), (0, 0.0));
        assert_eq!(report.accuracy.interval(), (0.0, 1.0));
    }

    #[test]
    fn wilson_is_the_published_value() {
        // Newcombe 1998, table I: 81 of 263 has the interval 0.2553 to 0.3662.
        let (low, high) = Share { hits: 81, of: 263 }.interval();
        assert!(
            (low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5,
            "{low} {high}"
        );
    }

    proptest! {
        #[test]
        fn shares_grow_and_equals_stay_together(
            raw in proptest::collection::vec((0_usize..3, 0_usize..3, 0_u8..6), 1..120)
        ) {
            let predictions: Vec<Prediction> = raw
                .into_iter()
                .map(|(gold, answer, c)| prediction(gold, answer, f64::from(c) / 5.0))
                .collect();
            let report = Report::new(&predictions, 3);
            for kept in &report.by_share {
                let inside = predictions.iter().filter(|p| p.confidence >= kept.threshold);
                prop_assert_eq!(kept.accuracy.of, inside.clone().count());
                prop_assert_eq!(kept.accuracy.hits, inside.filter(|p| p.correct()).count());
                prop_assert!(kept.accuracy.of as f64 >= kept.share * predictions.len() as f64 - 1e-9);
            }
            prop_assert_eq!(report.by_share[9].accuracy, report.accuracy);
            let (low, high) = report.accuracy.interval();
            let value = report.accuracy.value().unwrap();
            prop_assert!(low <= value + 1e-12 && value <= high + 1e-12);
        }
    }
}
