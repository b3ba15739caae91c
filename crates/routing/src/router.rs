//! Before any call: would the stronger tier's answer be worth its price for this text?
//!
//! The expected gain is learned from records in which two tiers answered: how likely the strong
//! one is right where the weak one is wrong, less the reverse. It is the student's view of text
//! and subject ([`crate::student`]) plus half of what the subject alone says.

use std::collections::BTreeMap;

use domain::{Label, Labels};

use crate::student::{Example, Student, StudentOptions, TrainError};

/// How far the subject's own mean gain is added to the student's view. Gains are faint, so the
/// student is held close to zero (see [`REGULARISATION`]) and undervalues the subject.
const SUBJECT_WEIGHT: f64 = 0.5;

/// So many records at the overall mean are added to each subject's.
const SUBJECT_SHRINKAGE: f64 = 20.0;

/// The student's inverse regularisation.
const REGULARISATION: f64 = 0.3;

/// A record in which both tiers answered.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// What was asked.
    pub text: &'a str,
    /// Its subject or task.
    pub subject: &'a str,
    /// Whether the weak tier was right.
    pub weak_right: bool,
    /// Whether the strong tier was right.
    pub strong_right: bool,
}

impl Comparison<'_> {
    /// 1 where only the strong tier is right, −1 where only the weak one is, else 0.
    #[must_use]
    pub fn gain(&self) -> i8 {
        i8::from(self.strong_right) - i8::from(self.weak_right)
    }
}

/// Says of a text how much the strong tier is likely to gain.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    student: Student,
    subjects: BTreeMap<String, f64>,
    mean: f64,
}

impl Router {
    /// A router learned from these records.
    ///
    /// # Errors
    /// When they are too few to learn from, or all have the same outcome.
    pub fn train(records: &[Comparison<'_>], seed: u64) -> Result<Self, TrainError> {
        let label = |name: &str| Label {
            name: name.to_owned(),
            definition: None,
        };
        let labels = Labels::new(["worse", "same", "better"].map(label).to_vec());
        let labels = labels.unwrap_or_else(|_| unreachable!("the three labels differ"));
        let texts: Vec<String> = records.iter().map(|r| marked(r.text, r.subject)).collect();
        let gains = records.iter().map(|record| (record.gain() + 1) as usize);
        let examples: Vec<Example<'_>> = texts
            .iter()
            .zip(gains)
            .map(|(text, label)| Example { text, label })
            .collect();
        let options = StudentOptions {
            inverse_regularisation: REGULARISATION,
            seed,
            ..StudentOptions::default()
        };
        let student = Student::train(&labels, &examples, &options)?;
        let mean = records.iter().map(|r| f64::from(r.gain())).sum::<f64>() / records.len() as f64;
        let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for record in records {
            let (sum, count) = sums.entry(record.subject.to_owned()).or_default();
            *sum += f64::from(record.gain());
            *count += 1.0;
        }
        let shrunk = |(sum, count)| (sum + SUBJECT_SHRINKAGE * mean) / (count + SUBJECT_SHRINKAGE);
        let subjects = sums
            .into_iter()
            .map(|(name, sums)| (name, shrunk(sums)))
            .collect();
        Ok(Self {
            student,
            subjects,
            mean,
        })
    }

    /// How much the strong tier is likely to gain: a higher number is a better reason to ask it.
    /// The scale is for ranking; it is no probability.
    #[must_use]
    pub fn gain(&self, text: &str, subject: &str) -> f64 {
        let probabilities = self.student.predict(&marked(text, subject));
        let [worse, _, better] = *probabilities.as_slice() else {
            unreachable!("the student knows three labels");
        };
        let subject = self.subjects.get(subject).copied().unwrap_or(self.mean);
        better - worse + SUBJECT_WEIGHT * subject
    }
}

/// The text with its subject as one more word, which no text is likely to have.
fn marked(text: &str, subject: &str) -> String {
    let subject: String = subject.chars().filter(|c| c.is_alphanumeric()).collect();
    format!("subject{subject} {text}")
}

/// How a router that sends the best part of the requests to the strong tier fares, by the
/// protocol of RouteLLM (Ong et al. 2024): quality at 0, 10 … 100 % of strong calls, straight
/// lines between.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterReport {
    /// (share of strong calls, accuracy), ascending; (11).
    pub points: Vec<(f64, f64)>,
}

