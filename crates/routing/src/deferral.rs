//! How likely a tier's answer is right, from everything that is known of it.
//!
//! One raw confidence leaves out what the other tiers said, whether a value stands in its source,
//! and that a model is sure of some labels without cause. A [`Head`] over all of it ranks answers
//! better, where it does: it is only taken if it ranks answers better that it was not fitted on.

use domain::LabelProbabilities;

use crate::checks::Checks;
use crate::elementary::ln;
use crate::evidence::{Evidence, TokenLogProbabilities};
use crate::folds::Folds;
use crate::head::{Head, HeadError, Observation, RECORDS_MIN};

/// How strongly the weights are held to zero.
const RIDGE: f64 = 1.0;

/// Folds by which it is judged, and the seed of their cut.
const FOLDS: usize = 5;
const SEED: u64 = 1;

/// Probabilities are kept this far from 0 and 1, so that their log-odds stay within ±8.
const EDGE: f64 = 3.4e-4;

/// Log-odds and log-probabilities are divided by this to be of the size of 1.
const SCALE: f64 = 4.0;

/// The shares of a text's tokens below whose log-probability something is said.
const QUANTILES: [f64; 4] = [0.0, 0.1, 0.25, 0.5];

/// Everything that one answer brings.
#[derive(Clone, Debug)]
pub struct Brought<'a> {
    /// What its own tier computed.
    pub evidence: &'a Evidence,
    /// What tiers asked before it give each label, always the same ones in the same order;
    /// `None` of one that gave no answer.
    pub earlier: Vec<Option<&'a LabelProbabilities>>,
    /// Of a free text.
    pub checks: Checks,
}

/// The score of one tier's answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferral {
    head: Head,
    /// The mean log-probability of each label, which a model gives it whatever the text is;
    /// (n_labels), empty for free text.
    prior: Vec<f64>,
}

/// One piece of evidence, and whether more of it can only speak for the answer.
struct Piece {
    value: f64,
    rises: bool,
}

