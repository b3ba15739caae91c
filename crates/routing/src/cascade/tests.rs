use super::*;
use domain::Zone;
use proptest::prelude::*;

fn rung(kind: TierKind, rule: Rule) -> Rung {
    let tier = TierName::new(&format!("the-{}", kind.as_str())).unwrap();
    Rung { tier, kind, rule }
}

fn answered(confidence: f64) -> Outcome {
    Outcome::Answered {
        label: Some(1),
        confidence: Some(confidence),
    }
}

fn failed(retryable: bool) -> Outcome {
    Outcome::Failed {
        reason: "connection refused".into(),
        retryable,
    }
}

fn usual(sensitivity: Sensitivity) -> Cascade {
    let rungs = vec![
        rung(TierKind::Student, Rule::Threshold(0.9)),
        rung(TierKind::Local, Rule::Threshold(0.8)),
        rung(TierKind::Frontier, Rule::Always),
    ];
    Cascade::new(rungs, sensitivity)
}

fn check(cascade: &Cascade, outcomes: &[Outcome], step: Step) {
    assert_eq!(
        replay(cascade, outcomes).unwrap().step,
        step,
        "{outcomes:?}"
    );
}

#[test]
fn a_sure_answer_ends_it_and_an_unsure_one_escalates() {
    let cascade = usual(Sensitivity::Internal);
    check(&cascade, &[], Step::Ask { rung: 0 });
    check(&cascade, &[answered(0.9)], Step::Accept { rung: 0 });
    check(&cascade, &[answered(0.89)], Step::Ask { rung: 1 });
    check(
        &cascade,
        &[answered(0.1), answered(0.1)],
        Step::Ask { rung: 2 },
    );
    check(
        &cascade,
        &[answered(0.1), answered(0.1), answered(0.0)],
        Step::Accept { rung: 2 },
    );
}

#[test]
fn escalation_and_fallback_are_counted_apart() {
    let cascade = usual(Sensitivity::Public);
    let decision = replay(&cascade, &[answered(0.2), failed(true), answered(0.5)]).unwrap();
    assert_eq!((decision.escalations(), decision.fallbacks()), (1, 1));
    assert_eq!(decision.accepted().unwrap().tier.as_str(), "the-frontier");
    assert!(decision.is_final());
}

#[test]
fn a_confidential_text_is_reviewed_where_the_frontier_would_be_asked() {
    let cascade = usual(Sensitivity::Confidential);
    let decision = replay(&cascade, &[answered(0.2), answered(0.3)]).unwrap();
    assert_eq!(
        decision.step,
        Step::Review {
            suggestion: Some(1)
        }
    );
    assert_eq!(decision.rungs[2].turn, Turn::Barred);
}

#[test]
fn it_fails_where_every_attempt_failed_or_asking_again_may_help() {
    let cascade = usual(Sensitivity::Public);
    let all = [failed(false), failed(true), failed(false)];
    check(&cascade, &all, Step::Fail { retryable: true });
    check(
        &cascade,
        &[failed(false), failed(false), failed(false)],
        Step::Fail { retryable: false },
    );
    let later = [answered(0.2), failed(true), failed(false)];
    check(&cascade, &later, Step::Fail { retryable: true });
    let never = [answered(0.2), failed(false), failed(false)];
    check(
        &cascade,
        &never,
        Step::Review {
            suggestion: Some(0),
        },
    );
}

#[test]
fn a_person_takes_what_is_left_even_after_failures() {
    let rungs = vec![
        rung(TierKind::Student, Rule::Threshold(0.9)),
        rung(TierKind::Person, Rule::Always),
        rung(TierKind::Frontier, Rule::Always),
    ];
    let cascade = Cascade::new(rungs, Sensitivity::Public);
    check(
        &cascade,
        &[failed(false)],
        Step::Review { suggestion: None },
    );
    check(
        &cascade,
        &[answered(0.5)],
        Step::Review {
            suggestion: Some(0),
        },
    );
    let decision = replay(&cascade, &[answered(0.5)]).unwrap();
    assert_eq!(decision.rungs[1].turn, Turn::Handed);
    assert_eq!(decision.rungs[2].turn, Turn::NotReached);
}

