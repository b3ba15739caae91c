use super::*;
use crate::random::Random;
use proptest::prelude::*;

fn goal(alpha: f64) -> Goal {
    Goal::new(alpha, 0.05).unwrap()
}

/// Records of uniform score, wrong with a probability that depends on the score.
fn records(n: usize, seed: u64, wrong: impl Fn(f64) -> f64) -> Vec<Scored> {
    let mut random = Random::new(seed);
    let record = |_| {
        let confidence = random.unit();
        Scored {
            confidence,
            correct: random.unit() >= wrong(confidence),
        }
    };
    (0..n).map(record).collect()
}

/// The true selective risk from a threshold up, by Simpson's rule.
fn true_risk(threshold: f64, wrong: impl Fn(f64) -> f64) -> f64 {
    let steps = 2_000;
    let width = (1.0 - threshold) / f64::from(steps);
    let at = |i: i32| wrong(threshold + width * (f64::from(i) + 0.5));
    (0..steps).map(at).sum::<f64>() / f64::from(steps)
}

fn violations(n: usize, alpha: f64, wrong: fn(f64) -> f64) -> (usize, f64) {
    let (mut violations, mut kept) = (0, 0.0);
    for seed in 0..400 {
        let proof = certify(&records(n, seed, wrong), Risk::Selective, goal(alpha));
        if let Some(threshold) = proof.threshold {
            violations += usize::from(true_risk(threshold, wrong) > alpha);
            kept += (1.0 - threshold) / 400.0;
        }
    }
    (violations, kept)
}

#[test]
fn the_claim_fails_no_more_often_than_delta() {
    let curves: [fn(f64) -> f64; 5] = [
        |s| 0.3 * (1.0 - s) * (1.0 - s),
        |s| if s > 0.97 { 0.2 } else { 0.2 * (1.0 - s) },
        |s| if s > 0.5 { 0.051 } else { 0.9 },
        |_| 0.051,
        |s| 0.5 * s,
    ];
    for (index, wrong) in curves.into_iter().enumerate() {
        let (violations, _) = violations(1_000, 0.05, wrong);
        // 400 draws at 5 % give 20 on average; 33 is three standard deviations above.
        assert!(violations <= 33, "curve {index}: {violations}");
    }
}

#[test]
fn it_keeps_most_of_what_could_be_kept_even_with_a_bad_top() {
    // Risk from t up is (1 - t)^2 / 10: at 5 % the oracle keeps 0.707.
    let (_, kept) = violations(2_000, 0.05, |s| 0.3 * (1.0 - s) * (1.0 - s));
    assert!(kept > 0.80 * 0.707, "{kept}");
    let (_, kept) = violations(
        2_000,
        0.05,
        |s| if s > 0.99 { 0.5 } else { 0.1 * (1.0 - s) },
    );
    // Half of the top hundredth is wrong; a run from the very top would end there at once.
    assert!(kept > 0.40, "{kept}");
}

#[test]
fn nothing_is_certified_where_nothing_is_good_and_it_says_what_is_missing() {
    let hopeless = certify(&records(2_000, 1, |_| 0.3), Risk::Selective, goal(0.05));
    assert_eq!((hopeless.threshold, hopeless.bound), (None, 1.0));
    let few = certify(&records(40, 1, |_| 0.0), Risk::Selective, goal(0.02));
    assert_eq!(few.threshold, None);
    let wanting = few.records_wanting.unwrap();
    assert!((50..1_000).contains(&wanting), "{few:?}");
    // With so many it is proven.
    let enough = certify(
        &records(40 + wanting, 1, |_| 0.0),
        Risk::Selective,
        goal(0.02),
    );
    assert!(enough.threshold.is_some(), "{enough:?}");
    let none = certify(&[], Risk::Selective, goal(0.02));
    assert_eq!((none.threshold, none.records_wanting), (None, None));
}

#[test]
fn a_marginal_risk_is_met_by_keeping_until_the_budget_is_spent() {
    let records = records(2_000, 5, |s| 1.0 - s);
    let proof = certify(&records, Risk::Marginal, goal(0.05));
    // Kept errors among all are (1 - t)^2 / 2, 5 % at t = 0.684.
    assert!(
        proof.threshold.unwrap() > 0.684 && proof.threshold.unwrap() < 0.75,
        "{proof:?}"
    );
    assert!(proof.bound <= 0.05 + 1e-9);
}

#[test]
fn a_floor_only_stops_earlier() {
    let records = records(2_000, 5, |s| 0.3 * (1.0 - s) * (1.0 - s));
    let free = certify(&records, Risk::Selective, goal(0.05));
    let lowest = free.threshold.unwrap();
    let at = |floor| certify_from(&records, Risk::Selective, goal(0.05), floor);
    assert_eq!(at(lowest - 0.1), free);
    let higher = at(lowest + 0.05).threshold.unwrap();
    assert!(
        higher >= lowest + 0.05 && higher < lowest + 0.06,
        "{higher}"
    );
    // Above where the tests begin nothing was tested, and so nothing is proven.
    assert_eq!(at(0.9999).threshold, None);
}

proptest! {
    #[test]
    fn what_is_proven_adds_up(
        raw in proptest::collection::vec((0_u8..30, proptest::bool::weighted(0.97)), 0..600),
        alpha in 0.01_f64..0.3,
    ) {
        let records: Vec<Scored> = raw
            .into_iter()
            .map(|(c, correct)| Scored { confidence: f64::from(c), correct })
            .collect();
        let proof = certify(&records, Risk::Selective, goal(alpha));
        let spent: f64 = proof.starts.iter().map(|start| start.delta).sum();
        prop_assert!(spent <= 0.05 + 1e-12);
        if let Some(threshold) = proof.threshold {
            let kept = records.iter().filter(|r| r.confidence >= threshold);
            prop_assert_eq!(kept.clone().count(), proof.kept);
            prop_assert_eq!(kept.filter(|r| !r.correct).count(), proof.errors);
            prop_assert!(proof.bound <= alpha + 1e-9);
        }
    }
}