impl Deferral {
    /// The score that these answers lead to, each with whether it was right; `None` where it
    /// ranks answers that it was not fitted on no better than their raw confidence does.
    ///
    /// # Errors
    /// When there are fewer than 200 answers, or they bring different kinds of evidence.
    pub fn fit(records: &[(Brought<'_>, bool)]) -> Result<Option<Self>, HeadError> {
        if records.len() < RECORDS_MIN {
            return Err(HeadError::TooFew(records.len()));
        }
        let all: Vec<usize> = (0..records.len()).collect();
        let Ok(folds) = Folds::new(records.len(), FOLDS, SEED) else {
            return Err(HeadError::TooFew(records.len()));
        };
        let mut scores = vec![0.0; records.len()];
        for fold in 0..folds.n_folds() {
            let fitted = Self::fit_on(records, &folds.train(fold))?;
            for index in folds.test(fold) {
                scores[index] = fitted.probability(&records[index].0);
            }
        }
        let raw = records
            .iter()
            .map(|(brought, _)| brought.evidence.confidence());
        let right: Vec<bool> = records.iter().map(|(_, right)| *right).collect();
        let raw = ranking(&raw.collect::<Vec<_>>(), &right);
        if ranking(&scores, &right) <= raw {
            return Ok(None);
        }
        Self::fit_on(records, &all).map(Some)
    }

    fn fit_on(records: &[(Brought<'_>, bool)], which: &[usize]) -> Result<Self, HeadError> {
        let prior = prior(which.iter().map(|&index| records[index].0.evidence));
        let mut rising = Vec::new();
        let mut observation = |&index: &usize| {
            let (brought, correct) = &records[index];
            let pieces = pieces(brought, &prior);
            rising = pieces.iter().map(|piece| piece.rises).collect();
            Observation {
                evidence: pieces.iter().map(|piece| piece.value).collect(),
                correct: *correct,
            }
        };
        let observations: Vec<Observation> = which.iter().map(&mut observation).collect();
        // Folds of 200 records are a little smaller.
        let head = Head::fit_rising(&observations, RIDGE, &rising)?;
        Ok(Self { head, prior })
    }

    /// The probability that the answer is right, 0 to 1; 0 where it brings another kind of
    /// evidence than those that it was fitted on.
    #[must_use]
    pub fn probability(&self, brought: &Brought<'_>) -> f64 {
        let n_labels = match brought.evidence {
            Evidence::Labels(own) => own.as_slice().len(),
            Evidence::Tokens(_) => 0,
        };
        let alike =
            |it: &Option<&LabelProbabilities>| it.is_none_or(|it| it.as_slice().len() == n_labels);
        if n_labels != self.prior.len() || !brought.earlier.iter().all(alike) {
            return 0.0;
        }
        let pieces = pieces(brought, &self.prior);
        if pieces.len() + 1 != self.head.weights().len() {
            return 0.0;
        }
        let evidence: Vec<f64> = pieces.iter().map(|piece| piece.value).collect();
        self.head.probability(&evidence)
    }

    /// What is to be kept of it: the head's weights, and the labels' prior.
    #[must_use]
    pub fn parts(&self) -> (&[f64], &[f64]) {
        (self.head.weights(), &self.prior)
    }

    /// The score of these parts; `None` where they hold no finite numbers, or no weight.
    #[must_use]
    pub fn from_parts(weights: Vec<f64>, prior: Vec<f64>) -> Option<Self> {
        let sound = prior.iter().all(|x| x.is_finite());
        let head = Head::from_weights(weights)?;
        sound.then_some(Self { head, prior })
    }
}

/// The mean of the logarithms of each label's probability.
fn prior<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> Vec<f64> {
    let (mut sums, mut count) = (Vec::new(), 0.0);
    for evidence in evidence {
        let Evidence::Labels(own) = evidence else {
            return Vec::new();
        };
        sums.resize(own.as_slice().len(), 0.0);
        count += 1.0;
        for (sum, p) in sums.iter_mut().zip(own.as_slice()) {
            *sum += ln(p.max(EDGE));
        }
    }
    sums.iter().map(|sum| sum / count).collect()
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(EDGE, 1.0 - EDGE);
    ln(p / (1.0 - p)) / SCALE
}

fn pieces(brought: &Brought<'_>, prior: &[f64]) -> Vec<Piece> {
    match brought.evidence {
        Evidence::Labels(own) => of_labels(own, &brought.earlier, prior),
        Evidence::Tokens(tokens) => of_tokens(tokens, &brought.checks),
    }
}

fn rising(value: f64) -> Piece {
    Piece { value, rises: true }
}

fn of_labels(
    own: &LabelProbabilities,
    earlier: &[Option<&LabelProbabilities>],
    prior: &[f64],
) -> Vec<Piece> {
    let (answer, top) = own.top();
    let p = own.as_slice();
    let others = p.iter().enumerate().filter(|(label, _)| *label != answer);
    let second = others.fold(0.0_f64, |second, (_, &p)| second.max(p));
    let entropy: f64 = -p
        .iter()
        .map(|&p| if p > 0.0 { p * ln(p) } else { 0.0 })
        .sum::<f64>();
    let margin = ln((top.max(EDGE) / second.max(EDGE)).max(1.0)) / SCALE;
    let logits = p
        .iter()
        .zip(prior)
        .map(|(p, prior)| ln(p.max(EDGE)) - prior);
    let corrected = LabelProbabilities::from_logits(&logits.collect::<Vec<_>>());
    let mut pieces = vec![
        rising(log_odds(top)),
        rising(margin),
        rising(1.0 - entropy / ln(p.len().max(2) as f64)),
        rising(log_odds(corrected.as_slice()[answer])),
    ];
    for heard in earlier {
        // Of one that gave no answer nothing is said either way.
        let (agrees, odds) = heard.map_or((0.5, 0.0), |heard| {
            let agrees = f64::from(u8::from(heard.top().0 == answer));
            (agrees, log_odds(heard.as_slice()[answer]))
        });
        pieces.extend([rising(agrees), rising(odds)]);
    }
    // Some labels are answered rightly more often than their probability says.
    pieces.extend((0..p.len()).map(|label| Piece {
        value: f64::from(u8::from(label == answer)),
        rises: false,
    }));
    pieces
}

fn of_tokens(tokens: &TokenLogProbabilities, checks: &Checks) -> Vec<Piece> {
    let scaled = |log: f64| log.max(-8.0) / SCALE;
    let mut pieces = vec![rising(scaled(tokens.mean()))];
    pieces.extend(QUANTILES.map(|at| rising(scaled(tokens.quantile(at)))));
    let sums = match (checks.sums_right, checks.sums_wrong) {
        (0, 0) => 0.0,
        (_, 0) => 1.0,
        _ => -1.0,
    };
    pieces.extend([
        rising(checks.grounded_share()),
        rising(sums),
        rising(tokens.self_check().map_or(0.0, log_odds)),
        Piece {
            value: ln(tokens.len() as f64) / SCALE,
            rises: false,
        },
        Piece {
            value: f64::from(u8::from(checks.values > 0)),
            rises: false,
        },
    ]);
    pieces
}

/// The probability that a right answer has a higher score than a wrong one, equals counting half
/// (Mann & Whitney 1947); a half where all are right or all are wrong.
fn ranking(scores: &[f64], right: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut wrong_below, mut wins, mut n_right) = (0.0, 0.0, 0.0);
    for equals in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let rights = equals.iter().filter(|&&index| right[index]).count() as f64;
        let wrongs = equals.len() as f64 - rights;
        wins += rights * (wrong_below + 0.5 * wrongs);
        wrong_below += wrongs;
        n_right += rights;
    }
    let pairs = n_right * wrong_below;
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    /// An answer of a model that is sure of label 1 whatever is asked, with what a student gives
    /// each label.
    struct Case {
        own: Evidence,
        student: LabelProbabilities,
        right: bool,
    }

    /// Where the two agree they are right nine times in ten, elsewhere hardly ever.
    fn cases(n: usize, seed: u64) -> Vec<Case> {
        let mut random = Random::new(seed);
        let mut logits = || {
            [
                2.0 * random.unit(),
                1.5 + 2.0 * random.unit(),
                2.0 * random.unit(),
            ]
        };
        let pairs: Vec<_> = (0..n).map(|_| (logits(), logits())).collect();
        let case = |(own, student): ([f64; 3], [f64; 3])| {
            let own = LabelProbabilities::from_logits(&own);
            let student = LabelProbabilities::from_logits(&student);
            let chance = if own.top().0 == student.top().0 {
                0.9
            } else {
                0.2
            };
            let right = random.unit() < chance;
            let own = Evidence::Labels(own);
            Case {
                own,
                student,
                right,
            }
        };
        pairs.into_iter().map(case).collect()
    }

    fn brought(case: &Case) -> Brought<'_> {
        Brought {
            evidence: &case.own,
            earlier: vec![Some(&case.student)],
            checks: Checks::default(),
        }
    }

    fn fitted_on(cases: &[Case]) -> Result<Option<Deferral>, HeadError> {
        let records: Vec<_> = cases
            .iter()
            .map(|case| (brought(case), case.right))
            .collect();
        Deferral::fit(&records)
    }

    #[test]
    fn agreement_ranks_better_than_the_models_own_confidence() {
        let head = fitted_on(&cases(400, 1)).unwrap().unwrap();
        let unseen = cases(2_000, 2);
        let right: Vec<bool> = unseen.iter().map(|case| case.right).collect();
        let by = |score: &dyn Fn(&Case) -> f64| {
            ranking(&unseen.iter().map(score).collect::<Vec<_>>(), &right)
        };
        let (head, raw) = (
            by(&|it| head.probability(&brought(it))),
            by(&|it| it.own.confidence()),
        );
        assert!(head > 0.7 && raw < 0.65, "{head} {raw}");
    }

    #[test]
    fn too_few_records_are_refused_and_useless_evidence_is_no_head() {
        assert_eq!(fitted_on(&cases(199, 1)), Err(HeadError::TooFew(199)));
        assert!(fitted_on(&cases(200, 1)).is_ok());
        // Where the raw confidence ranks without a fault nothing can be better.
        let mut perfect = cases(400, 3);
        for case in &mut perfect {
            case.right = case.own.confidence() > 0.7;
        }
        assert_eq!(fitted_on(&perfect), Ok(None));
        let mut all_right = cases(400, 3);
        all_right.iter_mut().for_each(|case| case.right = true);
        assert_eq!(fitted_on(&all_right), Ok(None));
    }

    #[test]
    fn another_kind_of_evidence_is_never_kept() {
        let all = cases(400, 1);
        let head = fitted_on(&all).unwrap().unwrap();
        let mut other = brought(&all[0]);
        other.earlier.clear();
        assert_eq!(head.probability(&other), 0.0);
        let two = Evidence::Labels(LabelProbabilities::from_logits(&[0.0, 1.0]));
        other.evidence = &two;
        assert_eq!(head.probability(&other), 0.0);
        let (weights, prior) = head.parts();
        let read = Deferral::from_parts(weights.to_vec(), prior.to_vec());
        assert_eq!(read.as_ref(), Some(&head));
        assert_eq!(Deferral::from_parts(vec![f64::NAN], vec![]), None);
    }

    #[test]
    fn in_free_text_a_value_without_a_source_speaks_against_the_answer() {
        let mut random = Random::new(5);
        let answers: Vec<(Evidence, Checks, bool)> = (0..400)
            .map(|_| {
                let logs: Vec<f64> = (0..5).map(|_| -0.2 * random.unit()).collect();
                let grounded = random.below(3);
                let right = random.unit() < 0.1 + 0.4 * grounded as f64;
                let tokens = TokenLogProbabilities::new(&logs).unwrap();
                let checks = Checks {
                    values: 2,
                    grounded,
                    ..Checks::default()
                };
                (Evidence::Tokens(tokens), checks, right)
            })
            .collect();
        let brought = |at: usize, checks| Brought {
            evidence: &answers[at].0,
            earlier: Vec::new(),
            checks,
        };
        let records = (0..400).map(|at| (brought(at, answers[at].1), answers[at].2));
        let head = Deferral::fit(&records.collect::<Vec<_>>())
            .unwrap()
            .unwrap();
        let with = |grounded| Checks {
            values: 2,
            grounded,
            ..Checks::default()
        };
        assert!(head.probability(&brought(0, with(2))) > 0.7);
        assert!(head.probability(&brought(0, with(0))) < 0.3);
    }

    #[test]
    fn a_self_check_counts_where_it_tells_something() {
        let mut random = Random::new(6);
        let answers: Vec<(Evidence, bool)> = (0..400)
            .map(|_| {
                let tokens = TokenLogProbabilities::new(&[-0.2 * random.unit()]).unwrap();
                let right = random.below(2) == 0;
                let checked = 0.3 * random.unit() + if right { 0.5 } else { 0.2 };
                (
                    Evidence::Tokens(tokens.with_self_check(Some(checked))),
                    right,
                )
            })
            .collect();
        fn brought(evidence: &Evidence) -> Brought<'_> {
            Brought {
                evidence,
                earlier: Vec::new(),
                checks: Checks::default(),
            }
        }
        let records = answers
            .iter()
            .map(|(evidence, right)| (brought(evidence), *right));
        let head = Deferral::fit(&records.collect::<Vec<_>>())
            .unwrap()
            .unwrap();
        let tokens = TokenLogProbabilities::new(&[-0.1]).unwrap();
        let with = |checked| {
            let evidence = Evidence::Tokens(tokens.clone().with_self_check(Some(checked)));
            head.probability(&brought(&evidence))
        };
        assert!(
            with(0.8) > 0.8 && with(0.2) < 0.2,
            "{} {}",
            with(0.8),
            with(0.2)
        );
    }

    proptest! {
        #[test]
        fn more_agreement_never_makes_an_answer_less_likely(
            seed: u64, more in 0.0_f64..4.0, at in 0_usize..300,
        ) {
            let all = cases(300, seed);
            if let Some(head) = fitted_on(&all).unwrap() {
                let Evidence::Labels(own) = &all[at].own else { unreachable!() };
                let answer = own.top().0;
                let logs = all[at].student.as_slice().iter().map(|p| p.ln());
                let mut logs: Vec<f64> = logs.collect();
                logs[answer] += more;
                let surer = LabelProbabilities::from_logits(&logs);
                let mut brought = brought(&all[at]);
                let before = head.probability(&brought);
                brought.earlier = vec![Some(&surer)];
                prop_assert!(head.probability(&brought) >= before - 1e-12);
                prop_assert!((0.0..=1.0).contains(&before));
            }
        }
    }
}
