use super::*;
use crate::evidence::TokenLogProbabilities;
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
