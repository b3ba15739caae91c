//! Before a tier is asked: would its answer be passed on anyway?
//!
//! What is known then is the text and what the tiers before have said. A student of two outcomes
//! reads the text's hashed n-grams, and a small head sets that beside the label that an earlier
//! tier leans to (its subject) and how sure it is. Only what would nearly always be passed on is
//! skipped: an answer that is lost costs a call of the next tier, and can prove nothing wrong,
//! because what is kept is certified among what the router lets through.

use std::sync::LazyLock;

use domain::{Label, LabelProbabilities, Labels};

use crate::elementary::ln;
use crate::folds::Folds;
use crate::head::{Head, HeadError, Observation, RECORDS_MIN};
use crate::student::{Example, Student, StudentOptions, TrainError};
use crate::threshold::{ErrorTarget, Scored, fit};

/// Of what is skipped, at most this share may be such as would have been kept, by a careful
/// estimate on records that the router was not fitted on.
const LOST_MAX: f64 = 0.05;

/// How strongly the head's weights are held to zero.
const RIDGE: f64 = 1.0;

/// Folds by which it is judged, and the seeds of their cuts: one for the text, one for the head.
const FOLDS: usize = 5;
const SEEDS: [u64; 2] = [1, 2];

/// So many bytes of a text are read, which bounds the time that a decision takes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Probabilities are kept this far from 0 and 1, so that their log-odds stay within ±8.
const EDGE: f64 = 3.4e-4;

/// Log-odds are divided by this to be of the size of 1.
const SCALE: f64 = 4.0;

/// The outcomes' indices.
const PASSED_ON: usize = 0;
const KEPT: usize = 1;

/// What is known of a request before a tier is asked.
#[derive(Clone, Debug)]
pub struct Foreknown<'a> {
    /// What is asked.
    pub text: &'a str,
    /// What tiers asked before give each label, always the same ones in the same order.
    pub earlier: Vec<&'a LabelProbabilities>,
}

/// Says of a request whether a tier's answer to it would be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecallRouter {
    text: Student,
    head: Head,
    /// From this probability of being kept down a request is skipped.
    skips_to: f64,
}

/// Why there is no router, so that nothing is skipped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PrecallError {
    /// Fewer records than a head takes.
    #[error("{0} records are too few; 200 would do")]
    TooFew(usize),
    /// Nearly all records have one outcome.
    #[error("{kept} of {records} answers would be kept, and so there is no telling which")]
    OneSided {
        /// Answers that would be kept.
        kept: usize,
        /// All of them.
        records: usize,
    },
    /// No set of records is such that nearly all of it would be passed on.
    #[error("of {0} records no part can be told in advance of which 95 % would be passed on")]
    NothingSure(usize),
    /// The texts teach nothing.
    #[error(transparent)]
    Text(TrainError),
    /// What earlier tiers said is of different kinds.
    #[error(transparent)]
    Head(HeadError),
}

static OUTCOMES: LazyLock<Labels> = LazyLock::new(|| {
    let label = |name: &str| Label {
        name: name.to_owned(),
        definition: None,
    };
    let labels = Labels::new(["passed on", "kept"].map(label).to_vec());
    labels.unwrap_or_else(|_| unreachable!("the two differ"))
});