#[test]
fn an_unproven_tier_is_not_asked_and_no_tier_at_all_is_a_review() {
    let rungs = vec![
        rung(TierKind::Student, Rule::Never),
        rung(TierKind::Frontier, Rule::Always),
    ];
    check(
        &Cascade::new(rungs.clone(), Sensitivity::Public),
        &[],
        Step::Ask { rung: 1 },
    );
    let inside = Cascade::new(rungs, Sensitivity::Restricted);
    check(&inside, &[], Step::Review { suggestion: None });
    check(
        &Cascade::new(vec![], Sensitivity::Public),
        &[],
        Step::Review { suggestion: None },
    );
}

#[test]
fn an_answer_without_confidence_passes_no_threshold() {
    let cascade = usual(Sensitivity::Public);
    for confidence in [None, Some(f64::NAN)] {
        let outcome = Outcome::Answered {
            label: None,
            confidence,
        };
        check(&cascade, &[outcome], Step::Ask { rung: 1 });
    }
}

#[test]
fn a_tier_is_skipped_only_where_another_takes_the_text() {
    let skipped = [answered(0.2), Outcome::Skipped { chance: 0.01 }];
    let decision = replay(&usual(Sensitivity::Internal), &skipped).unwrap();
    assert_eq!(decision.step, Step::Ask { rung: 2 });
    assert_eq!(decision.rungs[1].turn, Turn::Skipped { chance: 0.01 });
    assert_eq!((decision.escalations(), decision.fallbacks()), (1, 0));
    // What may not leave is answered here or by nobody.
    let inside = usual(Sensitivity::Confidential);
    assert!(!inside.may_skip(1) && inside.may_skip(0));
    assert!(replay(&inside, &skipped).is_err());
    let behind = |kind, rule| {
        let rungs = vec![
            rung(TierKind::Local, Rule::Threshold(0.8)),
            rung(kind, rule),
        ];
        Cascade::new(rungs, Sensitivity::Public).may_skip(0)
    };
    assert!(behind(TierKind::Pool, Rule::Always));
    assert!(!behind(TierKind::Pool, Rule::Never) && !behind(TierKind::Person, Rule::Always));
    assert!(!behind(TierKind::Student, Rule::Heard));
}

#[test]
fn where_the_tier_behind_a_skipped_one_fails_a_person_decides_as_without_a_router() {
    let outcomes = [answered(0.2), Outcome::Skipped { chance: 0.0 }];
    let skipped = [&outcomes[..], &[failed(false)]].concat();
    let review = Step::Review {
        suggestion: Some(0),
    };
    check(&usual(Sensitivity::Public), &skipped, review);
    let skipped = [
        failed(false),
        Outcome::Skipped { chance: 0.0 },
        failed(false),
    ];
    check(
        &usual(Sensitivity::Public),
        &skipped,
        Step::Review { suggestion: None },
    );
}

#[test]
fn each_label_has_its_own_threshold_where_the_rule_says_so() {
    let rule = Rule::ByLabel(vec![0.5, 0.9, f64::INFINITY]);
    let said = |label, confidence| Outcome::Answered {
        label,
        confidence: Some(confidence),
    };
    let rungs = vec![
        rung(TierKind::Local, rule),
        rung(TierKind::Pool, Rule::Always),
    ];
    let cascade = Cascade::new(rungs, Sensitivity::Public);
    for (label, confidence, accepted) in [
        (Some(0), 0.6, true),
        (Some(1), 0.6, false),
        (Some(1), 0.9, true),
        (Some(2), 1.0, false),
        (Some(3), 1.0, false),
        (None, 1.0, false),
    ] {
        let step = match accepted {
            true => Step::Accept { rung: 0 },
            false => Step::Ask { rung: 1 },
        };
        check(&cascade, &[said(label, confidence)], step);
    }
}

#[test]
fn outcomes_of_another_cascade_are_refused() {
    let fault = replay(&usual(Sensitivity::Public), &[answered(1.0), answered(1.0)]).unwrap_err();
    assert_eq!((fault.given, fault.asked), (2, 1));
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (0.0_f64..1.0).prop_map(Rule::Threshold),
        Just(Rule::Always),
        Just(Rule::Never)
    ]
}