impl RouterReport {
    /// The report on comparisons and the gain that was expected of each; at least one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn new(scored: &[(f64, Comparison<'_>)]) -> Self {
        assert!(!scored.is_empty(), "a report needs a record");
        let mut sorted: Vec<&(f64, Comparison<'_>)> = scored.iter().collect();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let n = sorted.len();
        let point = |tenths: usize| {
            let strong = n * tenths / 10;
            let sent = sorted[..strong]
                .iter()
                .filter(|(_, record)| record.strong_right)
                .count();
            let kept = sorted[strong..]
                .iter()
                .filter(|(_, record)| record.weak_right)
                .count();
            let right = sent + kept;
            (strong as f64 / n as f64, right as f64 / n as f64)
        };
        Self {
            points: (0..=10).map(point).collect(),
        }
    }

    /// Accuracy of the weak and of the strong tier alone.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        (self.points[0].1, self.points[self.points.len() - 1].1)
    }

    /// Average performance gap recovered: the area between router and weak tier in relation to
    /// that between strong and weak; chance gives 0.5. `None` where strong and weak are level.
    #[must_use]
    pub fn apgr(&self) -> Option<f64> {
        let (weak, strong) = self.ends();
        let area: f64 = self
            .points
            .windows(2)
            .map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0)
            .sum();
        (strong != weak).then(|| (area - weak) / (strong - weak))
    }

    /// The share of strong calls that first recovers this share of the gap; `None` if none does.
    #[must_use]
    pub fn calls_for(&self, recovered: f64) -> Option<f64> {
        let (weak, strong) = self.ends();
        let wanted = weak + recovered * (strong - weak);
        self.points.windows(2).find(|p| p[1].1 >= wanted).map(|p| {
            let rise = p[1].1 - p[0].1;
            let part = if rise > 0.0 {
                ((wanted - p[0].1) / rise).max(0.0)
            } else {
                0.0
            };
            p[0].0 + part * (p[1].0 - p[0].0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn comparison(text: &'static str, weak_right: bool, strong_right: bool) -> Comparison<'static> {
        Comparison {
            text,
            subject: "",
            weak_right,
            strong_right,
        }
    }

    #[test]
    fn a_router_that_knows_recovers_the_gap_at_once_and_chance_recovers_half() {
        let records: Vec<Comparison<'_>> = (0..1_000)
            .map(|i| comparison("", i % 10 != 0, true))
            .collect();
        let knowing: Vec<_> = records.iter().map(|r| (f64::from(r.gain()), *r)).collect();
        let report = RouterReport::new(&knowing);
        assert_eq!(report.ends(), (0.9, 1.0));
        assert!((report.apgr().unwrap() - 0.95).abs() < 1e-9);
        assert!((report.calls_for(0.5).unwrap() - 0.05).abs() < 1e-9);
        let mut random = Random::new(2);
        let blind: Vec<_> = records.iter().map(|r| (random.unit(), *r)).collect();
        assert!((RouterReport::new(&blind).apgr().unwrap() - 0.5).abs() < 0.1);
    }

    #[test]
    fn it_learns_which_words_and_subjects_need_the_strong_tier() {
        let mut random = Random::new(3);
        let mut records = Vec::new();
        for _ in 0..600 {
            let hard = random.below(2) == 0;
            let subject = ["law", "trivia"][random.below(2)];
            let text = if hard {
                "prove the lemma"
            } else {
                "name the capital"
            };
            let weak_right = !hard && subject == "trivia" || random.below(4) == 0;
            records.push(Comparison {
                text,
                subject,
                weak_right,
                strong_right: true,
            });
        }
        let router = Router::train(&records, 1).unwrap();
        let gain = |text, subject| router.gain(text, subject);
        assert!(gain("prove the lemma", "law") > gain("name the capital", "trivia") + 0.3);
        assert!(gain("name the capital", "law") > gain("name the capital", "trivia"));
    }

    #[test]
    fn records_without_a_difference_teach_nothing() {
        assert!(Router::train(&[comparison("a b", true, true); 9], 1).is_err());
        assert!(Router::train(&[], 1).is_err());
    }
}