impl PrecallRouter {
    /// The router that these requests lead to, each with whether the tier's answer would be kept.
    ///
    /// # Errors
    /// When there are fewer than 200, or what would be passed on can't be told from the rest.
    pub fn fit(records: &[(Foreknown<'_>, bool)]) -> Result<Self, PrecallError> {
        let n = records.len();
        if n < RECORDS_MIN {
            return Err(PrecallError::TooFew(n));
        }
        let kept = records.iter().filter(|(_, kept)| *kept).count();
        // Each fold must show both outcomes.
        if kept.min(n - kept) < 2 * FOLDS {
            return Err(PrecallError::OneSided { kept, records: n });
        }
        let outcomes: Vec<usize> = records.iter().map(|(_, kept)| usize::from(*kept)).collect();
        let cut = |seed| {
            let folds = Folds::stratified(&outcomes, FOLDS, seed);
            folds.unwrap_or_else(|_| unreachable!("there are more records than folds"))
        };
        let mut read = vec![0.0; n];
        let folds = cut(SEEDS[0]);
        for fold in 0..folds.n_folds() {
            let student = taught(records, &folds.train(fold))?;
            for index in folds.test(fold) {
                read[index] = odds_read(&student, records[index].0.text);
            }
        }
        let observe = |((foreknown, kept), read): (&(Foreknown<'_>, bool), f64)| Observation {
            evidence: pieces(foreknown, read),
            correct: *kept,
        };
        let observed: Vec<Observation> = records.iter().zip(read).map(observe).collect();
        let skips_to = skips_to(&observed, &cut(SEEDS[1]))?;
        let all: Vec<usize> = (0..n).collect();
        Ok(Self {
            text: taught(records, &all)?,
            head: head(&observed)?,
            skips_to,
        })
    }

    /// The probability that the tier's answer would be kept, 0 to 1; 1 where something else is
    /// known of the request than of those that it was fitted on.
    #[must_use]
    pub fn probability(&self, foreknown: &Foreknown<'_>) -> f64 {
        let pieces = pieces(foreknown, odds_read(&self.text, foreknown.text));
        if pieces.len() + 1 == self.head.weights().len() {
            self.head.probability(&pieces)
        } else {
            1.0
        }
    }

    /// Whether a request is skipped whose answer would be kept with this probability.
    #[must_use]
    pub fn skips(&self, probability: f64) -> bool {
        probability <= self.skips_to
    }

    /// From which probability down requests are skipped.
    #[must_use]
    pub fn skips_to(&self) -> f64 {
        self.skips_to
    }

    /// What is to be kept of it: the text's student as bytes, and the head's weights.
    #[must_use]
    pub fn parts(&self) -> (Vec<u8>, &[f64]) {
        (self.text.to_bytes(), self.head.weights())
    }

    /// The router of these parts; `None` where they are none of a router.
    #[must_use]
    pub fn from_parts(text: &[u8], weights: Vec<f64>, skips_to: f64) -> Option<Self> {
        let text = Student::from_bytes(text).ok()?;
        let head = Head::from_weights(weights)?;
        let sound = text.labels() == &*OUTCOMES && (0.0..=1.0).contains(&skips_to);
        sound.then_some(Self {
            text,
            head,
            skips_to,
        })
    }
}

/// A student of the texts of these records, small enough to be signed with a certificate.
fn taught(records: &[(Foreknown<'_>, bool)], which: &[usize]) -> Result<Student, PrecallError> {
    let example = |&index: &usize| {
        let (foreknown, kept) = &records[index];
        Example {
            text: beginning(foreknown.text),
            label: if *kept { KEPT } else { PASSED_ON },
        }
    };
    let examples: Vec<Example<'_>> = which.iter().map(example).collect();
    let options = StudentOptions {
        // With fewer n-grams, or held nearer to zero, half as much could be told in advance.
        inverse_regularisation: 10.0,
        features_max: 8_192,
        ..StudentOptions::default()
    };
    Student::train(&OUTCOMES, &examples, &options).map_err(PrecallError::Text)
}

fn head(observed: &[Observation]) -> Result<Head, PrecallError> {
    // Only of what the text's student says it is known which way it speaks.
    Head::fit_rising(observed, RIDGE, &[true]).map_err(PrecallError::Head)
}

/// The largest probability up to which too few answers would be lost to matter, each record
/// being judged by a head that it was not fitted on.
fn skips_to(observed: &[Observation], folds: &Folds) -> Result<f64, PrecallError> {
    let mut scored = Vec::with_capacity(observed.len());
    for fold in 0..folds.n_folds() {
        let train: Vec<_> = folds
            .train(fold)
            .iter()
            .map(|&it| observed[it].clone())
            .collect();
        let head = head(&train)?;
        scored.extend(folds.test(fold).iter().map(|&it| Scored {
            confidence: -head.probability(&observed[it].evidence),
            correct: !observed[it].correct,
        }));
    }
    let target = ErrorTarget::new(LOST_MAX).unwrap_or_else(|_| unreachable!("it is a share"));
    let fitted = fit(&scored, target);
    let least = fitted.threshold.map(|least| -least);
    least.ok_or(PrecallError::NothingSure(observed.len()))
}

/// The beginning of a text, of whole characters.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn odds_read(student: &Student, text: &str) -> f64 {
    log_odds(student.predict(beginning(text)).as_slice()[KEPT])
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    ln(p / (1.0 - p)) / SCALE
}

/// What speaks for and against an answer that would be kept: what the text says, its length, and
/// of each earlier tier how sure it is and which label it leans to.
fn pieces(foreknown: &Foreknown<'_>, read: f64) -> Vec<f64> {
    let length = foreknown.text.len().max(1) as f64;
    let mut pieces = vec![read, ln(length) / SCALE];
    for earlier in &foreknown.earlier {
        let (leaning, top) = earlier.top();
        pieces.push(log_odds(top));
        let labels = 0..earlier.as_slice().len();
        pieces.extend(labels.map(|label| f64::from(u8::from(label == leaning))));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// A request for one of two matters, of which a tier's answer is hardly ever kept where it is
    /// about law, and nearly always else; and of which a student is sure or not.
    struct Case {
        text: String,
        student: LabelProbabilities,
        kept: bool,
    }

    fn cases(n: usize, seed: u64, kept_law: f64) -> Vec<Case> {
        let mut random = Random::new(seed);
        let mut case = || {
            let is_law = random.below(2) == 0;
            let words = if is_law {
                ["statute", "appeal", "clause"]
            } else {
                ["invoice", "receipt", "amount"]
            };
            let word = || words[random.below(3)];
            let mut word = word;
            let text = format!("{} number {} and {}", word(), word(), word());
            let sure = 2.0 * random.unit();
            Case {
                text,
                student: LabelProbabilities::from_logits(&[sure, 0.0, 0.0]),
                kept: random.unit() < if is_law { kept_law } else { 0.9 },
            }
        };
        (0..n).map(|_| case()).collect()
    }

    fn foreknown(case: &Case) -> Foreknown<'_> {
        Foreknown {
            text: &case.text,
            earlier: vec![&case.student],
        }
    }

    fn fitted_on(cases: &[Case]) -> Result<PrecallRouter, PrecallError> {
        let records = cases.iter().map(|case| (foreknown(case), case.kept));
        PrecallRouter::fit(&records.collect::<Vec<_>>())
    }

    #[test]
    fn what_is_hopeless_is_skipped_and_hardly_anything_is_lost() {
        let router = fitted_on(&cases(400, 1, 0.02)).unwrap();
        let unseen = cases(4_000, 2, 0.02);
        let skipped = unseen
            .iter()
            .filter(|case| router.skips(router.probability(&foreknown(case))));
        let skipped: Vec<_> = skipped.collect();
        let lost = skipped.iter().filter(|case| case.kept).count();
        // Half of them are about law.
        assert!(skipped.len() > 1_600, "{}", skipped.len());
        assert!(
            (lost as f64) < 0.08 * skipped.len() as f64,
            "{lost} of {}",
            skipped.len()
        );
    }

    #[test]
    fn an_earlier_tier_that_is_unsure_tells_what_words_do_not() {
        let mut all = cases(400, 3, 0.9);
        for case in &mut all {
            case.kept = case.student.top().1 > 0.5;
        }
        let router = fitted_on(&all).unwrap();
        let with = |sure: f64| {
            let student = LabelProbabilities::from_logits(&[sure, 0.0, 0.0]);
            router.probability(&Foreknown {
                text: &all[0].text,
                earlier: vec![&student],
            })
        };
        assert!(
            with(2.0) > 0.7 && with(0.0) < 0.3,
            "{} {}",
            with(2.0),
            with(0.0)
        );
    }

    #[test]
    fn where_it_cannot_be_told_nothing_is_skipped() {
        assert_eq!(
            fitted_on(&cases(199, 1, 0.0)),
            Err(PrecallError::TooFew(199))
        );
        let mut same = cases(300, 1, 0.0);
        same.iter_mut().for_each(|case| case.kept = true);
        let one_sided = PrecallError::OneSided {
            kept: 300,
            records: 300,
        };
        assert_eq!(fitted_on(&same), Err(one_sided));
        // Law is kept as often as the rest.
        assert_eq!(
            fitted_on(&cases(400, 1, 0.9)),
            Err(PrecallError::NothingSure(400))
        );
    }

    #[test]
    fn it_is_the_same_from_its_parts_and_skips_nothing_that_it_does_not_know() {
        let all = cases(300, 1, 0.02);
        let router = fitted_on(&all).unwrap();
        let (text, weights) = router.parts();
        let of = |text: &[u8], to| PrecallRouter::from_parts(text, weights.to_vec(), to);
        assert_eq!(of(&text, router.skips_to()).as_ref(), Some(&router));
        assert_eq!(of(&text[..90], 0.1), None);
        assert_eq!(of(&text, f64::NAN), None);
        let mut other = foreknown(&all[0]);
        other.earlier.clear();
        assert_eq!(router.probability(&other), 1.0);
        assert!(!router.skips(1.0));
    }

    #[test]
    fn of_a_long_text_the_beginning_is_read() {
        let router = fitted_on(&cases(300, 1, 0.02)).unwrap();
        let student = LabelProbabilities::from_logits(&[1.0, 0.0, 0.0]);
        let of = |text: &str| {
            let earlier = vec![&student];
            router.probability(&Foreknown { text, earlier })
        };
        let long = "é".repeat(1 << 20);
        assert_eq!(
            of(&format!("{long} statute")),
            of(&format!("{long} invoice"))
        );
    }
}