fn cascades() -> impl Strategy<Value = Cascade> {
    let kind = (0..TierKind::ALL.len()).prop_map(|i| TierKind::ALL[i]);
    let rungs = proptest::collection::vec((kind, rule()), 0..7);
    let sensitivity = (0..4_usize).prop_map(|i| Sensitivity::ALL[i]);
    (rungs, sensitivity).prop_map(|(rungs, sensitivity)| {
        let rungs = rungs
            .into_iter()
            .map(|(kind, rule)| rung(kind, rule))
            .collect();
        Cascade::new(rungs, sensitivity)
    })
}

fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    let one = prop_oneof![
        3 => (0.0_f64..1.0).prop_map(answered),
        1 => any::<bool>().prop_map(failed),
        1 => (0.0_f64..1.0).prop_map(|chance| Outcome::Skipped { chance }),
    ];
    proptest::collection::vec(one, 7)
}

/// Runs a cascade to its end, taking outcomes as they are asked for.
fn run(cascade: &Cascade, supply: &[Outcome]) -> (Decision, Vec<Outcome>, Vec<usize>) {
    let (mut outcomes, mut asked) = (Vec::new(), Vec::new());
    loop {
        let decision = replay(cascade, &outcomes).unwrap();
        let Step::Ask { rung } = decision.step else {
            return (decision, outcomes, asked);
        };
        let mut outcome = supply[outcomes.len()].clone();
        if matches!(outcome, Outcome::Skipped { .. }) && !cascade.may_skip(rung) {
            outcome = answered(0.0);
        }
        if !matches!(outcome, Outcome::Skipped { .. }) {
            asked.push(rung);
        }
        outcomes.push(outcome);
    }
}

proptest! {
    #[test]
    fn every_attempt_appears_once_and_replays_the_same(c in cascades(), supply in outcomes()) {
        let (decision, outcomes, asked) = run(&c, &supply);
        prop_assert!(asked.windows(2).all(|pair| pair[0] < pair[1]));
        let turns = decision.rungs.iter().filter(|rung| {
            matches!(rung.turn, Turn::Accepted { .. } | Turn::Escalated { .. } | Turn::Failed { .. } | Turn::Skipped { .. })
        });
        prop_assert_eq!(turns.count(), outcomes.len());
        prop_assert_eq!(decision.rungs.len(), c.rungs().len());
        prop_assert_eq!(replay(&c, &outcomes).unwrap(), decision);
    }

    #[test]
    fn a_barred_text_never_reaches_an_outside_tier(c in cascades(), supply in outcomes()) {
        let (decision, _, asked) = run(&c, &supply);
        if !c.sensitivity().may_reach(Zone::Outside) {
            for &rung in &asked {
                prop_assert_eq!(c.rungs()[rung].kind.zone(), Zone::Inside);
            }
            for (rung, decided) in c.rungs().iter().zip(&decision.rungs) {
                if rung.kind.zone() == Zone::Outside {
                    prop_assert!(matches!(decided.turn, Turn::Barred | Turn::NotReached));
                }
            }
        }
    }

    #[test]
    fn more_confidence_never_escalates_further(
        c in cascades(), supply in outcomes(), which in 0_usize..7, more in 0.0_f64..1.0,
    ) {
        let (before, _, asked_before) = run(&c, &supply);
        let mut surer = supply.clone();
        if let Outcome::Answered { confidence: Some(confidence), .. } = &mut surer[which] {
            *confidence += more;
        }
        let (after, _, asked_after) = run(&c, &surer);
        prop_assert!(asked_after.len() <= asked_before.len());
        prop_assert!(after.escalations() <= before.escalations());
    }

    #[test]
    fn an_accepted_answer_met_its_rule(c in cascades(), supply in outcomes()) {
        let (decision, _, _) = run(&c, &supply);
        for rung in &decision.rungs {
            match (&rung.turn, &rung.rule) {
                (Turn::Accepted { confidence, .. }, Rule::Threshold(threshold)) => {
                    prop_assert!(confidence.unwrap() >= *threshold);
                }
                (Turn::Escalated { confidence, .. }, Rule::Threshold(threshold)) => {
                    prop_assert!(confidence.unwrap() < *threshold);
                }
                (Turn::Accepted { .. }, Rule::Never) | (Turn::Escalated { .. }, Rule::Always) => {
                    prop_assert!(false, "rule ignored");
                }
                _ => {}
            }
        }
    }
}
